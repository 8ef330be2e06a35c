"""The batch job <pipeline>-backfill: records or files in, Delta tables of features and rejects out.

Records come from a range of the topic or from its archive. The same decode.py and windows.py as the stream, so a window
here equals the last version the stream published; its plan epoch is 0, below every stream's. Each table changes in one
commit; a second run replaces what the first wrote.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePosixPath

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from spark_jobs.generated.contract import Contract
from spark_jobs.generated.job import JobError, Reporter, kafka_config
from spark_jobs.generated.params import BackfillParams
from spark_jobs.kit import kafka, session, table
from spark_jobs.kit.client import java_client
from spark_jobs.kit.heartbeat import heartbeat
from spark_jobs.windows import decode, meaning, plans


def run(contract: Contract, params: BackfillParams, reporter: Reporter) -> dict[str, float]:
    """Writes both tables, the rejects first: once the feature rows are there, the run is whole.

    Raises JobError config_invalid without an input, store_unreachable for an archive on an HDFS that does not answer.
    Returns counts of what was read, late, rejected and written.
    """
    settings = dict(session.BATCH_CONF) | {"spark.sql.shuffle.partitions": str(params.shuffle_partitions)}
    app = dict(session.APP_CONF) | dict(table.DELTA_CONF)
    spark = session.configure(SparkSession.builder, app, settings)
    try:
        with heartbeat(spark, reporter):
            return write(spark, contract, params)
    except (PySparkException, Py4JJavaError) as error:
        refused = table.unreachable(error, params.archive_path or "")
        if refused is None:
            raise
        raise refused from error
    finally:
        spark.stop()


def write(spark: SparkSession, contract: Contract, params: BackfillParams) -> dict[str, float]:
    """Both tables, and the counters of the run. `late_rows` are observations later than the lateness against their
    clock: they count here and may not have counted in the stream."""
    observations, rejects = read(spark, contract, params)
    whole = params.from_ms is None and params.to_ms is None
    if not whole:
        check_table(spark, contract, params.table_path)
    # Before the first commit: an input without an observation would replace rows with nothing.
    if plans.needed(observations, contract, params).isEmpty():
        raise JobError("config_invalid", f"Cannot backfill: expected observations {said_range(params)}, got none")
    note = json.dumps(
        {
            "job": params.job,
            "submission": params.submission,
            "fingerprint": contract.fingerprint,
            "code": meaning.code_sha256(),
            "rows": rows_hash(contract),
            "from_ms": params.from_ms,
            "to_ms": params.to_ms,
        }
    )
    rejected = Observation("rejected")
    table.write_table(
        rejects.observe(rejected, F.count(F.lit(1)).alias("rows")).repartition(1),
        params.rejects_path,
        None if whole else of_input(params),
        note,
        ("topic", "partition", "offset"),
    )
    read_in, published = Observation("read"), Observation("published")
    late = F.count_if(F.unix_millis(decode.EVENT_TIME) < F.col(decode.CLOCK_MS) - contract.lateness_ms)
    counted = observations.observe(read_in, F.count(F.lit(1)).alias("rows"), late.alias("late"))
    rows = plans.in_table(counted, contract, params)
    table.write_table(
        rows.observe(published, F.count(F.lit(1)).alias("rows")),
        params.table_path,
        None if whole else plans.in_span("window_end", params.from_ms, params.to_ms),
        note,
        (contract.entity_key, "window_end"),
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
    if params.archive_path is not None:
        return decode.decode(*archived(spark, contract, params, params.archive_path))
    if not (params.kafka and params.raw_topic and params.starting_offsets and params.ending_offsets):
        raise JobError("config_invalid", 'Cannot backfill: expected "files" or a topic with both offsets, got neither')
    client = java_client(kafka_config(params.kafka))
    raw = kafka.read_range(spark, client, params.raw_topic, params.starting_offsets, params.ending_offsets)
    schemas = {int(schema_id): schema for schema_id, schema in params.raw_schemas.items()}
    return decode.decode(raw, contract, schemas)


def archived(
    spark: SparkSession, contract: Contract, params: BackfillParams, path: str
) -> tuple[DataFrame, Contract, dict[int, str]]:
    """What decode() takes, from the bytes the archive has kept: nothing that was decoded then is read.

    Its own writer schemas count, and those the registry has beyond them. Errors: JobError config_invalid without a
    table or for one of another topic; contract_mismatch where a unit or a schema id means something else.
    """
    if not table.is_table(spark, path):
        raise JobError("config_invalid", f'Cannot backfill: expected an archive at "{path}", there is none')
    known = table.properties(spark, path)
    if known.get(table.TOPIC) != params.raw_topic:
        raise JobError(
            "config_invalid",
            f'Cannot backfill from archive "{path}": expected topic "{params.raw_topic}", got {known.get(table.TOPIC)}',
        )
    theirs = table.schemas(known)
    ours = {int(schema_id): schema for schema_id, schema in params.raw_schemas.items()}
    table.check_units(theirs, contract, path)
    twice = table.conflicts(ours, theirs)
    if twice:
        raise JobError(
            "contract_mismatch",
            f'Cannot backfill from archive "{path}": expected schema id {twice[0]} to mean what it means in the '
            "registry; it was written with another registry",
        )
    for name, value in table.READ_CONF.items():
        spark.conf.set(name, value)
    held = spark.read.format("delta").load(path).where(of_input(params))
    raw = held.select(
        "topic", "partition", "offset", "key", "value", F.col("append_time").alias("timestamp"), "headers"
    )
    return raw, contract, ours | theirs


def rows_hash(contract: Contract) -> str:
    """What the meaning of a feature row depends on, in one word: a table holds rows of one only."""
    fields = [(f.name, f.unit, f.range) for f in contract.fields]
    parts = [contract.plan_hash, contract.schemas["features"], fields, contract.lead_ms, contract.duplicates]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def check_table(spark: SparkSession, contract: Contract, path: str) -> None:
    """Errors: JobError contract_mismatch for a table whose other rows were made by another contract."""
    if not table.is_table(spark, path):
        return
    note = table.last_note(spark, path)
    same = note["rows"] == rows_hash(contract) if "rows" in note else note.get("fingerprint") == contract.fingerprint
    if not same:
        raise JobError(
            "contract_mismatch",
            f'Cannot write a range of table "{path}": expected rows of contract {contract.fingerprint}, got '
            f"{note.get('fingerprint', 'a table without a note')}; run the backfill without --from and --to, which "
            "replaces the whole table, or move the old one away",
        )


def said_range(params: BackfillParams) -> str:
    ends = [
        None if ms is None else plans.timestamp(ms).removeprefix("TIMESTAMP ") for ms in (params.from_ms, params.to_ms)
    ]
    return f"in windows that end from {ends[0] or 'the first'} to before {ends[1] or 'the end'}"


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
