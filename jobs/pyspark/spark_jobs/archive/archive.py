"""The streaming job <pipeline>-archive: every committed raw record into a Delta table, each once, with its own bytes.

A record that cannot be understood is kept as well, with the reason; what is decoded stands beside the bytes, and a
backfill decodes those anew. Computes no feature. table.py knows what a table says of itself.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery
from spark_jobs.generated.contract import Contract, Field
from spark_jobs.generated.job import JobError, Reporter, kafka_config
from spark_jobs.generated.params import ArchiveParams
from spark_jobs.kit import kafka, session, table
from spark_jobs.kit.client import java_client
from spark_jobs.kit.progress import Progress
from spark_jobs.kit.query import follow
from spark_jobs.windows import attributes, decode

# Columns of the record itself; they come first, so that a table is read the same way for every contract.
OWN = ("topic", "partition", "offset", "schema_id", "append_time", "key", "value", "headers", "clock_ms", "reason")
EVENT_TIME, EVENT_DATE = "event_time", "event_date"

# What readers select by; statistics of these alone are kept with each file. A measurement that is no number would make
# statistics that not every reader understands.
STATISTICS = ("partition", "offset", "clock_ms", "reason", EVENT_TIME)

# Smallest and largest value of each setting; the parameters' documentation says why.
BOUNDS = {
    "trigger_ms": (1_000, 600_000),
    "batch_records": (1_000, 10_000_000),
    "compact_ms": (1_000, 86_400_000),
    "file_bytes": (1 << 20, 1 << 30),
    "vacuum_ms": (1_000, 604_800_000),
    "retention_ms": (10_800_000, 2_592_000_000),
}

# Log entries are needed for as long as the files they speak of.
LOG_RETENTION_MS = 2 * 86_400_000

SQL_CONF: Mapping[str, str] = {
    **table.READ_CONF,
    # A row group is held in memory until it is whole; the default of 128 MB is a fifth of an executor. Hadoop's own
    # name: a session's settings are laid over Hadoop's.
    "parquet.block.size": str(16 << 20),
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    # The default writes a form of time that other readers take for nanoseconds, which end in 2262 and begin in 1677.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.shuffle.partitions": "1",
    # One core: more would only wait for each other.
    "spark.databricks.delta.optimize.maxThreads": "1",
}


def run(contract: Contract, params: ArchiveParams, reporter: Reporter) -> dict[str, float]:
    """Runs until it is asked to stop; returns the last counters.

    Raises JobError `config_invalid` for a setting out of its bounds, and for a topic that is another than the table's;
    `contract_mismatch` for a schema id that means another schema in the table; `job_failed` for records that the topic
    no longer holds; `store_unreachable` for an HDFS that does not answer.
    """
    check(params)
    settings = dict(session.SQL_CONF) | dict(SQL_CONF) | sizes(params)
    progress = Progress()
    try:
        with (
            session.opened(dict(session.APP_CONF) | dict(table.DELTA_CONF), settings) as spark,
            progress.listen(spark),
        ):
            opened(spark, contract, params, topic_id(params))
            query = start(spark, contract, params)
            with upkeep(spark, params) as kept:
                return follow(spark, [query], lambda: counters(query, progress, kept), reporter)
    except (PySparkException, Py4JJavaError) as error:
        refused = lost(error, params) or table.unreachable(error, params.table_path)
        if refused is None:
            raise
        raise refused from error


def check(params: ArchiveParams) -> None:
    """Errors: JobError config_invalid, naming the setting, its bounds and what it is."""
    for name, (low, high) in BOUNDS.items():
        value = getattr(params, name)
        if not low <= value <= high:
            raise JobError("config_invalid", f'Cannot use "{name}" {value}: expected {low} to {high}')


def sizes(params: ArchiveParams) -> dict[str, str]:
    """How far compaction goes. A file that is nearly full is not worth writing again."""
    return {
        "spark.databricks.delta.optimize.maxFileSize": str(params.file_bytes),
        "spark.databricks.delta.optimize.minFileSize": str(params.file_bytes * 3 // 4),
    }


def rows(raw: DataFrame, contract: Contract, schemas: Mapping[int, str]) -> DataFrame:
    """One row for each record, as Spark's Kafka source reads it with headers.

    `reason` is null for an observation, else why the whole record is none. Decoded fields are null where the bytes
    could not be read; a value out of its range stands as it was said. `event_date` is the day of an observation's own
    time, of any other record's clock: garbage must not open partitions at will.
    """
    judged = decode.judge(decode.parse_framed(raw, contract, schemas), contract)
    readable = F.col("fault").isNull()
    time_ms = decode.said(contract.event_time)
    in_years = time_ms.between(decode.TIME_MIN_MS, decode.TIME_MAX_MS)
    event_time = F.when(readable & in_years, F.timestamp_millis(time_ms))
    own_day = F.when(F.col("reason").isNull(), event_time)
    return judged.select(
        *OWN,
        event_time.alias(EVENT_TIME),
        *(F.when(readable, said(contract, field)).alias(column(field)) for field in decoded(contract)),
        F.to_date(F.coalesce(own_day, F.timestamp_millis(decode.CLOCK_MS))).alias(EVENT_DATE),
    )


def decoded(contract: Contract) -> list[Field]:
    """The fields that have a column of their own: all but the event time, which has its column for every contract."""
    return [field for field in contract.fields if field.name != contract.event_time]


def column(field: Field) -> str:
    """A field's column: its name, unless the record itself has a column of that name."""
    return f"said_{field.name}" if field.name in (*OWN, EVENT_TIME, EVENT_DATE) else field.name


def said(contract: Contract, field: Field) -> Column:
    text = decode.said(field.name)
    if field.attribute is not None:
        return attributes.shown(field.attribute, text)
    return F.when(F.is_valid_utf8(text), text) if field.name == contract.key else text


def opened(spark: SparkSession, contract: Contract, params: ArchiveParams, topic_id: str) -> None:
    """Makes the table if there is none, and writes down in it what its bytes need to be understood later.

    Errors as of `run`: a table of another topic, or of a topic that was made anew and counts its offsets from 0 again,
    is not appended to.
    """
    path, ours = params.table_path, writer_schemas(params)
    fresh = not table.is_table(spark, path)
    if fresh and begun(spark, params):
        raise JobError(
            "config_invalid",
            f'Cannot archive into "{path}": expected a table beside its checkpoint, got the checkpoint alone; '
            "remove the folder to begin with what the topic still holds",
        )
    table.create(spark, path, rows(kafka.no_records(spark), contract, ours).schema, EVENT_DATE)
    known = table.properties(spark, path)
    if not fresh and table.TOPIC not in known and spark.read.format("delta").load(path).limit(1).count() > 0:
        raise JobError("config_invalid", f'Cannot archive into "{path}": expected a table of ours, got another one')
    for name, wanted in ((table.TOPIC, params.raw_topic), (table.TOPIC_ID, topic_id)):
        if known.get(name, wanted) != wanted:
            raise JobError(
                "config_invalid",
                f'Cannot archive "{params.raw_topic}" into "{path}": expected the topic it was begun with '
                f"({known[name]}), got {wanted}; its offsets would be counted twice: name another place with "
                "MILLRACE_ARCHIVE, or move the old table away",
            )
    table.check_units(table.schemas(known), contract, path)
    twice = table.conflicts(ours, table.schemas(known))
    if twice:
        raise JobError(
            "contract_mismatch",
            f'Cannot archive into "{path}": expected schema id {twice[0]} to mean what it means in the table, the '
            "registry has another schema there; name another place with MILLRACE_ARCHIVE, or move the old table away",
        )
    ids = {f"{table.SCHEMA}{i}": schema for i, schema in ours.items() if i not in table.schemas(known)}
    table.set_properties(
        spark,
        path,
        ids
        | {
            table.TOPIC: params.raw_topic,
            table.TOPIC_ID: topic_id,
            table.FINGERPRINT: contract.fingerprint,
            "delta.dataSkippingStatsColumns": ",".join(STATISTICS),
            "delta.enableDeletionVectors": "false",
            "delta.deletedFileRetentionDuration": f"interval {params.retention_ms} milliseconds",
            "delta.logRetentionDuration": f"interval {max(LOG_RETENTION_MS, params.retention_ms)} milliseconds",
        },
    )


def start(spark: SparkSession, contract: Contract, params: ArchiveParams) -> StreamingQuery:
    """Starts the query on the checkpoint in the table's folder.

    Each once: a micro-batch has fixed offsets, and the table's log keeps the query's id and its last batch in the same
    commit as the rows, so that a batch which is repeated after a kill finds itself done.
    """
    client = java_client(kafka_config(params.kafka))
    raw = kafka.read_stream(
        spark,
        client,
        params.raw_topic,
        starting_offsets(spark, params),
        kafka.in_namespace(params.namespace, f"spark-{contract.pipeline}-archive"),
        params.batch_records,
    )
    # One file a batch and date.
    archived = rows(raw.coalesce(1), contract, writer_schemas(params))
    note = {"job": params.job, "submission": params.submission, "fingerprint": contract.fingerprint}
    return (
        archived.observe("archived", F.count(F.lit(1)).alias("rows"))
        .writeStream.queryName(params.job)
        .format("delta")
        .outputMode("append")
        .partitionBy(EVENT_DATE)
        .option("checkpointLocation", checkpoint(params))
        .option("mergeSchema", "true")
        .option("userMetadata", json.dumps(note))
        .trigger(processingTime=f"{params.trigger_ms} milliseconds")
        .start(params.table_path)
    )


def writer_schemas(params: ArchiveParams) -> dict[int, str]:
    return {int(schema_id): schema for schema_id, schema in params.raw_schemas.items()}


def checkpoint(params: ArchiveParams) -> str:
    """In the table's folder, where Delta looks at nothing that begins with an underscore: both live and go together."""
    return f"{params.table_path}/_checkpoint"


def begun(spark: SparkSession, params: ArchiveParams) -> bool:
    """Whether the checkpoint has planned a batch: from then on it alone says where the query goes on."""
    return any(name.isdigit() for name in table.names_in(spark, f"{checkpoint(params)}/offsets"))


def starting_offsets(spark: SparkSession, params: ArchiveParams) -> str:
    """Where a new checkpoint begins, as Spark's JSON: behind what the table holds, else at the topic's beginning.

    So a checkpoint can be removed and nothing is kept twice. What retention has taken in between is written down in the
    table as lost.
    """
    if begun(spark, params):
        return "earliest"
    last = spark.read.format("delta").load(params.table_path).groupBy("partition").agg(F.max("offset").alias("last"))
    held = {row["partition"]: row["last"] + 1 for row in last.collect()}
    if not held:
        return "earliest"
    first = log_starts(params)
    gone = [[p, held[p], at] for p, at in sorted(first.items()) if held.get(p, at) < at]
    if gone:
        known = json.loads(table.properties(spark, params.table_path).get(table.LOST, "[]"))
        table.set_properties(spark, params.table_path, {table.LOST: json.dumps(known + gone)})
    return json.dumps({params.raw_topic: {str(p): max(at, held.get(p, at)) for p, at in first.items()}})


KAFKA_S = 15.0


def log_starts(params: ArchiveParams) -> dict[int, int]:
    """First offset the topic still holds, by partition."""
    consumer = Consumer(kafka_config(params.kafka) | {"group.id": f"{params.job}-starts"})
    try:
        found = consumer.list_topics(params.raw_topic, timeout=KAFKA_S).topics[params.raw_topic].partitions
        return {
            p: consumer.get_watermark_offsets(TopicPartition(params.raw_topic, p), timeout=KAFKA_S)[0] for p in found
        }
    finally:
        consumer.close()


def topic_id(params: ArchiveParams) -> str:
    """The topic's own id, which a topic made anew under the same name does not have."""
    # Held in a variable: a client nobody holds is taken down with the question under way.
    admin = AdminClient(kafka_config(params.kafka))
    asked = admin.describe_topics(TopicCollection([params.raw_topic]), request_timeout=KAFKA_S)
    try:
        return str(asked[params.raw_topic].result(timeout=KAFKA_S).topic_id)
    except KafkaException as error:
        raise JobError("kafka_unreachable", f'Cannot find topic "{params.raw_topic}": {error}') from error


def lost(error: Exception, params: ArchiveParams) -> JobError | None:
    """What a person has to decide when the topic no longer holds what comes next; None for any other failure."""
    if "data may have been lost" not in str(error) and "KAFKA_DATA_LOSS" not in str(error):
        return None
    return JobError(
        "job_failed",
        f'Cannot archive "{params.raw_topic}": expected the record after the last archived one, the topic no longer '
        f'holds it; remove "{checkpoint(params)}" to go on with what it holds, the loss is then noted in the table',
    )


class Upkeep:
    """What compaction and vacuum have done so far; a failure is counted and tried again at the next time."""

    def __init__(self) -> None:
        self.counters = {"compactions": 0.0, "compacted_files": 0.0, "vacuums": 0.0, "upkeep_failures": 0.0}

    def add(self, name: str, by: float = 1.0) -> None:
        self.counters = self.counters | {name: self.counters[name] + by}


@contextmanager
def upkeep(spark: SparkSession, params: ArchiveParams) -> Iterator[Upkeep]:
    """Compacts and vacuums beside the appends while the body runs; both commit by themselves, no append waits for it.

    The first round comes one `compact_ms` after the start, with a vacuum, so that a job that often starts anew cleans
    up all the same.
    """
    kept, done = Upkeep(), threading.Event()
    context, group = spark.sparkContext, f"{params.job} upkeep"

    def keep() -> None:
        # What the page shows of these jobs, and what ends them and no other stream's.
        context.setLocalProperty("spark.scheduler.pool", params.job)
        context.setJobGroup(group, group)
        vacuumed_s = float("-inf")
        while not done.wait(params.compact_ms / 1000):
            try:
                kept.add("compacted_files", compact(spark, params.table_path))
                kept.add("compactions")
                if time.monotonic() - vacuumed_s >= params.vacuum_ms / 1000:
                    vacuumed_s = time.monotonic()
                    vacuum(spark, params.table_path)
                    kept.add("vacuums")
            except Exception as error:
                if done.is_set():
                    return
                kept.add("upkeep_failures")
                print(f"upkeep of {params.table_path} failed, next in {params.compact_ms} ms: {error}", flush=True)

    thread = threading.Thread(target=keep, name="upkeep", daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        done.set()
        # A round that is cut off here has committed or it has not.
        context.cancelJobGroup(group)
        thread.join(timeout=KAFKA_S)


def compact(spark: SparkSession, path: str) -> float:
    """Brings small files of each date together; returns how many were replaced. Rows and readers stay as they are."""
    done = spark.sql(f"OPTIMIZE {table.named(path)}").select("metrics.numFilesRemoved").collect()
    return float(sum(row[0] for row in done))


def vacuum(spark: SparkSession, path: str) -> None:
    """Removes files no version within the table's retention needs, those of killed batches too."""
    spark.sql(f"VACUUM {table.named(path)}")


def counters(query: StreamingQuery, progress: Progress, kept: Upkeep) -> dict[str, float]:
    said = progress.counters(str(query.name))
    said["archived_rows"] = said.pop("output_rows", 0.0)
    return said | kept.counters
