"""backfill.py on staged files: rows and rejects in Delta, ranges replaced whole, a second run the same as the first."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import deltalake
import fastavro
import pytest
from pyspark.sql import SparkSession
from spark_jobs.archive import archive
from spark_jobs.certify import oracle
from spark_jobs.generated.job import JobError
from spark_jobs.generated.params import BackfillParams
from spark_jobs.kit import frame
from spark_jobs.windows import backfill, plans
from tests import streams, test_archive
from tests.contracts import WEATHER

T = streams.START_MS
SLIDE = WEATHER.slide_ms


def staged(path: Path, offset: int, readings: list[dict[str, Any]]) -> list[oracle.Observation]:
    """Writes a container file as the source stages it; returns the same as observations for the oracle."""
    schema = json.loads(WEATHER.schemas["observation"])
    schema["fields"] += [{"name": "offset", "type": "long"}, {"name": "clock", "type": ["null", "long"]}]
    rows = []
    for i, reading in enumerate(readings):
        row: dict[str, Any] = {f["name"]: None for f in schema["fields"]} | {"offset": offset + i, "clock": None}
        rows.append(row | reading)
    with path.open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(schema), rows)
    at = {"raw_partition": 0}
    return [
        row
        | at
        | {"event_time": row["timestamp"], "raw_offset": row["offset"], "append_time": row["clock"] or row["timestamp"]}
        for row in rows
    ]


def params(tmp_path: Path, files: list[Path], from_ms: int | None = None, to_ms: int | None = None) -> BackfillParams:
    return BackfillParams(
        namespace="",
        job="weather-backfill",
        submission="test",
        fingerprint=WEATHER.fingerprint,
        kafka=None,
        progress_schema_id=1,
        progress_topic=None,
        raw_topic=None,
        starting_offsets=None,
        ending_offsets=None,
        raw_schemas={},
        archive_path=None,
        files=tuple(str(f) for f in files),
        from_ms=from_ms,
        to_ms=to_ms,
        table_path=str(tmp_path / "features"),
        rejects_path=str(tmp_path / "rejects"),
        shuffle_partitions=2,
    )


def rows(path: Path) -> dict[tuple[str, int], dict[str, Any]]:
    found = deltalake.DeltaTable(str(path)).to_pyarrow_table().to_pylist()
    times = ("window_start", "window_end", "max_event_time", "raw_append_time", "processing_time")
    for row in found:
        row |= {name: round(row[name].timestamp() * 1000) for name in times}
    keyed = {(row["station_id"], row["window_end"]): row for row in found}
    assert len(keyed) == len(found)
    return keyed


def test_a_table_is_shuffled_once(spark: SparkSession, tmp_path: Path) -> None:
    """By station, for the whole plan: each later step finds its rows where they are, and a station in one file."""
    staged(tmp_path / "a.avro", 0, [{"station_id": "s", "timestamp": T, "temperature": 1.0, "clock": T}])
    run = params(tmp_path, [tmp_path / "a.avro"])
    observations, _ = backfill.read(spark, WEATHER, run)
    most = "spark.sql.maxPlanStringLength"
    kept = spark.conf.get(most)
    spark.conf.set(most, "1000000")
    try:
        plan = plans.in_table(observations, WEATHER, run)._jdf.queryExecution().executedPlan().toString()
    finally:
        spark.conf.set(most, str(kept))
    assert plan.count("Exchange hashpartitioning(") == 1


def test_staged_files_become_the_oracles_rows_and_a_second_run_changes_nothing(
    spark: SparkSession, tmp_path: Path
) -> None:
    good = [
        {"station_id": f"s{i % 3}", "timestamp": T + i * 20_000, "temperature": 20 + i / 10, "clock": T + i * 20_000}
        for i in range(60)
    ]
    late = {"station_id": "s0", "timestamp": T, "temperature": 1.0, "clock": T + WEATHER.lateness_ms + 1}
    wrong = {"station_id": "s1", "timestamp": T, "temperature": 99.0, "clock": T}
    ahead = {"station_id": "s1", "timestamp": T + WEATHER.lead_ms + 1, "clock": T}
    first = staged(tmp_path / "a.avro", 0, [*good[:30], wrong])
    second = staged(tmp_path / "b.avro", 31, [*good[30:], late, ahead])
    kept = [o for o in first + second if o["raw_offset"] != 62]
    run = params(tmp_path, [tmp_path / "a.avro", tmp_path / "b.avro"])

    counters = backfill.write(spark, WEATHER, run)
    assert oracle.differences(rows(tmp_path / "features"), oracle.feature_rows(kept, WEATHER)) == []
    assert {row["plan_epoch"] for row in rows(tmp_path / "features").values()} == {0}
    found = deltalake.DeltaTable(run.rejects_path).to_pyarrow_table().to_pylist()
    assert sorted((r["topic"], r["offset"], r["field"], r["reason"]) for r in found) == [
        ("a.avro", 30, "temperature", "out_of_range"),
        ("a.avro", 62, None, "time_jump"),
    ]
    assert counters == {"input_rows": 62.0, "late_rows": 1.0, "rejected_rows": 2.0} | {
        "published_rows": float(len(rows(tmp_path / "features")))
    }

    before = rows(tmp_path / "features")
    assert backfill.write(spark, WEATHER, run) == counters
    after = rows(tmp_path / "features")
    assert {at: row | {"processing_time": 0} for at, row in after.items()} == {
        at: row | {"processing_time": 0} for at, row in before.items()
    }
    assert len(deltalake.DeltaTable(run.rejects_path).to_pyarrow_table()) == 2

    # A range replaces its windows only: those at and after `from`, before `to`.
    cut = T + 5 * SLIDE
    again = staged(tmp_path / "a.avro", 0, [reading | {"temperature": 0.5} for reading in good])
    backfill.write(spark, WEATHER, params(tmp_path, [tmp_path / "a.avro"], cut, cut + 3 * SLIDE))
    mixed = {at: row for at, row in oracle.feature_rows(kept, WEATHER).items() if not cut <= at[1] < cut + 3 * SLIDE}
    mixed |= {at: row for at, row in oracle.feature_rows(again, WEATHER).items() if cut <= at[1] < cut + 3 * SLIDE}
    assert oracle.differences(rows(tmp_path / "features"), mixed) == []
    assert deltalake.DeltaTable(run.table_path).version() == 2


def test_without_an_input_the_configuration_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        backfill.write(spark, WEATHER, params(tmp_path, []))
    assert caught.value.code == "config_invalid"


def test_an_archive_becomes_the_oracles_rows_by_what_its_bytes_say_now(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "archive"
    kept = test_archive.params(path)
    archive.opened(spark, WEATHER, kept, "topic-1")
    wanted = []
    records = []
    for i in range(20):
        station, at = f"s{i % 2}", T + i * 30_000
        # The last ones have a writer nobody knew when they were archived.
        writer = 7 if i < 16 else 12
        value = frame.prefix(writer) + test_archive.encoded(7, station, at, temperature=i / 10)[5:]
        records.append(test_archive.record(i, value, station.encode(), append_ms=at))
        place = {"raw_partition": 0, "raw_offset": i, "append_time": at}
        reading = {f.name: None for f in WEATHER.measured} | {"temperature": i / 10}
        wanted.append({"station_id": station, "event_time": at} | reading | place)
    records.append(test_archive.record(20, b"not framed", append_ms=T))
    test_archive.append(spark, path, records)
    known = test_archive.TEXTS | {"12": test_archive.TEXTS["7"]}
    run = replace(
        params(tmp_path, []),
        raw_topic="raw",
        raw_schemas=known,
        archive_path=str(path),
        starting_offsets='{"raw": {"0": 2}}',
        ending_offsets='{"raw": {"0": 21}}',
    )
    counters = backfill.write(spark, WEATHER, run)
    assert (counters["input_rows"], counters["rejected_rows"]) == (18.0, 1.0)
    assert oracle.differences(rows(tmp_path / "features"), oracle.feature_rows(wanted[2:], WEATHER)) == []

    def refused(other: BackfillParams) -> JobError:
        before = deltalake.DeltaTable(run.table_path).version(), deltalake.DeltaTable(run.rejects_path).version()
        with pytest.raises(JobError) as caught:
            backfill.write(spark, WEATHER, other)
        after = deltalake.DeltaTable(run.table_path).version(), deltalake.DeltaTable(run.rejects_path).version()
        assert before == after
        return caught.value

    assert "got none" in str(refused(replace(run, from_ms=T + 86_400_000, to_ms=T + 2 * 86_400_000)))
    assert refused(replace(run, archive_path=str(tmp_path / "nothing"))).code == "config_invalid"
    assert 'expected topic "other"' in str(refused(replace(run, raw_topic="other")))
    kelvin = test_archive.TEXTS["7"].replace('"degC"', '"K"')
    assert "schema id 7" in str(refused(replace(run, raw_schemas=known | {"7": kelvin})))
    # A range goes only into a table whose other rows mean the same.
    meant = replace(WEATHER, lead_ms=WEATHER.lead_ms + 1)
    with pytest.raises(JobError, match="expected rows of contract"):
        backfill.write(spark, meant, replace(run, from_ms=T, to_ms=None))


def test_of_input_names_exactly_the_offsets_read(tmp_path: Path) -> None:
    offsets = {
        "raw_topic": "r",
        "starting_offsets": '{"r": {"0": 5, "1": -2}}',
        "ending_offsets": '{"r": {"0": 9, "1": 7}}',
    }
    kafka = params(tmp_path, []).__class__(**(params(tmp_path, []).__dict__ | offsets))
    assert backfill.of_input(kafka) == (
        "topic = 'r' AND ((partition = 0 AND offset >= 5 AND offset < 9) OR (partition = 1 AND offset < 7))"
    )
    assert backfill.of_input(params(tmp_path, [Path("/x/it's.avro")])) == "topic = 'it\\'s.avro'"
