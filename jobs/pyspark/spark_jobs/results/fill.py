"""The job of one query: accepted observations of a stream through a function of the domain into a sink.

As a stream, on a checkpoint of its own; or for a schedule, one run over a range of event time that follows from its due
time. What is computed stands in spark_jobs/queries; this file runs it, and knows no domain.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery
from spark_jobs.generated.contract import Contract
from spark_jobs.generated.job import JobError, Reporter, kafka_config
from spark_jobs.generated.params import QueryParams
from spark_jobs.kit import kafka, session, table
from spark_jobs.kit.client import java_client
from spark_jobs.kit.heartbeat import heartbeat
from spark_jobs.kit.progress import Progress
from spark_jobs.kit.query import STOP_REQUESTED, follow
from spark_jobs.results import lines
from spark_jobs.results.delta import DeltaSink
from spark_jobs.results.files import FileSink
from spark_jobs.results.sink import MicroBatch, Sink, counted
from spark_jobs.results.topic import TopicSink
from spark_jobs.results.versions import VersionSink
from spark_jobs.windows import decode, plans, windows

DAY_MS = 86_400_000

Function = Callable[[DataFrame], DataFrame]
# Of the sink versions.
TablesFunction = Callable[[DataFrame], Mapping[str, DataFrame]]


def run(contract: Contract, params: QueryParams, reporter: Reporter) -> dict[str, float]:
    """Runs until it is asked to stop, or once; returns the last counters.

    Raises JobError config_invalid for a function that is not there, store_unreachable for an HDFS that does not answer.
    """
    contract = contract.in_stream(params.stream)
    function = query_function(params.function)
    settings = {"spark.sql.shuffle.partitions": str(params.shuffle_partitions)}
    app_conf = dict(session.APP_CONF) | (dict(table.DELTA_CONF) if params.sink == "delta" else {})
    streams = params.checkpoint_path is not None
    try:
        if streams:
            with session.opened(app_conf, dict(session.SQL_CONF) | settings) as spark:
                return run_on(spark, contract, params, function, reporter)
        spark = session.configure(SparkSession.builder, app_conf, dict(session.BATCH_CONF) | settings)
        try:
            with heartbeat(spark, reporter):
                if params.sink == "versions":
                    return run_version(spark, contract, params, function)
                return run_once(spark, contract, params, function, sink_of(spark, contract, params))
        finally:
            spark.stop()
    except (PySparkException, Py4JJavaError) as error:
        refused = table.unreachable(error, params.place)
        if refused is None:
            raise
        raise refused from error


def run_on(
    spark: SparkSession, contract: Contract, params: QueryParams, function: Function, reporter: Reporter
) -> dict[str, float]:
    """The query as a stream, until it is asked to stop."""
    stop, progress = threading.Event(), Progress()
    filling = Filling(sink_of(spark, contract, params), required(params.plan_epoch), stop)
    with progress.listen(spark):
        query = start(spark, contract, params, function, filling)
        return follow(spark, [query], lambda: counters(query, progress, filling), reporter, stop)


def query_function(name: str) -> Function:
    """A function of the domain by `<module>.<name>`. Errors: JobError config_invalid."""
    module, _, word = name.partition(".")
    try:
        found: Function = getattr(import_module(f"spark_jobs.queries.{module}"), word)
    except (ImportError, AttributeError) as error:
        raise JobError(
            "config_invalid", f'Cannot run query "{name}": expected that function in spark_jobs/queries, got {error}'
        ) from error
    return found


def sink_of(spark: SparkSession, contract: Contract, params: QueryParams) -> Sink:
    if params.sink == "delta":
        return DeltaSink(spark, params.place, params.job)
    if params.sink == "kafka":
        writer = kafka.in_namespace(params.namespace, params.job)
        return TopicSink(kafka_config(params.kafka), params.place, contract.key, writer)
    return FileSink(spark, params.place, params.sink)


def required(value: int | None) -> int:
    if value is None:
        raise JobError("config_invalid", "Cannot run a query as a stream: expected an epoch and a trigger, got none")
    return value


class Filling:
    """What becomes of a micro-batch: the foreachBatch function of a query.

    `written` counts the rows that were handed to the sink since this process started.
    """

    def __init__(self, sink: Sink, epoch: int, stop: threading.Event) -> None:
        self._sink, self._epoch, self._stop = sink, epoch, stop
        self.written = 0

    def __call__(self, rows: DataFrame, number: int) -> None:
        # A batch that has not begun is not begun: its offsets are in the log, the next start repeats it whole.
        if self._stop.is_set():
            raise InterruptedError(STOP_REQUESTED)
        with counted(rows) as (held, count):
            if count > 0:
                self._sink.append(held, MicroBatch(self._epoch, number))
        self.written += count

    def holds(self, batch: MicroBatch) -> bool:
        return self._sink.holds(batch)


def start(
    spark: SparkSession, contract: Contract, params: QueryParams, function: Function, filling: Filling
) -> StreamingQuery:
    client = java_client(kafka_config(params.kafka))
    offsets = first_offsets(spark, params, filling.holds)
    group = kafka.in_namespace(params.namespace, f"spark-{params.job}")
    raw = kafka.read_stream(spark, client, params.raw_topic, offsets, group)
    observations, _ = decode.decode(raw.coalesce(params.read_tasks), contract, writer_schemas(params))
    rows = function(stream_input(observations, contract))
    return (
        rows.writeStream.queryName(params.job)
        # Rows that will not change any more, each once.
        .outputMode("append")
        .foreachBatch(filling)
        .trigger(processingTime=f"{required(params.trigger_ms)} milliseconds")
        .option("checkpointLocation", params.checkpoint_path or "")
        .start()
    )


def stream_input(observations: DataFrame, contract: Contract) -> DataFrame:
    """What a function sees of a stream: with a watermark, and without repeats where nobody else keeps them out."""
    late = plans.with_watermark(observations, contract.lateness_ms + 1)
    return windows.first_in_stream(late, contract) if contract.duplicates == "engine" else late


def writer_schemas(params: QueryParams) -> dict[int, str]:
    return {int(schema_id): schema for schema_id, schema in params.raw_schemas.items()}


CHECKPOINT = re.compile(r"(.+)-[0-9a-f]{12}-e(\d+)")


def first_offsets(spark: SparkSession, params: QueryParams, holds: Callable[[MicroBatch], bool]) -> str:
    """Where a new checkpoint begins, as Spark's JSON: behind what the epoch before has handed to the sink, else where
    the parameters say. A checkpoint that has begun goes on by itself.

    The state of the epoch before is gone; its rows are neither repeated nor left out.
    """
    path = params.checkpoint_path or ""
    begun = numbers_in(spark, f"{path}/offsets")
    before = previous(spark, path, required(params.plan_epoch))
    if begun or before is None:
        return params.starting_offsets or "earliest"
    planned, committed = numbers_in(spark, f"{before}/offsets"), numbers_in(spark, f"{before}/commits")
    if not planned:
        return params.starting_offsets or "earliest"
    # A batch that was planned and not committed may have reached the sink all the same.
    done = (
        planned[-1] if holds(MicroBatch(required(params.plan_epoch) - 1, planned[-1])) else max(committed, default=-1)
    )
    return offsets_after(spark, before, done) if done >= 0 else params.starting_offsets or "earliest"


def previous(spark: SparkSession, path: str, epoch: int) -> str | None:
    """The checkpoint of the epoch before, beside this one; None without one."""
    folder, _, own = path.rpartition("/")
    mine = CHECKPOINT.fullmatch(own)
    for name in table.names_in(spark, folder):
        other = CHECKPOINT.fullmatch(name)
        if mine and other and other[1] == mine[1] and int(other[2]) == epoch - 1:
            return f"{folder}/{name}"
    return None


def numbers_in(spark: SparkSession, folder: str) -> list[int]:
    return sorted(int(name) for name in table.names_in(spark, folder) if name.isdigit())


def offsets_after(spark: SparkSession, checkpoint: str, batch: int) -> str:
    """Where the batch ended. Source: Spark's checkpoint, whose `offsets/<batch>` hold a version, then the batch's
    metadata, then its end offsets."""
    lines = spark.sparkContext.textFile(f"{checkpoint}/offsets/{batch}").collect()
    return json.dumps(json.loads(lines[2]))


def counters(query: StreamingQuery, progress: Progress, filling: Filling) -> dict[str, float]:
    said = progress.counters(str(query.name))
    said["written_rows"] = float(filling.written)
    said.pop("output_rows", None)
    return said


def run_once(
    spark: SparkSession, contract: Contract, params: QueryParams, function: Function, sink: Sink
) -> dict[str, float]:
    """One run over the range of its due time. A run that is repeated replaces what it left, also where by now there are
    observations that came late."""
    from_ms, to_ms = range_of(params)
    observations = read_range(spark, contract, params, from_ms, to_ms)
    with counted(function(range_input(observations, contract, from_ms, to_ms))) as (rows, count):
        sink.replace(rows, to_ms)
    return {"written_rows": float(count), "from_ms": float(from_ms), "to_ms": float(to_ms)}


def run_version(
    spark: SparkSession, contract: Contract, params: QueryParams, function: Callable[[DataFrame], Any]
) -> dict[str, float]:
    """One run whose function returns several frames. They become one version, which readers see as a whole."""
    compute: TablesFunction = function
    from_ms, to_ms = range_of(params)
    observations = range_input(read_range(spark, contract, params, from_ms, to_ms), contract, from_ms, to_ms)
    with counted(observations) as (rows, count):
        tables = compute(rows)
        if set(tables) != set(params.tables):
            raise JobError(
                "config_invalid",
                f'Cannot run query "{params.function}": expected it to return {", ".join(sorted(params.tables))}, '
                f"got {', '.join(sorted(tables)) or 'nothing'}",
            )
        sink = VersionSink(spark, params.place)
        written = sink.publish(tables, params.submission, {"from_ms": from_ms, "to_ms": to_ms, "observations": count})
    counts = {f"{name}_rows": float(rows) for name, rows in written.items()}
    return {"observations": float(count), "from_ms": float(from_ms), "to_ms": float(to_ms)} | counts


def read_range(spark: SparkSession, contract: Contract, params: QueryParams, from_ms: int, to_ms: int) -> DataFrame:
    """Accepted observations that hold the range, and maybe others."""
    if params.lines_path is not None:
        return lines.read(spark, contract, params.lines_path, from_ms, to_ms)
    client = java_client(kafka_config(params.kafka))
    # A record leads its clock, and its clock the broker's, by at most the lead: nothing older holds the range.
    raw = kafka.read_since(spark, client, params.raw_topic, from_ms - 2 * contract.lead_ms)
    return decode.decode(raw, contract, writer_schemas(params))[0]


def range_input(observations: DataFrame, contract: Contract, from_ms: int, to_ms: int) -> DataFrame:
    """What a function sees of a run: event time from inclusive, to exclusive."""
    within = observations.where(plans.in_span(decode.EVENT_TIME, from_ms, to_ms))
    return windows.first_in_table(within, contract) if contract.duplicates == "engine" else within


def range_of(params: QueryParams) -> tuple[int, int]:
    """[from, to) of event time, epoch ms: what was asked for, else it ends at the last whole step up to the due
    time, one span long.

    Errors: JobError config_invalid without a due time.
    """
    if params.from_ms is not None and params.to_ms is not None:
        return params.from_ms, params.to_ms
    due, span, step = params.due_ms, params.span_ms, params.step_ms
    if due is None or span is None or step is None:
        raise JobError("config_invalid", f'Cannot run "{params.job}" once: expected a due time, a span and a step')
    to_ms = due // step * step
    from_ms = to_ms - span
    return (from_ms // DAY_MS * DAY_MS if params.from_midnight else from_ms), to_ms
