"""Seeding: Kafka's own partitions, the ring of the fold, and a second run that writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from ray_jobs.fold.fold import Fold
from ray_jobs.generated.job import JobError
from ray_jobs.generated.params import KafkaAccess, SeedParams
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.kit import table
from ray_jobs.kit.io import Decoder, Encoder
from ray_jobs.state import ring
from ray_jobs.state.ring import Cell
from ray_jobs.train import seed
from tests.tables import CITIES, epoch_ms, write_sample
from tests.topics import IDS, PARTITIONS, Topics

CUTOVER = epoch_ms("2016-12-01")
STATION_HOURS = 240


class Silent:
    """A reporter that keeps what it was told."""

    def __init__(self) -> None:
        self.said: list[dict[str, float]] = []

    def progress(self, counters: dict[str, float], state: str = "running", message: str | None = None) -> None:
        self.said.append(counters)


@pytest.fixture(scope="module")
def feature_table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("seed") / "table"
    # Twelve days before the cut-over and one after it: neither end may leak in.
    write_sample(path, CONTRACT, "2016-11-19", "2016-12-02")
    yield path


@pytest.mark.parametrize(
    ("key", "signed"),
    [
        # Source: org.apache.kafka.common.utils.UtilsTest.testMurmur2.
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_kafkas(key: bytes, signed: int) -> None:
    assert seed.murmur2(key) == signed & 0xFFFFFFFF
    assert 0 <= seed.partition_of(key, 4) < 4


def folded(path: Path) -> dict[str, list[Cell]]:
    version = table.pin(str(path))
    first, last = CUTOVER - CONTRACT.depth_ms + 1, CUTOVER + 1
    return seed.cells_of(CONTRACT, str(path), version, sorted(CITIES), first, last)


def test_cells_of_is_the_ring_the_fold_leaves(feature_table: Path) -> None:
    found = folded(feature_table)
    assert sorted(found) == sorted(CITIES)
    for station, cells in found.items():
        assert len(cells) > STATION_HOURS - 5
        assert all(CUTOVER - CONTRACT.depth_ms < cell.window_end <= CUTOVER for cell in cells)
        assert [cell.cell for cell in cells] == sorted(cell.cell for cell in cells)
        # The last hour of November ends at 23:01; the first row of the stream is lag 1 away from it.
        assert cells[-1].window_end == epoch_ms("2016-11-30 23:01"), station


def test_seeded_state_gives_the_inputs_of_an_uninterrupted_fold(feature_table: Path) -> None:
    """A restore from seeded records, then one streamed row, against the fold over everything."""
    fold = Fold(CONTRACT)
    version = table.pin(str(feature_table))
    rows = table.read(
        str(feature_table), version, CONTRACT, table.columns_of(CONTRACT), None, CUTOVER + 86_400_000, ["boston"]
    )
    encode = Encoder(CONTRACT.schemas["history"], 5)
    decode = Decoder({"5": CONTRACT.schemas["history"]}, CONTRACT.schemas["history"])
    restored = ring.StationState()
    for _, _, cell, station in seed.records(CONTRACT, {"boston": folded(feature_table)["boston"]}, PARTITIONS):
        record = decode(encode(ring.to_record(CONTRACT.key, station, cell)))
        assert record["feature_offset"] == -1
        restored.put(ring.from_record(record), CONTRACT.ring_cells)
    whole = fold.new_state()
    compared = 0
    for row in table.rows(rows):
        there = fold.step(whole, row)
        if row["window_end"] > CUTOVER:
            here = fold.step(restored, row)
            assert [a for a in here.inputs if a == a] == [b for b in there.inputs if b == b]
            assert here.completeness == there.completeness == 1.0
            compared += 1
    assert compared > 20


def test_records_carry_key_and_partition_of_the_station(feature_table: Path) -> None:
    one = {"boston": folded(feature_table)["boston"][:1]}
    [(partition, key, cell, station)] = list(seed.records(CONTRACT, one, PARTITIONS))
    assert station == "boston"
    assert partition == cell.partition == seed.partition_of(b"boston", PARTITIONS)
    assert key == f"cell|{cell.cell % CONTRACT.ring_cells}|boston".encode()


def test_covers_compares_cells_and_then_versions() -> None:
    old = Cell(10, 1, 0, 5, 0, -1, (0, ring.version(0, 5)), ())
    assert not seed.covers(None, old)
    assert seed.covers(old, old)
    assert seed.covers(old._replace(cell=11, versions=(0, 0)), old)
    assert not seed.covers(old._replace(cell=9), old)
    assert not seed.covers(old, old._replace(versions=(0, ring.version(0, 6))))
    assert seed.covers(old._replace(versions=(0, ring.version(1, 0))), old)


def params_for(topics: Topics, path: Path) -> SeedParams:
    return SeedParams.parse(
        {
            "namespace": topics.namespace,
            "job": "weather-seed",
            "submission": "s1",
            "fingerprint": CONTRACT.fingerprint,
            "kafka": KafkaAccess(bootstrap=topics.bootstrap, properties={}, secrets_path=None).__dict__,
            "progress_topic": None,
            "progress_schema_id": 0,
            "table_path": str(path),
            "history_topic": topics.names["history"],
            "history_schemas": {str(IDS["history"]): CONTRACT.schemas["history"]},
            "history_schema_id": IDS["history"],
            "partitions": PARTITIONS,
            "cutover_ms": CUTOVER,
        }
    )


@pytest.mark.cluster
def test_run_writes_once_and_never_beside_a_stream(feature_table: Path, addresses: dict[str, Any]) -> None:
    topics = Topics(CONTRACT, addresses["bootstrap"])
    params = params_for(topics, feature_table)
    first = seed.run(CONTRACT, params, Silent())  # type: ignore[arg-type]
    assert first["cells"] > len(CITIES) * (STATION_HOURS - 5)
    assert seed.run(CONTRACT, params, Silent()) == {"cells": 0.0, "unchanged": first["cells"]}  # type: ignore[arg-type]

    producer = Producer({"bootstrap.servers": topics.bootstrap})
    cursor = Encoder(CONTRACT.schemas["history"], IDS["history"])(ring.cursor_record(CONTRACT.key, 2, 17))
    producer.produce(params.history_topic, key=ring.cursor_key(2), value=cursor, partition=2)
    assert producer.flush(30) == 0
    assert seed.run(CONTRACT, params, Silent()) == {"cells": 0.0, "unchanged": 0.0}  # type: ignore[arg-type]


@pytest.mark.cluster
def test_run_refuses_a_history_of_another_schema(feature_table: Path, addresses: dict[str, Any]) -> None:
    topics = Topics(CONTRACT, addresses["bootstrap"])
    params = params_for(topics, feature_table)
    producer = Producer({"bootstrap.servers": topics.bootstrap})
    older = Encoder(CONTRACT.schemas["history"], IDS["history"] + 1000)(ring.cursor_record(CONTRACT.key, 2, 17))
    producer.produce(params.history_topic, key=ring.cursor_key(2), value=older, partition=2)
    assert producer.flush(30) == 0
    with pytest.raises(JobError, match="unknown_schema") as refused:
        seed.run(CONTRACT, params, Silent())  # type: ignore[arg-type]
    assert refused.value.code == "contract_mismatch"


@pytest.mark.cluster
def test_run_refuses_a_table_without_rows_before_the_cutover(feature_table: Path, addresses: dict[str, Any]) -> None:
    topics = Topics(CONTRACT, addresses["bootstrap"])
    params = params_for(topics, feature_table)
    early = SeedParams(**{**params.__dict__, "cutover_ms": epoch_ms("2016-01-01")})
    with pytest.raises(JobError, match="found none"):
        seed.run(CONTRACT, early, Silent())  # type: ignore[arg-type]
