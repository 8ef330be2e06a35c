"""Two days of Singapore with every fault added: the cluster proof of the windows, from raw records to rows and rejects.

Makes the records, sends them, and judges what a running features job or a backfill made of them, by oracle.py. Starts
no job and makes no topic: a cluster test does that, then calls `python -m tests.singapore ARGUMENTS.json` (see
Arguments). Prints one JSON line; leaves with 1 and the differences on stderr when something is wrong.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import sys
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import confluent_kafka
import fastavro
from spark_jobs.certify import oracle
from spark_jobs.generated.contract import Contract
from spark_jobs.generated.weather_contract import CONTRACT

MINUTE_MS = 60_000
DAY_MS = 86_400_000
YEARS_10_MS = 315_360_000_000
YEAR_2073_MS, YEAR_9999_MS = 3_250_454_400_000, 253_402_300_799_999
# Late by at most this always counts; the contract's lateness is ten minutes.
LATE_MS = 9 * MINUTE_MS
# Stations of the group that is late far beyond the lateness: each of their windows holds one record, so a row is right
# or, where Spark dropped the record, not there.
BEYOND = "beyond-"
BEYOND_MS = 3 * 3_600_000
# Stations of the group whose clock is fast, by less than a record may lead: they count, and close nobody's windows.
FAST = "fast-"
FAST_MS = 50 * MINUTE_MS
FILE_MS = 2 * 3_600_000


@dataclass
class Record:
    """One raw record in the order it is sent. `rejects`: the fields and reasons it must be refused for, None for all
    of it.
    """

    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]
    observation: oracle.Observation | None
    rejects: dict[str | None, str] = field(default_factory=dict)


@dataclass
class Arguments:
    """What a call is to do, from a JSON file with all keys.

    `action`: `write_file` writes the hours of `file_rows` to `file_path`, for a replay to send last, and
    says how many rows there are; `produce` sends the records of `part` (share of all, from and to) and notes where each
    landed in `sent_path`; `check` waits up to `deadline_s` for the topics to hold what they must; `check_table` judges
    the Delta tables of a backfill over the same topic.
    """

    action: str
    bootstrap: str
    raw_topic: str
    features_topic: str
    rejects_topic: str
    raw_schema_id: int
    sample: str
    days: int
    seed: int
    duplicates: str
    part: tuple[float, float]
    records_per_s: float | None
    sent_path: str
    deadline_s: float
    table_path: str | None
    rejects_path: str | None
    file_path: str | None = None


def records(contract: Contract, sample: Path, days: int, seed: int, schema_id: int) -> list[Record]:
    """The sample's first days as a source would send them, dirtied. Same arguments, same records."""
    chance = random.Random(seed)
    schema = fastavro.parse_schema(json.loads(contract.schemas["observation"]))

    def framed(o: oracle.Observation) -> bytes:
        out = io.BytesIO()
        reading = {f.name: o.get(f.name) for f in contract.measured}
        named = {contract.key: o[contract.key], contract.event_time: o["event_time"]}
        fastavro.schemaless_writer(out, schema, reading | named)
        return b"\x00" + schema_id.to_bytes(4, "big") + out.getvalue()

    def record(o: oracle.Observation, clock: int, value: bytes | None = None, **refused: str) -> Record:
        headers = [("clock", str(clock).encode()), ("source", b"singapore")]
        whole = refused.get("reason")
        rejects: dict[str | None, str] = (
            {None: whole}
            if whole
            else {
                f.name: "out_of_range"
                for f in contract.measured
                if o[f.name] is not None and not oracle.in_range(o[f.name], f.range)
            }
        )
        return Record(o[contract.key].encode(), value or framed(o), headers, None if whole else o, rejects)

    arrivals = []
    for o in observations(contract, sample, days):
        if chance.random() < 0.01:
            name = chance.choice(contract.measured)
            low, high = name.range or (0.0, 0.0)
            o = o | {name.name: chance.choice([low - 1, high + 1, float("nan"), float("inf")])}
        delay = chance.randrange(LATE_MS) if chance.random() < 0.3 else 0
        arrivals.append((o["event_time"] + delay, o))
        if contract.duplicates == "engine" and chance.random() < 0.02:
            arrivals.append((o["event_time"] + delay + chance.randrange(1_000), o | {contract.measured[0].name: 0.125}))
    arrivals.sort(key=lambda pair: pair[0])

    sent: list[Record] = []
    clock = 0
    beyond: dict[str, int] = {}
    fast: dict[str, int] = {}
    for _, o in arrivals:
        clock = max(clock, o["event_time"])
        sent.append(record(o, clock))
        dice = chance.random()
        if dice < 0.001:
            sent.append(record(o | {"event_time": clock + YEARS_10_MS}, clock, reason="time_jump"))
        elif dice < 0.002:
            sent.append(record(o, clock, framed(o)[: -chance.randrange(1, 9)], reason="undecodable"))
        elif dice < 0.003:
            sent.append(record(o, clock, framed(o) + chance.randbytes(3), reason="undecodable"))
        elif dice < 0.004:
            sent.append(record(o, clock, b"\x00\x7f" + framed(o)[2:], reason="unknown_schema"))
        elif dice < 0.005:
            sent.append(record(o, clock, json.dumps({contract.key: "x"}).encode(), reason="bad_framing"))
        elif dice < 0.006:
            keyless = record(o, clock, reason="missing_key")
            keyless.key = None
            sent.append(keyless)
        elif dice < 0.016:
            station = f"{BEYOND}{chance.randrange(4)}"
            at = clock - BEYOND_MS
            if at - beyond.get(station, 0) > 2 * contract.window_ms:
                beyond[station] = at
                sent.append(record(o | {contract.key: station, "event_time": at}, clock))
        elif dice < 0.017:
            # The source's clock is as wrong as the row.
            sent.append(record(o | {"event_time": YEAR_2073_MS}, YEAR_2073_MS, reason="time_jump"))
        elif dice < 0.018:
            clockless = record(o | {"event_time": YEAR_9999_MS}, clock, reason="time_jump")
            clockless.headers = [("source", b"another")]
            sent.append(clockless)
        elif dice < 0.022:
            station = f"{FAST}{chance.randrange(4)}"
            if clock - fast.get(station, 0) > 2 * contract.window_ms:
                fast[station] = clock
                sent.append(record(o | {contract.key: station, "event_time": clock + FAST_MS}, clock))
    return sent


def file_rows(contract: Contract, sample: Path, days: int) -> list[oracle.Observation]:
    """The first hours of the sample again, as those of the day after the first `days`: the sample may end with them."""
    every = observations(contract, sample, 1)
    start = every[0]["event_time"] // DAY_MS * DAY_MS
    return [o | {"event_time": o["event_time"] + days * DAY_MS} for o in every if o["event_time"] < start + FILE_MS]


def before_future(rows: list[oracle.Observation]) -> set[int]:
    """After which rows of the file one of the future stands: the last is one."""
    return {number for number in range(len(rows)) if number % 400 == 200 or number == len(rows) - 1}


def write_file(arguments: Arguments, contract: Contract) -> dict[str, Any]:
    """The rows of `file_rows` as a file that many have added to: both line ends, repeats, and rows of the future.

    -> how many observations are in it, and how many rows of the future.
    """
    assert arguments.file_path is not None
    chance = random.Random(arguments.seed)
    rows = file_rows(contract, Path(arguments.sample), arguments.days)
    columns = [f.name for f in contract.measured]
    lines, future = [",".join([contract.key, contract.event_time, *columns])], 0
    after = before_future(rows)

    def line(o: oracle.Observation) -> str:
        at = datetime.fromtimestamp(o["event_time"] / 1000, UTC).isoformat(timespec="milliseconds")
        return ",".join([o[contract.key], at, *("" if o[c] is None else repr(o[c]) for c in columns)])

    for number, o in enumerate(rows):
        lines.append(line(o))
        if chance.random() < 0.02:
            lines.append(lines[-1])
        if number in after:
            future += 1
            ahead = chance.choice([YEAR_2073_MS, YEAR_9999_MS, o["event_time"] + 3 * DAY_MS]) - future
            lines.append(line(o | {"event_time": ahead}))
    text = "".join(one + chance.choice(["\n", "\r\n"]) for one in lines)
    Path(arguments.file_path).write_text(text, newline="")
    return {"observations": len(rows), "future": future}


def observations(contract: Contract, sample: Path, days: int) -> list[oracle.Observation]:
    """The clean readings of the sample's first days, times as epoch milliseconds."""
    read: list[oracle.Observation] = []
    with gzip.open(sample, "rt", newline="") as lines:
        for row in csv.DictReader(lines):
            at = round(datetime.fromisoformat(row[contract.event_time]).timestamp() * 1000)
            if read and at >= read[0]["event_time"] // DAY_MS * DAY_MS + days * DAY_MS:
                break
            values = {f.name: float(row[f.name]) if row[f.name] else None for f in contract.measured}
            read.append({contract.key: row[contract.key], "event_time": at} | values)
    return read


def produce(all_records: list[Record], arguments: Arguments) -> dict[str, Any]:
    """Sends a part of the records, in order, to the partition of their key, and notes partition and offset of each."""
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": arguments.bootstrap,
            "partitioner": "murmur2_random",
            "compression.type": "snappy",
            "enable.idempotence": True,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    path = Path(arguments.sent_path)
    sent: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
    first, last = (round(share * len(all_records)) for share in arguments.part)

    def delivered(index: int) -> Any:
        def note(error: Any, message: Any) -> None:
            if error is not None:
                raise RuntimeError(f"record {index} was not sent: {error}")
            sent[f"{message.partition()}-{message.offset()}"] = index

        return note

    began = time.monotonic()
    for index in range(first, last):
        one = all_records[index]
        if arguments.records_per_s is not None:
            while time.monotonic() - began < (index - first) / arguments.records_per_s:
                producer.poll(0.01)
        producer.produce(arguments.raw_topic, one.value, one.key, headers=one.headers, on_delivery=delivered(index))
        if index % 1_000 == 0:
            producer.poll(0)
    if producer.flush(60) != 0:
        raise TimeoutError("Kafka did not take all records within 60 s")
    path.write_text(json.dumps(sent))
    return {"sent": last - first, "of": len(all_records)}


def messages(arguments: Arguments, topic: str) -> Any:
    """A committed reader from the topic's beginning."""
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": arguments.bootstrap,
            "group.id": f"proof-{time.time_ns()}",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    partitions = consumer.list_topics(topic, 30).topics[topic].partitions
    consumer.assign([confluent_kafka.TopicPartition(topic, p, confluent_kafka.OFFSET_BEGINNING) for p in partitions])
    return consumer


def as_sent(
    all_records: list[Record], arguments: Arguments, contract: Contract
) -> tuple[list[oracle.Observation], dict[Any, Any]]:
    """(observations with offsets and append times, expected rejects by (partition, offset, field)) of what was sent,
    with what a replay has sent of the file.

    Raises ValueError for a record of nobody, or one that the replay should not have sent.
    """
    rows = [] if arguments.file_path is None else file_rows(contract, Path(arguments.sample), arguments.days)
    of_file = {(o[contract.key], o["event_time"]): o for o in rows}
    newest, future = max((at for _, at in of_file), default=0), len(before_future(rows))
    sent: dict[str, int] = json.loads(Path(arguments.sent_path).read_text())
    consumer = messages(arguments, arguments.raw_topic)
    kept: list[oracle.Observation] = []
    refused: dict[Any, Any] = {}
    seen = 0
    while seen < len(sent) or of_file or future > 0:
        found = consumer.consume(5_000, 30)
        if not found:
            raise ValueError(f"{len(sent) - seen} records and {len(of_file)} rows of the file are not in the topic")
        for message in found:
            partition, offset = message.partition(), message.offset()
            at = {"raw_partition": partition, "raw_offset": offset, "append_time": message.timestamp()[1]}
            if f"{partition}-{offset}" not in sent:
                value, headers = message.value(), list(message.headers() or [])
                row = decoded(contract.schemas["observation"], value)
                if row[contract.event_time] > newest:
                    replayed = Record(message.key(), value, headers, None, {None: "time_jump"})
                    refused[partition, offset, None] = ("time_jump", replayed)
                    future -= 1
                elif (o := of_file.pop((row[contract.key], row[contract.event_time]), None)) is None:
                    raise ValueError(
                        f"{row[contract.key]} at {row[contract.event_time]} is no row of the file, or twice"
                    )
                else:
                    kept.append(o | at)
                continue
            seen += 1
            one = all_records[sent[f"{partition}-{offset}"]]
            refused |= {(partition, offset, name): (reason, one) for name, reason in one.rejects.items()}
            if one.observation is not None:
                kept.append(one.observation | at)
    consumer.close()
    return kept, refused


def wanted_rows(kept: list[oracle.Observation], contract: Contract) -> dict[tuple[str, int], oracle.Row]:
    once = oracle.first_of_each_time(kept, contract.key) if contract.duplicates == "engine" else kept
    return oracle.feature_rows(once, contract)


def decoded(schema_text: str, value: bytes) -> dict[str, Any]:
    """A framed record with its times as epoch milliseconds."""
    schema = fastavro.parse_schema(json.loads(schema_text.replace('"logicalType":"timestamp-millis"', '"unit":"ms"')))
    row: dict[str, Any] = fastavro.schemaless_reader(io.BytesIO(value[5:]), schema)  # type: ignore[assignment]
    return row


def check(all_records: list[Record], arguments: Arguments, contract: Contract) -> tuple[dict[str, Any], list[str]]:
    """Waits for the stream to hold every wanted row and reject, then until both topics are quiet, and compares."""
    kept, refused = as_sent(all_records, arguments, contract)
    wanted = wanted_rows(kept, contract)
    sure = {at for at in wanted if not at[0].startswith(BEYOND)}
    topics = {"features": arguments.features_topic, "rejects": arguments.rejects_topic}
    consumers = {name: messages(arguments, topic) for name, topic in topics.items()}
    rows: list[dict[str, Any]] = []
    rejects: dict[Any, dict[str, Any]] = {}
    got: dict[tuple[str, int], dict[str, Any]] = {}
    repeated, quiet = 0, 0
    deadline = time.monotonic() + arguments.deadline_s
    while quiet < 4 and time.monotonic() < deadline:
        new = 0
        for name, consumer in consumers.items():
            for message in consumer.consume(5_000, 0.5):
                new += 1
                row = decoded(contract.schemas[name], message.value())
                if name == "features":
                    rows.append(row)
                    got[row[contract.key], row["window_end"]] = row
                else:
                    identity = row["partition"], row["offset"], row["field"]
                    repeated += identity in rejects
                    rejects[identity] = row
        complete = (
            len(rejects) >= len(refused)
            and all(at in got and got[at]["revision"] >= wanted[at]["revision"] for at in sure)
            if new == 0
            else False
        )
        quiet = quiet + 1 if complete else 0
    for consumer in consumers.values():
        consumer.close()
    missed = {at for at in wanted if at not in sure and at not in got}
    wrong = oracle.differences(got, {at: row for at, row in wanted.items() if at not in missed})
    wrong += disorder(rows, contract) + wrong_rejects(rejects, refused, arguments.raw_topic)
    summary = {
        "windows": len(got),
        "published": len(rows),
        "batches": len({row["processing_time"] for row in rows}),
        "observations": len(kept),
        "rejects": len(rejects),
        "rejects_repeated": repeated,
        "beyond_wanted": len(wanted) - len(sure),
        "beyond_dropped": len(missed),
    }
    return summary, wrong


def disorder(rows: list[dict[str, Any]], contract: Contract) -> list[str]:
    """Rows of one station out of `window_end` order within their micro-batch, and versions that do not rise."""
    wrong = []
    last_end: dict[tuple[str, int], int] = {}
    last_version: dict[tuple[str, int], tuple[int, int]] = {}
    for row in rows:
        key, end, batch = row[contract.key], row["window_end"], row["processing_time"]
        if end <= last_end.get((key, batch), 0):
            wrong.append(f"{key} {end}: not after {last_end[key, batch]} in the micro-batch of {batch}")
        last_end[key, batch] = end
        version = row["plan_epoch"], row["revision"]
        if version <= last_version.get((key, end), (-1, -1)):
            wrong.append(f"{key} {end}: version {version} is not above {last_version[key, end]}")
        last_version[key, end] = version
    return wrong


def wrong_rejects(got: dict[Any, dict[str, Any]], wanted: dict[Any, Any], topic: str) -> list[str]:
    """Missing and extra rejects, wrong reasons, and records that did not keep their bytes."""
    wrong = [f"missing reject {at}: {wanted[at][0]}" for at in wanted.keys() - got.keys()]
    wrong += [f"extra reject {at}: {got[at]['reason']}" for at in got.keys() - wanted.keys()]
    for at in wanted.keys() & got.keys():
        (reason, one), row = wanted[at], got[at]
        said = (row["topic"], row["reason"], row["key"], row["value"], dict(row["headers"]))
        if said != (topic, reason, one.key, one.value, dict(one.headers)):
            wrong.append(f"reject {at}: got {said}, wanted {reason}")
    return wrong


def check_table(
    all_records: list[Record], arguments: Arguments, contract: Contract
) -> tuple[dict[str, Any], list[str]]:
    """The tables of a backfill over the same topic: every row, also of the group beyond the lateness, and every
    reject.
    """
    import deltalake

    def table(path: str | None) -> list[dict[str, Any]]:
        assert path is not None
        read = deltalake.DeltaTable(path.removeprefix("file://")).to_pyarrow_table().to_pylist()
        return [
            {name: round(v.timestamp() * 1000) if isinstance(v, datetime) else v for name, v in row.items()}
            for row in read
        ]

    kept, refused = as_sent(all_records, arguments, contract)
    rows, rejects = table(arguments.table_path), table(arguments.rejects_path)
    got = {(row[contract.key], row["window_end"]): row for row in rows}
    by_identity = {(row["partition"], row["offset"], row["field"]): row for row in rejects}
    wrong = oracle.differences(got, wanted_rows(kept, contract))
    wrong += wrong_rejects(by_identity, refused, arguments.raw_topic)
    if len(got) != len(rows) or len(by_identity) != len(rejects):
        wrong.append(f"{len(rows) - len(got)} rows and {len(rejects) - len(by_identity)} rejects are there twice")
    return {"windows": len(rows), "observations": len(kept), "rejects": len(rejects)}, wrong


def main() -> None:
    given = json.loads(Path(sys.argv[1]).read_text())
    arguments = Arguments(**given)
    contract = replace(CONTRACT, duplicates=arguments.duplicates)
    if arguments.action == "write_file":
        print(json.dumps(write_file(arguments, contract)))
        return
    made = records(contract, Path(arguments.sample), arguments.days, arguments.seed, arguments.raw_schema_id)
    if arguments.action == "produce":
        print(json.dumps(produce(made, arguments)))
        return
    judged = {"check": check, "check_table": check_table}[arguments.action]
    summary, wrong = judged(made, arguments, contract)
    print(json.dumps(summary | {"wrong": len(wrong)}))
    for line in wrong[:40]:
        print(line[:600], file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
