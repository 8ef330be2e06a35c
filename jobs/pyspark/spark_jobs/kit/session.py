"""Spark sessions: what each job sets unless its submission does, and what keeps a driver's log readable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession
from spark_jobs.generated.job import JobError

# A length in garbage bytes can claim two gigabytes; without a limit Avro allocates them and the executor dies of it.
# Must be on the executors' command line (and the driver's, for local runs).
AVRO_LIMITS = (
    "-Dorg.apache.avro.limits.string.maxLength=1048576 -Dorg.apache.avro.limits.bytes.maxLength=1048576 "
    "-Dorg.apache.avro.limits.collectionItems.maxLength=65536"
)

# The second compiler for what is ten times as hot as it asks for by default. A catch-up is, within seconds; at a
# thousand records a second it took more than the windows themselves in the first minutes (docs/performance.md).
LATE_COMPILER = (
    "-XX:Tier4InvocationThreshold=50000 -XX:Tier4MinInvocationThreshold=6000 "
    "-XX:Tier4CompileThreshold=150000 -XX:Tier4BackEdgeThreshold=400000"
)

# What an application needs at its start, unless the submission sets it. Memory, cores and class paths come with the
# submission; the driver's JVM is up before Python runs, so nothing of it can be set here.
APP_CONF: Mapping[str, str] = {
    "spark.executor.extraJavaOptions": f"-XX:+UseSerialGC {LATE_COMPILER} {AVRO_LIMITS}",
    "spark.log.level": "WARN",
    "spark.executor.syncLogLevel.enabled": "true",
    # A replay makes a batch three times a second for days: the page keeps the last ones only.
    "spark.ui.retainedJobs": "50",
    "spark.ui.retainedStages": "50",
    "spark.ui.retainedTasks": "500",
    "spark.sql.ui.retainedExecutions": "20",
    "spark.sql.streaming.ui.retainedProgressUpdates": "20",
    "spark.sql.streaming.ui.retainedQueries": "10",
    "spark.ui.dagGraph.retainedRootRDDs": "20",
    "spark.cleaner.periodicGC.interval": "10min",
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


@contextmanager
def opened(app_conf: Mapping[str, str], sql_conf: Mapping[str, str]) -> Iterator[SparkSession]:
    """A stream's own session while the body runs; no query of it outlives the body.

    Where an application runs already (application.py) it is a further session of it, of settings and queries of its
    own, and the application goes on after it. Where none does, it is the stream's alone and ends with it.

    Errors: JobError config_invalid for an application that was started without one of `app_conf`.
    """
    running = SparkContext._active_spark_context
    if running is None:
        spark = configure(SparkSession.builder, app_conf, sql_conf)
    else:
        missing = sorted(key for key in app_conf if running.getConf().get(key) is None)
        if missing:
            raise JobError("config_invalid", f"Cannot run in this application: expected {missing[0]} from its start")
        spark = SparkSession.builder.getOrCreate().newSession()
        for key, value in sql_conf.items():
            spark.conf.set(key, value)
    # A trigger shorter than a batch means back to back; Spark would warn of it three times a second.
    quiet(spark, "org.apache.spark.sql.execution.streaming.ProcessingTimeExecutor")
    try:
        yield spark
    finally:
        if running is None:
            spark.stop()
        else:
            for query in spark.streams.active:
                query.stop()


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
