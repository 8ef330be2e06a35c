"""features.py without Kafka: the bytes it writes, and that a steady micro-batch is not compiled anew."""

from __future__ import annotations

import io as bytes_io
import json
from pathlib import Path
from typing import Any

import fastavro
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from spark_jobs.certify import oracle
from spark_jobs.kit import frame, kafka
from spark_jobs.windows import features, plans
from tests import streams
from tests.contracts import WEATHER

T = streams.START_MS
NOW_MS = 1_800_000_000_123


def test_records_are_whole_and_steady_batches_compile_no_large_code(spark: SparkSession, tmp_path: Path) -> None:
    """Each batch may compile the filter by its watermark; a time among the windows' columns would compile them all."""
    all_observations = []
    for i in range(4):
        at = {"raw_partition": 0, "raw_offset": i, "append_time": T}
        reading = {f.name: 1.5 for f in WEATHER.measured}
        o = {WEATHER.key: "a", "event_time": T + i * WEATHER.slide_ms} | reading | at
        all_observations.append(o)
        streams.frame(spark, WEATHER, [o]).coalesce(1).write.mode("append").parquet(str(tmp_path / "in"))
    compiled = spark._jvm.org.apache.spark.metrics.source.CodegenMetrics.METRIC_COMPILATION_TIME()  # type: ignore[union-attr]
    counts: list[int] = []
    written: list[Any] = []

    def publish(batch: DataFrame, _: int) -> None:
        written.extend(features.stamped(features.in_order(batch, 1), NOW_MS).collect())
        counts.append(compiled.getCount())

    raw = spark.readStream.schema(streams.schema(WEATHER)).option("maxFilesPerTrigger", 1).parquet(str(tmp_path / "in"))
    schema = kafka.without_last(WEATHER.schemas["features"], plans.PROCESSING_TIME)
    rows = kafka.framed_rows(plans.in_stream(raw, WEATHER, 3), WEATHER.key, schema, 8, "window_end")
    query = rows.writeStream.outputMode("update").foreachBatch(publish).trigger(availableNow=True)
    query.option("checkpointLocation", str(tmp_path / "checkpoint")).start().awaitTermination()

    full = fastavro.parse_schema(
        json.loads(WEATHER.schemas["features"].replace('"logicalType":"timestamp-millis"', '"u":1'))
    )
    records = []
    for row in written:
        assert row["value"][:5] == frame.prefix(8) and row["key"] == b"a"
        body = bytes_io.BytesIO(row["value"][5:])
        records.append(fastavro.schemaless_reader(body, full))
        assert body.read() == b""
    assert {(r["processing_time"], r["plan_epoch"]) for r in records} == {(NOW_MS, 3)}
    assert oracle.differences(streams.by_window(records, WEATHER), oracle.feature_rows(all_observations, WEATHER)) == []
    assert len(counts) == 4 and counts[3] - counts[2] <= 1


def test_a_new_epoch_begun_in_mid_stream_replaces_no_whole_window_by_a_part_of_it(spark: SparkSession) -> None:
    def published(observations: list[dict[str, Any]], epoch: int, publish_from_ms: int | None) -> dict[Any, Any]:
        raw = streams.frame(spark, WEATHER, observations)
        rows = plans.in_stream(raw, WEATHER, epoch, publish_from_ms).withColumn("processing_time", F.lit(None))
        return streams.by_window(streams.rows(rows.collect(), WEATHER), WEATHER)

    everything = []
    for i in range(40):
        at = {"raw_partition": 0, "raw_offset": i, "append_time": T}
        everything.append(
            {WEATHER.key: "a", "event_time": T + i * 20_000} | {f.name: float(i) for f in WEATHER.measured} | at
        )
    start = T + 8 * 20_000
    covered = [o for o in everything if o["event_time"] >= start]
    first, second = published(everything, 1, None), published(covered, 2, start)
    assert second and first.keys() - second.keys()
    assert oracle.differences(first | second, oracle.feature_rows(everything, WEATHER)) == []
    assert oracle.differences(first | published(covered, 2, None), oracle.feature_rows(everything, WEATHER)) != []


def test_avro_long_is_avros() -> None:
    for value in (0, -1, 1, 63, 64, -64, -65, NOW_MS, 2**63 - 1, -(2**63)):
        out = bytes_io.BytesIO()
        fastavro.schemaless_writer(out, "long", value)
        assert kafka.avro_long(value) == out.getvalue()


def test_without_last_refuses_a_schema_that_ends_otherwise() -> None:
    with pytest.raises(ValueError, match="processing_time"):
        kafka.without_last(WEATHER.schemas["rejects"], plans.PROCESSING_TIME)


def test_a_station_that_leads_by_less_than_it_may_closes_no_window_of_the_others(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Station b is 59 minutes ahead of its clock; what station a sends in the next minutes still counts."""
    published: list[dict[str, Any]] = []
    sent: list[dict[str, Any]] = []

    def observation(key: str, time_ms: int, clock_ms: int) -> dict[str, Any]:
        at = {"raw_partition": 0, "raw_offset": len(sent), "append_time": NOW_MS}
        reading = {f.name: 1.5 for f in WEATHER.measured}
        sent.append({WEATHER.key: key, "event_time": time_ms, "clock_ms": clock_ms} | reading | at)
        return sent[-1]

    for i in range(6):
        clock_ms = T + i * 60_000
        batch = [observation("a", clock_ms, clock_ms), observation("b", clock_ms + 59 * 60_000, clock_ms)]
        arrived = streams.frame(spark, WEATHER, batch).coalesce(1)
        arrived.write.mode("append").parquet(str(tmp_path / "in"))
    raw = spark.readStream.schema(streams.schema(WEATHER)).option("maxFilesPerTrigger", 1).parquet(str(tmp_path / "in"))

    def publish(batch: DataFrame, _: int) -> None:
        published.extend(streams.rows(batch.withColumn("processing_time", F.lit(None)).collect(), WEATHER))

    query = plans.in_stream(raw, WEATHER, 1).writeStream.outputMode("update").foreachBatch(publish)
    query = query.trigger(availableNow=True).option("checkpointLocation", str(tmp_path / "checkpoint")).start()
    query.awaitTermination()
    marks = [p["eventTime"].get("watermark") for p in query.recentProgress if p["numInputRows"] > 0]
    assert marks[-1] == f"{streams.utc(T + 4 * 60_000 - WEATHER.lateness_ms - 1):%Y-%m-%dT%H:%M:%S}.999Z"
    assert oracle.differences(streams.by_window(published, WEATHER), oracle.feature_rows(sent, WEATHER)) == []
