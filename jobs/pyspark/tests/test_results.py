"""Queries: each sink takes a batch once whatever kill comes between, a run replaces itself, where a query goes on."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deltalake
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from spark_jobs.generated.job import JobError
from spark_jobs.generated.params import KafkaAccess, QueryParams
from spark_jobs.queries import meters
from spark_jobs.results import fill, topic
from spark_jobs.results.delta import DeltaSink
from spark_jobs.results.files import ASIDE, FileSink
from spark_jobs.results.sink import MicroBatch, Sink, time_text
from spark_jobs.results.topic import TopicSink
from tests import streams
from tests.contracts import METERS
from tests.kafka_log import Log

T = streams.START_MS
HOUR_MS = 3_600_000


def params(**others: Any) -> QueryParams:
    given: dict[str, Any] = {
        "namespace": "",
        "job": "meters-peaks",
        "submission": "s",
        "fingerprint": METERS.fingerprint,
        "kafka": KafkaAccess("localhost:1", {}, None),
        "progress_topic": None,
        "progress_schema_id": 1,
        "function": "meters.peaks",
        "stream": "raw",
        "raw_topic": "meters-raw",
        "raw_schemas": {"3": METERS.schemas["observation"]},
        "sink": "delta",
        "place": "",
        "checkpoint_path": None,
        "plan_epoch": None,
        "starting_offsets": None,
        "trigger_ms": None,
        "due_ms": None,
        "from_ms": None,
        "to_ms": None,
        "span_ms": None,
        "step_ms": None,
        "from_midnight": False,
        "lines_path": None,
        "tables": [],
        "shuffle_partitions": 1,
        "read_tasks": 1,
    }
    return QueryParams(**(given | others))


def rows_of(kind: str, path: Path) -> list[int]:
    """What a reader of the sink sees, sorted."""
    if not path.exists():
        return []
    if kind == "delta":
        held = deltalake.DeltaTable(str(path)).to_pyarrow_table().to_pylist()
    elif kind == "parquet":
        held = [row for file in path.glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    else:
        held = [json.loads(line) for file in path.glob("*.jsonl") for line in file.read_text("utf-8").splitlines()]
    return sorted(row["n"] for row in held)


SINKS: dict[str, Callable[[SparkSession, str], Sink]] = {
    "delta": lambda spark, path: DeltaSink(spark, path, "meters-peaks"),
    "json_lines": lambda spark, path: FileSink(spark, path, "json_lines"),
    "parquet": lambda spark, path: FileSink(spark, path, "parquet"),
}


def numbers(spark: SparkSession, first: int, end: int) -> DataFrame:
    return spark.range(first, end, numPartitions=2).select(
        F.col("id").alias("n"), F.lit(None).cast("string").alias("x")
    )


@pytest.fixture(params=list(SINKS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_batch_that_comes_twice_is_there_once(spark: SparkSession, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    sink = SINKS[kind](spark, str(path))
    assert not sink.holds(MicroBatch(1, 0))
    filling = fill.Filling(sink, 1, threading.Event())
    filling(numbers(spark, 0, 3), 0)
    filling(numbers(spark, 3, 5), 1)
    assert rows_of(kind, path) == [0, 1, 2, 3, 4]
    # A process that was killed before the checkpoint heard of it: the same batch, another writer.
    again = fill.Filling(SINKS[kind](spark, str(path)), 1, threading.Event())
    again(numbers(spark, 3, 5), 1)
    assert rows_of(kind, path) == [0, 1, 2, 3, 4]
    assert again.holds(MicroBatch(1, 1)) and again.holds(MicroBatch(1, 0)) and not again.holds(MicroBatch(1, 2))
    assert not again.holds(MicroBatch(2, 0))
    # Another epoch counts its batches from 0 again.
    after = fill.Filling(SINKS[kind](spark, str(path)), 2, threading.Event())
    after(numbers(spark, 5, 6), 0)
    assert rows_of(kind, path) == [0, 1, 2, 3, 4, 5]
    assert after.holds(MicroBatch(2, 0))


def fails_half_way(rows: DataFrame) -> DataFrame:
    """The second of two partitions fails once the first has been written."""
    fail = F.when(F.col("n") >= 4, F.raise_error(F.lit("killed"))).otherwise(F.lit(None).cast("string"))
    return rows.withColumn("x", fail.cast("string"))


def test_a_batch_that_died_half_way_leaves_nothing_a_reader_sees(
    spark: SparkSession, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "out"
    sink = SINKS[kind](spark, str(path))
    sink.append(numbers(spark, 0, 2), MicroBatch(1, 0))
    with pytest.raises(Exception, match="killed"):
        sink.append(fails_half_way(numbers(spark, 2, 6)), MicroBatch(1, 1))
    assert rows_of(kind, path) == [0, 1] and not sink.holds(MicroBatch(1, 1))
    SINKS[kind](spark, str(path)).append(numbers(spark, 2, 6), MicroBatch(1, 1))
    assert rows_of(kind, path) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("kind", ["json_lines", "parquet"])
def test_a_file_appears_whole_or_not_at_all(
    spark: SparkSession, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the writing and the rename: the batch is aside, and the next attempt puts it in its place."""
    path = tmp_path / "out"

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("spark_jobs.results.files.rename_over", killed)
        with pytest.raises(KeyboardInterrupt):
            SINKS[kind](spark, str(path)).append(numbers(spark, 0, 3), MicroBatch(1, 0))
    assert [f.name for f in path.iterdir()] == [ASIDE] and rows_of(kind, path) == []
    SINKS[kind](spark, str(path)).append(numbers(spark, 0, 3), MicroBatch(1, 0))
    assert rows_of(kind, path) == [0, 1, 2]
    assert [f.name for f in (path / ASIDE).iterdir()] == []


def test_a_run_replaces_what_the_same_run_left(spark: SparkSession, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    sink = SINKS[kind](spark, str(path))
    sink.replace(numbers(spark, 0, 3), T)
    sink.replace(numbers(spark, 10, 12), T + HOUR_MS)
    assert rows_of(kind, path) == [0, 1, 2, 10, 11]
    SINKS[kind](spark, str(path)).replace(numbers(spark, 1, 5), T)
    assert rows_of(kind, path) == [1, 2, 3, 4, 10, 11]
    sink.replace(numbers(spark, 0, 0), T)
    assert rows_of(kind, path) == [10, 11]


def test_json_lines_carry_every_field(spark: SparkSession, tmp_path: Path) -> None:
    FileSink(spark, str(tmp_path / "out"), "json_lines").replace(numbers(spark, 0, 1), T)
    (file,) = (tmp_path / "out").glob("*.jsonl")
    assert file.name == f"{time_text(T)}.jsonl" == "2017-03-07T00-00-00Z.jsonl"
    assert file.read_text("utf-8") == '{"n":0,"x":null}\n'


def records(log: Log) -> list[int]:
    return sorted(json.loads(r.value)["n"] for r in log.committed())


def topic_sink(log: Log) -> TopicSink:
    return TopicSink({}, "out", "n", "meters-peaks", producer=log.producer, consumer=log.consumer)


def test_a_topic_takes_a_batch_once_whenever_its_writer_is_killed(spark: SparkSession) -> None:
    log = Log(partitions=3)
    sink = topic_sink(log)
    sink.append(numbers(spark, 0, 5), MicroBatch(1, 0))
    assert records(log) == [0, 1, 2, 3, 4]
    assert {r.key for r in log.committed()} == {b"0", b"1", b"2", b"3", b"4"}
    # Killed after the commit, before the checkpoint heard of it.
    again = topic_sink(log)
    assert again.holds(MicroBatch(1, 0)) and not again.holds(MicroBatch(1, 1))
    again.append(numbers(spark, 0, 5), MicroBatch(1, 0))
    assert records(log) == [0, 1, 2, 3, 4]
    # Killed half-way: the transaction stays open until the next writer fences it.
    with pytest.raises(Exception, match="killed"):
        again.append(fails_half_way(numbers(spark, 2, 8)), MicroBatch(1, 1))
    again._producer.begin_transaction()
    again._producer.produce("out", key="9", value=b'{"n":9}', headers=[("batch", b"1-1")])
    third = topic_sink(log)
    assert records(log) == [0, 1, 2, 3, 4] and not third.holds(MicroBatch(1, 1))
    third.append(numbers(spark, 5, 7), MicroBatch(1, 1))
    assert records(log) == [0, 1, 2, 3, 4, 5, 6]
    # Behind hundreds of aborted records the last batch is found all the same.
    third._producer.begin_transaction()
    for _ in range(200):
        third._producer.produce("out", key="9", value=b'{"n":9}', headers=[("batch", b"1-2")])
    assert topic_sink(log).holds(MicroBatch(1, 1))


def test_a_batch_name_is_read_from_its_header() -> None:
    assert topic.batch_of([("clock", b"1"), ("batch", b"2-17")]) == MicroBatch(2, 17)
    assert topic.batch_of(None) is None


def test_a_stopped_query_begins_no_batch(spark: SparkSession, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    filling = fill.Filling(FileSink(spark, str(tmp_path), "json_lines"), 1, stop)
    with pytest.raises(InterruptedError):
        filling(numbers(spark, 0, 1), 0)


def checkpoint(folder: Path, planned: int, committed: int) -> None:
    for what, count in (("offsets", planned), ("commits", committed)):
        (folder / what).mkdir(parents=True)
        for n in range(count):
            text = ["v1", '{"batchWatermarkMs":0}', json.dumps({"meters-raw": {"0": 10 * (n + 1)}})]
            (folder / what / str(n)).write_text("\n".join(text))


def test_a_new_epoch_goes_on_behind_what_the_last_one_handed_to_its_sink(spark: SparkSession, tmp_path: Path) -> None:
    def begins(epoch: int, holds: bool) -> str:
        path = str(tmp_path / f"meters-peaks-{'ab' * 6}-e{epoch}")
        given = params(checkpoint_path=path, plan_epoch=epoch, starting_offsets="earliest")
        return fill.first_offsets(spark, given, lambda _: holds)

    assert begins(1, False) == "earliest"
    checkpoint(tmp_path / f"meters-peaks-{'cd' * 6}-e1", planned=3, committed=2)
    checkpoint(tmp_path / f"meters-other-{'cd' * 6}-e1", planned=9, committed=9)
    # The third batch was planned; whether it reached the sink is the sink's to say.
    assert json.loads(begins(2, False)) == {"meters-raw": {"0": 20}}
    assert json.loads(begins(2, True)) == {"meters-raw": {"0": 30}}
    assert begins(3, True) == "earliest"
    checkpoint(tmp_path / f"meters-peaks-{'ab' * 6}-e2", planned=1, committed=0)
    assert begins(2, True) == "earliest"


def test_a_runs_range_follows_from_its_due_time() -> None:
    run = params(due_ms=T + 13 * HOUR_MS + 300_000, span_ms=24 * HOUR_MS, step_ms=HOUR_MS)
    assert fill.range_of(run) == (T - 11 * HOUR_MS, T + 13 * HOUR_MS)
    assert fill.range_of(params(due_ms=T, span_ms=HOUR_MS, step_ms=HOUR_MS)) == (T - HOUR_MS, T)
    asked = params(due_ms=T, span_ms=HOUR_MS, step_ms=HOUR_MS, from_ms=T + 1, to_ms=T + 7)
    assert fill.range_of(asked) == (T + 1, T + 7)
    with pytest.raises(JobError) as refused:
        fill.range_of(params())
    assert refused.value.code == "config_invalid"


def observation(key: str, time_ms: int, power: float, offset: int) -> dict[str, Any]:
    reading: dict[str, Any] = {f.name: None for f in METERS.measured} | {"power": power, "energy": 1.0}
    at = {"raw_partition": 0, "raw_offset": offset, "append_time": time_ms}
    return {METERS.key: key, "event_time": time_ms, "clock_ms": time_ms} | reading | at


def test_a_run_sees_its_range_once_each_start_inclusive_end_exclusive(spark: SparkSession) -> None:
    sent = [
        observation("a", T - 1, 1.0, 0),
        observation("a", T, 2.0, 1),
        observation("a", T, 3.0, 2),
        observation("b", T + HOUR_MS - 1, 4.0, 3),
        observation("b", T + HOUR_MS, 5.0, 4),
    ]
    within = fill.range_input(streams.frame(spark, METERS, sent), METERS, T, T + HOUR_MS)
    rows = [r.asDict() for r in meters.hours(within).collect()]
    assert [(r["meter"], r["readings"], r["power_mean"], r["energy_sum"]) for r in rows] == [
        ("a", 1, 2.0, 1.0),
        ("b", 1, 4.0, 1.0),
    ]


def test_a_function_is_found_by_its_name_or_refused() -> None:
    assert fill.query_function("meters.hours") is meters.hours
    for name in ("meters.nothing", "nothing.hours"):
        with pytest.raises(JobError, match="nothing"):
            fill.query_function(name)


def test_a_stream_killed_after_its_write_leaves_each_row_once(spark: SparkSession, tmp_path: Path) -> None:
    """A real checkpoint: the last commit is lost, as by a kill after the sink and before the checkpoint."""
    given = tmp_path / "in"
    streams.frame(spark, METERS, [observation("a", T, 50.0, 0), observation("b", T, 1.0, 1)]).write.parquet(str(given))

    def run_through() -> None:
        raw = spark.readStream.schema(streams.schema(METERS)).parquet(str(given))
        filling = fill.Filling(FileSink(spark, str(tmp_path / "out"), "json_lines"), 1, threading.Event())
        query = meters.peaks(fill.stream_input(raw, METERS)).writeStream.outputMode("append").foreachBatch(filling)
        query = query.trigger(availableNow=True).option("checkpointLocation", str(tmp_path / "checkpoint")).start()
        query.awaitTermination()

    def lines() -> list[str]:
        return [line for f in (tmp_path / "out").glob("*.jsonl") for line in f.read_text("utf-8").splitlines()]

    run_through()
    first = lines()
    assert [json.loads(line)["meter"] for line in first] == ["a"]
    for commit in (tmp_path / "checkpoint" / "commits").iterdir():
        commit.unlink()
    run_through()
    assert lines() == first
