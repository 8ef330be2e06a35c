"""The streaming job <pipeline>-features: raw topic in, feature rows and rejects out, two queries in one session.

decode.py and windows.py say what is computed; this file runs them: checkpoints, triggers, order, progress, a graceful
end. Starts no second driver on a checkpoint and never skips records: both are the supervisor's to decide.
"""

from __future__ import annotations

import threading
import time

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery
from spark_jobs.generated.contract import Contract
from spark_jobs.generated.job import Reporter, kafka_config
from spark_jobs.generated.params import FeaturesParams
from spark_jobs.kit import kafka, session
from spark_jobs.kit.client import java_client
from spark_jobs.kit.progress import Progress
from spark_jobs.kit.query import STOP_REQUESTED, follow
from spark_jobs.windows import decode, plans

STATE_STORES = {
    # The whole state in the executor's heap: quick for thousands of stations.
    "memory": {
        "spark.sql.streaming.stateStore.providerClass": (
            "org.apache.spark.sql.execution.streaming.state.HDFSBackedStateStoreProvider"
        ),
    },
    "rocksdb": {
        "spark.sql.streaming.stateStore.providerClass": (
            "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
        ),
        "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
        # Counting rows reads before each write.
        "spark.sql.streaming.stateStore.rocksdb.trackTotalNumberOfRows": "false",
        "spark.sql.streaming.stateStore.rocksdb.boundedMemoryUsage": "true",
        "spark.sql.streaming.stateStore.rocksdb.maxMemoryUsageMB": "128",
    },
}


def run(contract: Contract, params: FeaturesParams, reporter: Reporter) -> dict[str, float]:
    """Runs until it is asked to stop; returns the last counters. Raises StreamingQueryException for a failed query."""
    settings = dict(session.SQL_CONF) | STATE_STORES[params.state_store]
    # Pinned by a checkpoint's first start; the same setting for both queries, of which one has no shuffle.
    settings["spark.sql.shuffle.partitions"] = str(params.shuffle_partitions)
    stop, progress = threading.Event(), Progress()
    with session.opened(session.APP_CONF, settings) as spark, progress.listen(spark):
        features, rejects = start(spark, contract, params, stop)
        return follow(spark, [features, rejects], lambda: counters(progress, features, rejects), reporter, stop)


def start(
    spark: SparkSession, contract: Contract, params: FeaturesParams, stop: threading.Event
) -> tuple[StreamingQuery, StreamingQuery]:
    """Starts both queries, each on its own checkpoint below `checkpoint_path`."""
    client = java_client(kafka_config(params.kafka))
    schemas = {int(schema_id): schema for schema_id, schema in params.raw_schemas.items()}
    group = kafka.in_namespace(params.namespace, f"spark-{contract.pipeline}-processors")
    raw = kafka.read_stream(spark, client, params.raw_topic, params.starting_offsets, group)
    # One task a core and batch instead of one a partition: starting a task costs more than its rows do.
    observations, _ = decode.decode(raw.coalesce(params.read_tasks), contract, schemas)
    _, rejects = decode.decode(raw.coalesce(1), contract, schemas)
    rows = kafka.framed_rows(
        plans.in_stream(observations, contract, params.plan_epoch, params.publish_from_ms).observe(
            "published", F.count(F.lit(1)).alias("rows")
        ),
        contract.entity_key,
        kafka.without_last(contract.schemas["features"], plans.PROCESSING_TIME),
        params.features_schema_id,
        "window_end",
    )
    sink = kafka.write_options(client, params.features_topic)
    partitions = params.shuffle_partitions

    def publish(batch: DataFrame, batch_id: int) -> None:
        # A batch that has not begun is not begun: its offsets are in the log, the next start repeats it whole.
        if stop.is_set():
            raise InterruptedError(STOP_REQUESTED)
        stamped(in_order(batch, partitions), time.time_ns() // 1_000_000).write.format("kafka").options(**sink).save()

    features_query = (
        rows.writeStream.queryName(params.job)
        .outputMode("update")
        .foreachBatch(publish)
        .trigger(processingTime=f"{params.trigger_ms} milliseconds")
        .option("checkpointLocation", f"{params.checkpoint_path}/features")
        .start()
    )
    rejects_query = (
        kafka.framed_rows(
            rejects.observe("rejected", F.count(F.lit(1)).alias("rows")),
            contract.key,
            contract.schemas["rejects"],
            params.rejects_schema_id,
        )
        .writeStream.queryName(f"{params.job}-rejects")
        .format("kafka")
        .options(**kafka.write_options(client, params.rejects_topic))
        .trigger(processingTime=f"{params.rejects_trigger_ms} milliseconds")
        .option("checkpointLocation", f"{params.checkpoint_path}/rejects")
        .start()
    )
    return features_query, rejects_query


def in_order(batch: DataFrame, partitions: int) -> DataFrame:
    """A micro-batch's rows so that each station's leave in `window_end` order.

    Spark writes a grouped result in hash order. One shuffle partition holds every station whole; with more, the rows
    of a station lie in several and are brought together first.
    """
    together = batch.repartition(partitions, "key") if partitions > 1 else batch
    return together.sortWithinPartitions("key", "window_end")


def stamped(batch: DataFrame, now_ms: int) -> DataFrame:
    """Kafka records with the micro-batch's time at the end of each value, where the record has its processing time.

    As a column of the windows' plan it would be a number in generated code, which changes with each batch: 4,000 lines
    compiled anew in every one, on the driver and on the executors. Bytes are handed to the code from outside.
    """
    return batch.select("key", F.concat("value", F.lit(kafka.avro_long(now_ms))).alias("value"))


def counters(progress: Progress, features: StreamingQuery, rejects: StreamingQuery) -> dict[str, float]:
    both = progress.counters(str(features.name))
    both["published_rows"] = both.pop("output_rows", 0.0)
    other = progress.counters(str(rejects.name))
    both["rejected_rows"] = other.get("output_rows", 0.0)
    both["rejects_lag"] = other.get("lag", 0.0)
    both["rejects_batch_ms"] = other.get("batch_ms", 0.0)
    return both
