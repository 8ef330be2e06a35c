"""archive.py without Kafka: what becomes of each record, what the table says of itself, compaction beside appends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import deltalake
import pytest
from pyspark.sql import SparkSession
from spark_jobs.archive import archive
from spark_jobs.generated.job import JobError
from spark_jobs.generated.params import ArchiveParams, KafkaAccess
from spark_jobs.kit import table
from spark_jobs.windows import decode
from tests.contracts import METERS, WEATHER
from tests.test_decode import FAULTS, RAW, SCHEMAS, T, encoded, record

TEXTS = {str(i): schema for i, schema in SCHEMAS.items()}


@pytest.fixture(autouse=True)
def settings(spark: SparkSession) -> Iterator[None]:
    """The job's own session settings, for these tests alone."""
    before = {name: spark.conf.get(name, None) for name in archive.SQL_CONF}
    for name, value in archive.SQL_CONF.items():
        spark.conf.set(name, value)
    yield
    for name, given in before.items():
        if given is None:
            spark.conf.unset(name)
        else:
            spark.conf.set(name, given)


def params(path: Path, **others: Any) -> ArchiveParams:
    given = ArchiveParams(
        namespace="",
        job="weather-archive",
        submission="test",
        fingerprint=WEATHER.fingerprint,
        kafka=KafkaAccess("127.0.0.1:1", {}, None),
        progress_topic=None,
        progress_schema_id=1,
        raw_topic="raw",
        raw_schemas=TEXTS,
        table_path=str(path),
        trigger_ms=30_000,
        batch_records=1_000_000,
        compact_ms=600_000,
        file_bytes=128 << 20,
        vacuum_ms=21_600_000,
        retention_ms=86_400_000,
    )
    return replace(given, **others)


def append(spark: SparkSession, path: Path, records: list[tuple[Any, ...]]) -> None:
    raw = spark.createDataFrame(records, RAW).coalesce(1)
    archive.rows(raw, WEATHER, SCHEMAS).write.format("delta").mode("append").save(str(path))


def test_every_record_is_kept_with_its_bytes_and_read_beside_spark(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "archive"
    archive.opened(spark, WEATHER, params(path), "topic-1")
    faulty = [(reason, (*r[:2], 100 + i, *r[3:])) for i, (reason, r) in enumerate(FAULTS.values())]
    good = record(1, encoded(temperature=20.5, humidity=float("nan")), append_ms=T + 86_400_000)
    wild = record(2, encoded(temperature=999.0), headers=[("clock", str(T).encode()), ("clock", None)])
    year_1 = record(3, encoded(time_ms=decode.TIME_MIN_MS), headers=[("clock", str(decode.TIME_MIN_MS).encode())])
    records = [good, wild, year_1, *(r for _, r in faulty)]
    append(spark, path, records)

    held = deltalake.DeltaTable(str(path)).to_pyarrow_table().to_pylist()
    assert sorted(row["offset"] for row in held) == sorted(r[2] for r in records)
    by_offset = {row["offset"]: row for row in held}
    for _, partition, offset, key, value, append_time, _ in records:
        row = by_offset[offset]
        assert (row["topic"], row["partition"], row["key"], row["value"]) == ("raw", partition, key, value)
        assert row["append_time"] == append_time
    for reason, r in faulty:
        assert by_offset[r[2]]["reason"] == reason, r
    day = datetime.fromtimestamp(T / 1000, UTC).date()
    first, second = by_offset[1], by_offset[2]
    assert (first["reason"], first["schema_id"], first["station_id"], first["temperature"]) == (None, 7, "a", 20.5)
    # The day of an observation is its own, not that of its arrival; a value out of its range stands as it was said.
    assert first["event_date"] == day and first["event_time"].timestamp() * 1000 == T
    assert second["temperature"] == 999.0 and [h["key"] for h in second["headers"]] == ["clock", "clock"]
    assert by_offset[3]["event_date"].year == 1
    # Of any other record it is its clock's: ten years ahead opens no partition, a clock that is behind counts, be it by
    # a day or by all the years there are.
    back = {day - timedelta(days=1), datetime(1, 1, 1, tzinfo=UTC).date()}
    assert {row["event_date"] for row in held if row["offset"] >= 100} == {day} | back


def test_compaction_and_vacuum_change_no_row(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "archive"
    archive.opened(spark, WEATHER, params(path), "topic-1")
    for i in range(4):
        append(spark, path, [record(i, encoded(temperature=float(i)))])
    before = deltalake.DeltaTable(str(path))
    assert len(before.file_uris()) == 4
    assert archive.compact(spark, str(path)) == 4.0
    archive.vacuum(spark, str(path))
    after = deltalake.DeltaTable(str(path))
    assert len(after.file_uris()) == 1
    # A reader that holds the version before goes on reading: its files stay for the retention.
    assert before.to_pyarrow_table().sort_by("offset") == after.to_pyarrow_table().sort_by("offset")
    assert archive.compact(spark, str(path)) == 0.0


def test_the_table_says_what_its_bytes_need_and_refuses_what_does_not_belong(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = tmp_path / "archive"
    ours = params(path)
    archive.opened(spark, WEATHER, ours, "topic-1")
    known = table.properties(spark, str(path))
    assert table.schemas(known) == SCHEMAS
    assert known[table.FINGERPRINT] == WEATHER.fingerprint
    version = deltalake.DeltaTable(str(path)).version()
    archive.opened(spark, WEATHER, ours, "topic-1")
    assert deltalake.DeltaTable(str(path)).version() == version

    def refused(other: ArchiveParams, topic_id: str = "topic-1") -> JobError:
        with pytest.raises(JobError) as caught:
            archive.opened(spark, WEATHER, other, topic_id)
        return caught.value

    assert "topic-2" in str(refused(ours, "topic-2"))
    assert refused(replace(ours, raw_topic="other")).code == "config_invalid"
    another = refused(replace(ours, raw_schemas=TEXTS | {"7": TEXTS["9"]}))
    assert another.code == "contract_mismatch" and "schema id 7" in str(another)
    # New writers and better words are no conflict.
    documented = json.dumps(json.loads(TEXTS["7"]) | {"doc": "better"})
    archive.opened(spark, WEATHER, replace(ours, raw_schemas={"7": documented, "11": TEXTS["9"]}), "topic-1")
    assert sorted(table.schemas(table.properties(spark, str(path)))) == [7, 8, 9, 10, 11]
    kelvin = TEXTS["7"].replace('"degC"', '"K"')
    with pytest.raises(JobError, match='expected "temperature" in degC, its records of schema 12 have K'):
        table.check_units({12: kelvin}, WEATHER, "x")


def test_settings_have_bounds() -> None:
    archive.check(params(Path("x")))
    for name, (low, high) in archive.BOUNDS.items():
        for value in (low - 1, high + 1):
            with pytest.raises(JobError, match=f'"{name}" {value}: expected {low} to {high}'):
                archive.check(params(Path("x"), **{name: value}))


def test_a_field_named_like_a_column_of_the_record_has_a_name_of_its_own() -> None:
    taken = replace(METERS.fields[3], name="value")
    assert archive.column(taken) == "said_value"


def test_an_hdfs_that_does_not_answer_is_named_with_what_to_do() -> None:
    refused = Exception("java.net.ConnectException: Call From here to 127.0.0.1:9820 failed on connection exception")
    error = table.unreachable(refused, "hdfs://127.0.0.1:9820/archive/x")
    assert error is not None and error.code == "store_unreachable"
    assert 'table "hdfs://127.0.0.1:9820/archive/x"' in str(error) and "millrace up --with hdfs" in str(error)
    # Whatever refused, it was not HDFS.
    assert table.unreachable(refused, "/archive/x") is None
    assert table.unreachable(Exception("java.lang.OutOfMemoryError"), "hdfs://127.0.0.1:9820/archive/x") is None
