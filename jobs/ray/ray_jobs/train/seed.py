"""The batch job <pipeline>-seed: history cells from a backfill, so that the first streamed row already has its lags.

Delta feature table -> the same fold as the stream -> weather-history, in the partition the station's feature rows
have. Runs before the actor starts and never beside it: a topic that has a cursor belongs to a stream, and is left as
it is. Writes no cursor and no predictions.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import confluent_kafka as kafka
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from ray_jobs.fold.fold import Fold
from ray_jobs.generated.contract import Contract
from ray_jobs.generated.job import JobError, Reporter, kafka_config
from ray_jobs.generated.params import SeedParams
from ray_jobs.kit import table
from ray_jobs.kit.cluster import Cluster, Inline, Pool
from ray_jobs.kit.io import BadRecord, Decoder, Encoder
from ray_jobs.kit.transactions import aborts
from ray_jobs.state import ring
from ray_jobs.state.changelog import kind_of
from ray_jobs.state.ring import Cell

# One limit for everything that holds others back, as in worker.py.
TRANSACTION_MS = 10_000
# Records a transaction: at 100,000 a second each stays far below its limit.
TRANSACTION_RECORDS = 50_000
CALL_S = 30.0
READ_S = 120.0
STATIONS_PER_TASK = 20
# Fewer rows than this are folded here before a Ray worker would have started.
ROWS_FOR_TASKS = 500_000


def run(contract: Contract, params: SeedParams, reporter: Reporter) -> dict[str, float]:
    """Seeds the ring of every station in the table; a second run writes nothing.

    Errors: `job_failed` without a table or rows, `kafka_unreachable`.
    """
    access = kafka_config(params.kafka)
    held, begun = existing(contract, params, access)
    if begun:
        return _end(reporter, 0, 0, f"{params.history_topic} has a cursor: the stream has begun, nothing seeded")
    version = table.pin(params.table_path)
    # Window ends in (cutover - depth, cutover]: start exclusive, end inclusive, as a cell counts them.
    first, last = params.cutover_ms - contract.depth_ms + 1, params.cutover_ms + 1
    keys = table.read(params.table_path, version, contract, [contract.entity_key, "window_end"], first, last)
    stations = [station for station, _ in table.by_station(keys, contract.entity_key)]
    if not stations:
        raise JobError(
            "job_failed",
            f'Cannot seed from "{params.table_path}": expected rows with {first} <= window_end < {last}, found none',
        )
    pool: Pool = Cluster(workers=64) if len(keys) > ROWS_FOR_TASKS else Inline()
    groups = [stations[i : i + STATIONS_PER_TASK] for i in range(0, len(stations), STATIONS_PER_TASK)]
    producer = _producer(params, access)
    written = same = done = 0
    batch: list[tuple[int, bytes, bytes]] = []
    encode = Encoder(contract.schemas["history"], params.history_schema_id)
    for index, folded in pool.map(
        cells_of, [(contract, params.table_path, version, group, first, last) for group in groups]
    ):
        for partition, key, cell, station in records(contract, folded, params.partitions):
            if covers(held.get((station, cell.cell % contract.ring_cells)), cell):
                same += 1
                continue
            batch.append((partition, key, encode(ring.to_record(contract.entity_key, station, cell))))
            written += 1
            if len(batch) >= TRANSACTION_RECORDS:
                _commit(producer, params.history_topic, batch)
                batch = []
        done += len(groups[index])
        print(f"stations={done}/{len(stations)} cells={written} unchanged={same}", flush=True)
        reporter.progress({"stations": done, "cells": written, "unchanged": same})
    if batch:
        _commit(producer, params.history_topic, batch)
    return _end(
        reporter, written, same, f"{written} cells of {len(stations)} stations seeded, {same} were there already"
    )


def cells_of(
    contract: Contract, path: str, version: int, stations: list[str], first_ms: int, last_ms: int
) -> dict[str, list[Cell]]:
    """The live ring of each station after its rows with first <= window_end < last, oldest cell first. Pure: a Ray
    task.
    """
    fold = Fold(contract)
    found = table.read(path, version, contract, table.columns_of(contract), first_ms, last_ms, stations)
    out: dict[str, list[Cell]] = {}
    for station, rows in table.by_station(found, contract.entity_key):
        state = fold.new_state()
        for row in table.rows(rows):
            state = fold.step(state, row).state
        live = state.live(contract.ring_cells)
        out[station] = [live[number] for number in sorted(live)]
    return out


def records(
    contract: Contract, folded: dict[str, list[Cell]], partitions: int
) -> Iterator[tuple[int, bytes, Cell, str]]:
    """(partition, key, cell, station); a cell's offset is -1, since no record of the feature topic stands behind it."""
    for station, cells in folded.items():
        partition = partition_of(station.encode(), partitions)
        for cell in cells:
            key = ring.cell_key(station, cell.cell, contract.ring_cells)
            yield partition, key, cell._replace(partition=partition, offset=-1), station


def covers(held: Cell | None, cell: Cell) -> bool:
    """Whether what the topic holds under a cell's key is a later cell, or the same one with every version at least as
    new.
    """
    if held is None or held.cell < cell.cell:
        return False
    return held.cell > cell.cell or all(there >= here for there, here in zip(held.versions, cell.versions, strict=True))


def existing(
    contract: Contract, params: SeedParams, access: dict[str, Any]
) -> tuple[dict[tuple[str, int], Cell], bool]:
    """The newest cell by station and slot in the history topic, and whether any partition has a cursor.

    Errors: `kafka_unreachable` when the topic cannot be read to its end within two minutes, `contract_mismatch` when it
    holds records that no schema of the table reads: somebody else's, which a seed does not mix with.
    """
    decode = Decoder(params.history_schemas, contract.schemas["history"])
    consumer = Consumer(
        access
        | {
            # Required by the client; nothing is committed under it.
            "group.id": f"{params.job}-{params.submission}",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    cells: dict[tuple[str, int], Cell] = {}
    begun = False
    deadline = time.monotonic() + READ_S
    try:
        consumer.assign(
            [TopicPartition(params.history_topic, p, kafka.OFFSET_BEGINNING) for p in range(params.partitions)]
        )
        ended: set[int] = set()
        while len(ended) < params.partitions:
            message = consumer.poll(1.0)
            if message is None:
                if time.monotonic() > deadline:
                    raise JobError(
                        "kafka_unreachable",
                        f'Cannot read "{params.history_topic}" at "{params.kafka.bootstrap}": '
                        f"expected its end within {READ_S:g} s",
                    )
                continue
            error = message.error()
            if error is not None:
                if error.code() == kafka.KafkaError._PARTITION_EOF:
                    ended.add(int(message.partition() or 0))
                    continue
                if error.retriable():
                    continue
                raise JobError("kafka_unreachable", f'Cannot read "{params.history_topic}": {error.str()}')
            value = message.value()
            if value is None:
                continue
            try:
                record = decode(value)
            except BadRecord as bad:
                known = " or ".join(sorted(params.history_schemas, key=int))
                raise JobError(
                    "contract_mismatch",
                    f'Cannot seed "{params.history_topic}": expected records of schema id {known}, '
                    f"got one at partition {message.partition()} offset {message.offset()} that is {bad.reason}",
                ) from bad
            if kind_of(record) == ring.CURSOR:
                begun = True
            elif kind_of(record) == ring.CELL:
                cell = ring.from_record(record)
                cells[record[contract.entity_key], cell.cell % contract.ring_cells] = cell
    finally:
        consumer.close()
    return cells, begun


def partition_of(key: bytes, partitions: int) -> int:
    """The partition Kafka's default partitioner gives a key. Source: org.apache.kafka.clients.producer
    BuiltInPartitioner.
    """
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Kafka's murmur2, as an unsigned 32-bit number. Source: org.apache.kafka.common.utils.Utils.murmur2."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def _producer(params: SeedParams, access: dict[str, Any]) -> Producer:
    producer = Producer(
        access
        | {
            "transactional.id": f"{params.namespace}-{params.job}" if params.namespace else params.job,
            "transaction.timeout.ms": TRANSACTION_MS,
            "message.timeout.ms": TRANSACTION_MS - 1_000,
            "socket.timeout.ms": TRANSACTION_MS - 1_000,
            "compression.type": "snappy",
            "linger.ms": 5,
            "queue.buffering.max.messages": 2 * TRANSACTION_RECORDS,
        }
    )
    try:
        # Fences an older seed of this namespace and aborts what it left open.
        producer.init_transactions(CALL_S)
    except KafkaException as error:
        raise JobError("kafka_unreachable", f'Cannot start a transaction at "{params.kafka.bootstrap}"') from error
    return producer


def _commit(producer: Producer, topic: str, batch: list[tuple[int, bytes, bytes]]) -> None:
    """One transaction. Errors: `job_failed`; the job can simply be run again."""
    try:
        producer.begin_transaction()
        for partition, key, value in batch:
            producer.produce(topic, value=value, key=key, partition=partition)
        producer.commit_transaction(CALL_S)
    except KafkaException as error:
        if error.args and aborts(error.args[0]):
            producer.abort_transaction(CALL_S)
        raise JobError("job_failed", f'Cannot write {len(batch)} cells to "{topic}"') from error


def _end(reporter: Reporter, written: int, same: int, message: str) -> dict[str, float]:
    print(message, flush=True)
    counters = {"cells": float(written), "unchanged": float(same)}
    reporter.progress(counters, message=message)
    return counters
