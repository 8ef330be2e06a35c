"""Where Spark meets Kafka: reads, writes and framed values.

Sits at both ends of decode.py and windows.py. Decides no name: topics and addresses come from the parameters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.avro.functions import to_avro
from spark_jobs.kit import frame


def in_namespace(namespace: str, name: str) -> str:
    """A name that other namespaces on the same broker do not use: of groups, of transactional ids."""
    return f"{namespace}-{name}" if namespace else name


def read_stream(
    spark: SparkSession,
    client: Mapping[str, str],
    topic: str,
    starting_offsets: str,
    group_prefix: str,
    batch_records: int | None = None,
) -> DataFrame:
    """An endless read of a topic, committed records only. A checkpoint overrules `starting_offsets`.

    `batch_records`: most records of a micro-batch, None for no bound.
    """
    reader = spark.readStream.format("kafka").options(**read_options(client, topic))
    if batch_records is not None:
        reader = reader.option("maxOffsetsPerTrigger", batch_records)
    return reader.option("startingOffsets", starting_offsets).option("groupIdPrefix", group_prefix).load()


def read_range(
    spark: SparkSession, client: Mapping[str, str], topic: str, starting_offsets: str, ending_offsets: str
) -> DataFrame:
    """The committed records of a topic between offsets in Spark's JSON: start inclusive, end exclusive."""
    reader = spark.read.format("kafka").options(**read_options(client, topic))
    return reader.option("startingOffsets", starting_offsets).option("endingOffsets", ending_offsets).load()


def read_since(spark: SparkSession, client: Mapping[str, str], topic: str, since_ms: int) -> DataFrame:
    """The committed records of a topic that the broker took at `since_ms` (epoch ms) or later, up to its end now."""
    reader = spark.read.format("kafka").options(**read_options(client, topic))
    # A partition without a record that young has none to read.
    reader = reader.option("startingOffsetsByTimestampStrategy", "latest")
    return reader.option("startingTimestamp", max(since_ms, 0)).option("endingOffsets", "latest").load()


def no_records(spark: SparkSession) -> DataFrame:
    """No record at all, with the columns of a read with headers."""
    columns = (
        "key BINARY, value BINARY, topic STRING, partition INT, offset BIGINT, timestamp TIMESTAMP, "
        "headers ARRAY<STRUCT<key: STRING, value: BINARY>>"
    )
    return spark.createDataFrame([], columns)


def read_options(client: Mapping[str, str], topic: str) -> dict[str, str]:
    """Options of a read. Offsets that retention has deleted end the job: a gap is for a person to judge."""
    return {f"kafka.{key}": value for key, value in client.items()} | {
        "subscribe": topic,
        "includeHeaders": "true",
        "failOnDataLoss": "true",
        "kafka.isolation.level": "read_committed",
        # Catch-up: fewer, larger answers than the defaults of 500 records and 1 MiB. Not larger still: what a poll
        # returns outlives a young generation, and with ten times as many a backfill spent a sixth of its time on
        # collecting garbage.
        "kafka.max.poll.records": "2000",
        "kafka.max.partition.fetch.bytes": "4194304",
        # Transport is checked by TCP and the broker's disk by the broker.
        "kafka.check.crcs": "false",
    }


def write_options(client: Mapping[str, str], topic: str) -> dict[str, str]:
    """Options of a write: at least once, in order within a partition, by Java's own murmur2 partitioner."""
    return {f"kafka.{key}": value for key, value in client.items()} | {
        "topic": topic,
        "kafka.acks": "all",
        "kafka.enable.idempotence": "true",
        "kafka.compression.type": "snappy",
        "kafka.linger.ms": "5",
        "kafka.batch.size": "131072",
    }


def framed(row: Column, schema: str, schema_id: int) -> Column:
    """A struct as a Confluent-framed Avro value."""
    return F.concat(F.lit(frame.prefix(schema_id)), to_avro(row, schema))


def framed_rows(rows: DataFrame, key: str, schema: str, schema_id: int, *beside: str) -> DataFrame:
    """Rows as Kafka records: `key` bytes from the key column, `value` framed, and the columns named in `beside`."""
    value = framed(F.struct(*rows.columns), schema, schema_id)
    return rows.select(F.col(key).cast("binary").alias("key"), value.alias("value"), *beside)


def without_last(schema: str, name: str) -> str:
    """A record's schema without its last field, for a writer that adds that field's bytes itself.

    Raises ValueError when the last field has another name.
    """
    record = json.loads(schema)
    last = record["fields"].pop()
    if last["name"] != name:
        raise ValueError(f"expected {name!r} as the last field of {record['name']}, got {last['name']!r}")
    return json.dumps(record)


def avro_long(value: int) -> bytes:
    """A long in Avro's binary encoding: zigzag, seven bits a byte, lowest first."""
    rest = (value << 1) ^ (value >> 63)
    encoded = bytearray()
    while rest > 0x7F:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)
