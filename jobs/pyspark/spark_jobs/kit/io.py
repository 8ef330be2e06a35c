"""Where Spark meets Kafka and Delta: sessions, reads, writes, client properties.

Sits at both ends of decode.py and windows.py. Decides no name: topics, paths and addresses come from the parameters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pyspark import SparkConf
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.avro.functions import to_avro
from spark_jobs.windows import decode

# A length in garbage bytes can claim two gigabytes; without a limit Avro allocates them and the executor dies of it.
# Must be on the executors' command line (and the driver's, for local runs).
AVRO_LIMITS = (
    "-Dorg.apache.avro.limits.string.maxLength=1048576 -Dorg.apache.avro.limits.bytes.maxLength=1048576 "
    "-Dorg.apache.avro.limits.collectionItems.maxLength=65536"
)

# What an application needs at its start, unless the submission sets it. Memory, cores and class paths come with the
# submission; the driver's JVM is up before Python runs, so nothing of it can be set here.
APP_CONF: Mapping[str, str] = {
    "spark.executor.extraJavaOptions": f"-XX:+UseSerialGC {AVRO_LIMITS}",
    "spark.log.level": "WARN",
    "spark.executor.syncLogLevel.enabled": "true",
    # A replay makes a batch three times a second for days: the page keeps the last ones only.
    "spark.ui.retainedJobs": "50",
    "spark.ui.retainedStages": "50",
    "spark.ui.retainedTasks": "500",
    "spark.sql.ui.retainedExecutions": "20",
    "spark.sql.streaming.ui.retainedProgressUpdates": "20",
    "spark.sql.streaming.ui.retainedQueries": "4",
    "spark.ui.dagGraph.retainedRootRDDs": "20",
    "spark.cleaner.periodicGC.interval": "10min",
}

DELTA_CONF: Mapping[str, str] = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    # Readers without Spark (deltalake) do not know deletion vectors.
    "spark.databricks.delta.properties.defaults.enableDeletionVectors": "false",
    # A table's log is read with 50 tasks by default; ours has a few dozen lines.
    "spark.databricks.delta.snapshotPartitions": "1",
    # VACUUM lists a table's folders in as many tasks as this; the default of 10,000 takes a core half a minute.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "4",
}

# Session settings of every job. The last group is latency: what a micro-batch spends beside its rows.
SQL_CONF: Mapping[str, str] = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.redaction.options.regex": "(?i)secret|password|token|jaas|url",
    "spark.sql.streaming.noDataMicroBatches.enabled": "false",
    "spark.sql.streaming.numRecentProgressUpdates": "10",
    "spark.sql.streaming.stateStore.maintenanceInterval": "30s",
    "spark.sql.streaming.minBatchesToRetain": "20",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.ui.explainMode": "simple",
    "spark.sql.maxPlanStringLength": "2000",
    "spark.sql.debug.maxToStringFields": "5",
    "spark.sql.lightweightPlanChangeValidation": "false",
    # Above 100 columns Spark would give up generated code; a window's sums come near it.
    "spark.sql.codegen.maxFields": "400",
}

# Of jobs that read a range of a topic. Spark's default for Kafka is a source of the first generation, which makes
# objects of each record, then rows of these again; left out of this list, the second serves. The rest is Spark's own.
BATCH_CONF: Mapping[str, str] = {**SQL_CONF, "spark.sql.sources.useV1SourceList": "avro,csv,json,orc,parquet,text"}


def configure(builder: SparkSession.Builder, app_conf: Mapping[str, str], sql_conf: Mapping[str, str]) -> SparkSession:
    """A session with these settings; an application setting that the submission already carries stays as it is."""
    given = SparkConf()
    for key, value in app_conf.items():
        if not given.contains(key):
            builder = builder.config(key, value)
    for key, value in sql_conf.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    # A plan is cut on purpose, see above.
    quiet(spark, "org.apache.spark.sql.catalyst.util.StringUtils", "org.apache.spark.util.SparkStringUtils")
    return spark


def quiet(spark: SparkSession, *loggers: str) -> None:
    """Keeps the driver's log free of warnings of these classes that come with every micro-batch."""
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    log4j = jvm.org.apache.logging.log4j
    for logger in loggers:
        log4j.core.config.Configurator.setLevel(logger, log4j.Level.ERROR)


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
    return F.concat(F.lit(decode.prefix(schema_id)), to_avro(row, schema))


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


# librdkafka's property names, which the parameters carry, in the words of Java's client.
SAME_IN_JAVA = frozenset(
    {
        "bootstrap.servers",
        "security.protocol",
        "client.id",
        "request.timeout.ms",
        "socket.connection.setup.timeout.ms",
        "metadata.max.age.ms",
        "ssl.endpoint.identification.algorithm",
    }
)


def java_client(librdkafka: Mapping[str, str]) -> dict[str, str]:
    """Java client properties that mean the same as these of librdkafka. Raises ValueError for one without a rule."""
    java: dict[str, str] = {}
    login: dict[str, str] = {}
    for key, value in librdkafka.items():
        if key in SAME_IN_JAVA:
            java[key] = value
        elif key in ("sasl.mechanism", "sasl.mechanisms"):
            java["sasl.mechanism"] = value
        elif key in ("sasl.username", "sasl.password"):
            login[key.removeprefix("sasl.")] = value
        elif key == "ssl.ca.location":
            java |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": value}
        elif key == "ssl.ca.pem":
            java |= {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": value}
        elif key == "ssl.certificate.pem":
            java |= {"ssl.keystore.type": "PEM", "ssl.keystore.certificate.chain": value}
        elif key == "ssl.key.pem":
            java |= {"ssl.keystore.type": "PEM", "ssl.keystore.key": value}
        elif key == "enable.ssl.certificate.verification" and value == "true":
            continue
        else:
            raise ValueError(f"no rule for the client property {key!r} in Java's Kafka client")
    if login:
        mechanism = java.get("sasl.mechanism", "PLAIN")
        module = "plain.PlainLoginModule" if mechanism == "PLAIN" else "scram.ScramLoginModule"
        quoted = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in login.items()}
        java["sasl.jaas.config"] = (
            f"org.apache.kafka.common.security.{module} required "
            f'username="{quoted.get("username", "")}" password="{quoted.get("password", "")}";'
        )
    return java


def write_table(rows: DataFrame, path: str, replace: str | None, note: str, statistics: Sequence[str]) -> None:
    """Replaces a Delta table, or only the rows that satisfy `replace`, in one commit: readers see all of it or nothing.

    `note` is kept in the table's log with the commit. `statistics`: the columns that readers select by; a new table
    keeps the least and largest value of these in each file, and not of its first 32 columns, which take as long as the
    rows.
    """
    writer = rows.write.format("delta").mode("overwrite").option("userMetadata", note)
    writer = writer.option("delta.dataSkippingStatsColumns", ",".join(statistics))
    if replace is not None and (Path(path.removeprefix("file://")) / "_delta_log").exists():
        writer = writer.option("replaceWhere", replace)
    else:
        writer = writer.option("overwriteSchema", "true")
    writer.save(path)
