"""The streaming job <pipeline>-refuse: rejects of the streams that no window reads, a query each in one session.

Whoever windows a stream says what is refused of it (features.py); of the others this job does, and nobody else: a query
of the domain or an archive only reads. Keeps no state but its offsets, and judges by decode.py as everyone does.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery
from spark_jobs.generated.contract import Contract
from spark_jobs.generated.job import Reporter, kafka_config
from spark_jobs.generated.params import RefuseParams, RefuseStream
from spark_jobs.kit import kafka, session
from spark_jobs.kit.client import java_client
from spark_jobs.kit.progress import Progress
from spark_jobs.kit.query import follow
from spark_jobs.windows import decode


def run(contract: Contract, params: RefuseParams, reporter: Reporter) -> dict[str, float]:
    """Runs until it is asked to stop; returns the last counters. Raises StreamingQueryException for a failed query."""
    progress = Progress()
    with session.opened(session.APP_CONF, session.SQL_CONF) as spark, progress.listen(spark):
        client = java_client(kafka_config(params.kafka))
        queries = [start(spark, client, contract.in_stream(one.stream), params, one) for one in params.streams]
        return follow(spark, queries, lambda: counters(progress, queries), reporter)


def start(
    spark: SparkSession, client: Mapping[str, str], contract: Contract, params: RefuseParams, stream: RefuseStream
) -> StreamingQuery:
    """The query of one stream, on a checkpoint of its own: it begins with what the topic holds."""
    schemas = {int(schema_id): schema for schema_id, schema in stream.raw_schemas.items()}
    group = kafka.in_namespace(params.namespace, f"spark-{params.job}")
    raw = kafka.read_stream(spark, client, stream.raw_topic, "earliest", group)
    _, rejects = decode.decode(raw.coalesce(1), contract, schemas)
    return (
        kafka.framed_rows(
            rejects.observe("rejected", F.count(F.lit(1)).alias("rows")),
            contract.key,
            contract.schemas["rejects"],
            params.rejects_schema_id,
        )
        .writeStream.queryName(f"{params.job}-{stream.stream}")
        .format("kafka")
        .options(**kafka.write_options(client, params.rejects_topic))
        .trigger(processingTime=f"{params.trigger_ms} milliseconds")
        .option("checkpointLocation", f"{params.checkpoint_path}/{stream.stream}")
        .start()
    )


def counters(progress: Progress, queries: list[StreamingQuery]) -> dict[str, float]:
    """Of all streams together: rows read and rejected and what is left to read, summed, and the longest batch."""
    each = [progress.counters(str(query.name)) for query in queries]
    return {
        "input_rows": sum(one.get("input_rows", 0.0) for one in each),
        "rejected_rows": sum(one.get("output_rows", 0.0) for one in each),
        "lag": sum(one.get("lag", 0.0) for one in each),
        "batch_ms": max((one.get("batch_ms", 0.0) for one in each), default=0.0),
    }
