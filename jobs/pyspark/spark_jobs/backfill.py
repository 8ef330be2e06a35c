"""The batch job <pipeline>-backfill: a Kafka range or staged files in, Delta tables of feature rows and of rejects out.

The same decode.py and windows.py as the stream, so a window here equals the last version the stream published; its
plan epoch is 0, below every stream's. Each table changes in one commit; a second run replaces what the first wrote.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import PurePosixPath

from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from spark_jobs import certificate, decode, io, windows
from spark_jobs.generated.contract import Contract
from spark_jobs.generated.job import JobError, Reporter, kafka_config
from spark_jobs.generated.params import BackfillParams, CertifyParams

PLAN_EPOCH = 0
HEARTBEAT_S = 1.0


def run(contract: Contract, params: BackfillParams, reporter: Reporter) -> dict[str, float]:
    """Writes both tables, the rejects first: once the feature rows are there, the run is whole.

    Raises JobError config_invalid without an input. Returns counts of what was read, late, rejected and written.
    """
    settings = dict(io.SQL_CONF) | {"spark.sql.shuffle.partitions": str(params.shuffle_partitions)}
    app = dict(io.APP_CONF) | dict(io.DELTA_CONF)
    spark = io.configure(SparkSession.builder, app, settings)
    try:
        with heartbeat(spark, reporter):
            return write(spark, contract, params)
    finally:
        spark.stop()


def write(spark: SparkSession, contract: Contract, params: BackfillParams) -> dict[str, float]:
    """Both tables, and the counters of the run. `late_rows` are observations later than the lateness against their
    clock: they count here and may not have counted in the stream."""
    observations, rejects = read(spark, contract, params)
    whole = params.from_ms is None and params.to_ms is None
    note = json.dumps(
        {
            "job": params.job,
            "submission": params.submission,
            "fingerprint": contract.fingerprint,
            "code": certificate.code_sha256(),
            "from_ms": params.from_ms,
            "to_ms": params.to_ms,
        }
    )
    rejected = Observation("rejected")
    io.write_table(
        rejects.observe(rejected, F.count(F.lit(1)).alias("rows")).repartition(1),
        params.rejects_path,
        None if whole else of_input(params),
        note,
    )
    read_in, published = Observation("read"), Observation("published")
    late = F.count_if(F.unix_millis(decode.EVENT_TIME) < F.col(decode.CLOCK_MS) - contract.lateness_ms)
    counted = observations.observe(read_in, F.count(F.lit(1)).alias("rows"), late.alias("late"))
    rows = feature_rows(counted, contract, params)
    io.write_table(
        rows.observe(published, F.count(F.lit(1)).alias("rows")),
        params.table_path,
        None if whole else in_span("window_end", params.from_ms, params.to_ms),
        note,
    )
    return {
        "input_rows": float(read_in.get["rows"]),
        "late_rows": float(read_in.get["late"]),
        "published_rows": float(published.get["rows"]),
        "rejected_rows": float(rejected.get["rows"]),
    }


def read(spark: SparkSession, contract: Contract, params: BackfillParams) -> tuple[DataFrame, DataFrame]:
    """(observations, rejects) of the run's input."""
    if params.files:
        staged = spark.read.format("avro").load(list(params.files))
        return decode.decode_staged(staged, contract, source_name(params))
    if not (params.kafka and params.raw_topic and params.starting_offsets and params.ending_offsets):
        raise JobError("config_invalid", 'Cannot backfill: expected "files" or a topic with both offsets, got neither')
    client = io.java_client(kafka_config(params.kafka))
    raw = io.read_range(spark, client, params.raw_topic, params.starting_offsets, params.ending_offsets)
    schemas = {int(schema_id): schema for schema_id, schema in params.raw_schemas.items()}
    return decode.decode(raw, contract, schemas)


def feature_rows(observations: DataFrame, contract: Contract, params: BackfillParams | CertifyParams) -> DataFrame:
    """The rows with window_end in [from_ms, to_ms), each station whole in one file, in window_end order."""
    start = None if params.from_ms is None else params.from_ms - contract.window_ms
    needed = observations.where(in_span(decode.EVENT_TIME, start, params.to_ms))
    once = windows.first_in_table(needed, contract) if contract.duplicates == "engine" else needed
    rows = windows.feature_rows(windows.followed(once, contract), contract, PLAN_EPOCH, F.current_timestamp())
    rows = rows.where(in_span("window_end", params.from_ms, params.to_ms))
    return rows.repartition(params.shuffle_partitions, contract.key).sortWithinPartitions(contract.key, "window_end")


def in_span(column: str, from_ms: int | None, to_ms: int | None) -> str:
    """A SQL condition: from inclusive, to exclusive, null without a bound."""
    bounds = []
    if from_ms is not None:
        bounds.append(f"{column} >= {timestamp(from_ms)}")
    if to_ms is not None:
        bounds.append(f"{column} < {timestamp(to_ms)}")
    return " AND ".join(bounds) or "true"


def timestamp(ms: int) -> str:
    return f"TIMESTAMP '{datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec='milliseconds')}'"


def source_name(params: BackfillParams) -> str:
    """What stands for the topic in a reject of a staged file: the first file's name. Offsets count over all files."""
    return PurePosixPath(params.files[0]).name


def of_input(params: BackfillParams) -> str:
    """A SQL condition for the rejects of this input: those of the same file, or of the same offsets of the topic."""
    if params.files:
        return f"topic = '{quoted(source_name(params))}'"
    topic = f"topic = '{quoted(params.raw_topic or '')}'"
    try:
        first = json.loads(params.starting_offsets or "")[params.raw_topic]
        last = json.loads(params.ending_offsets or "")[params.raw_topic]
    except ValueError:
        return topic  # "earliest" or "latest": the whole topic.
    ranges = [
        " AND ".join(
            [f"partition = {int(p)}"]
            + ([f"offset >= {first[p]}"] if first[p] >= 0 else [])
            + ([f"offset < {last[p]}"] if last[p] >= 0 else [])
        )
        for p in first
    ]
    return f"{topic} AND ({' OR '.join(f'({r})' for r in ranges)})"


def quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


@contextmanager
def heartbeat(spark: SparkSession, reporter: Reporter) -> Iterator[None]:
    """Reports tasks done and running while the body runs; a stop request cancels the body's Spark jobs."""
    done = threading.Event()

    def beat() -> None:
        tracker = spark.sparkContext.statusTracker()
        while not done.wait(HEARTBEAT_S):
            if reporter.stop_requested():
                spark.sparkContext.cancelAllJobs()
                return
            stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
            active = [stage for stage in stages if stage is not None]
            reporter.progress(
                {
                    "stages_active": float(len(active)),
                    "tasks": float(sum(stage.numTasks for stage in active)),
                    "tasks_done": float(sum(stage.numCompletedTasks for stage in active)),
                }
            )

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
