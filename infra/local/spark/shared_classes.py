"""Makes the class-data archive that Spark's JVMs of this machine share, so that none of them parses, checks and links
the same fifteen thousand classes again at its start.

    python shared_classes.py JARS ARCHIVE

JARS: folder of the connector jars; ARCHIVE: the file to write. Needs no engine: a small local application does what
jobs do, and the JVM writes down at its exit what it has loaded (`-XX:ArchiveClassesAtExit`, JEP 350). An archive holds
for one JVM and one class path, folders and file times included; a JVM that finds it stale says so and starts without.
A Java that makes no archives leaves none, and says why: starts take longer then, and nothing else changes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pyspark
from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.avro.functions import from_avro, to_avro

HOME = Path(pyspark.__file__).parent
HERE = Path(__file__).parent
JOBS = HERE.parents[2] / "jobs" / "pyspark"
# What jobs run only with a broker, a master and executors, which are not there yet: loaded by name. Of the connectors,
# what writes and reads; of Spark, what the daemons and executors are made of.
PREFIXES = (
    "org/apache/kafka/clients/",
    "org/apache/kafka/common/",
    "org/apache/spark/sql/kafka010/",
    "org/apache/spark/kafka010/",
    "org/apache/spark/sql/avro/",
    "org/apache/spark/deploy/",
    "org/apache/spark/executor/",
    "org/apache/spark/network/",
    "org/apache/spark/rpc/",
    "org/apache/spark/scheduler/",
    "org/apache/spark/storage/",
    "org/apache/spark/shuffle/",
    "org/apache/spark/sql/execution/streaming/",
    "io/delta/storage/",
)
# Of no use to a standalone cluster, or a copy that nothing here loads.
LEFT_OUT = ("/shaded/", "/k8s/", "/yarn/", "/history/")
# What a JVM would read besides: an archive is made with the options below, and no others.
OF_JAVA = ("JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS")
OPTIONS = ("-Xlog:cds=error", "-Xlog:cds+dynamic=error", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
# What a JVM says that cannot obey: one that comes without the archive of Java's own classes, on which this one builds.
REFUSED = "Error occurred during initialization of VM"


def dump(jars: Path, archive: Path) -> None:
    """Runs this file as a Spark application whose JVM leaves the archive. Errors: `SystemExit` after what it said."""
    for old in (archive, part := archive.with_suffix(".part")):
        old.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        options = f"-XX:ArchiveClassesAtExit={part}", f"-Dderby.system.home={folder}", *OPTIONS
        run = subprocess.run(
            [
                str(HOME / "bin" / "spark-submit"),
                "--master",
                "local[1]",
                # The class path must begin as that of drivers and executors does.
                "--driver-class-path",
                f"{jars}/*",
                "--driver-java-options",
                " ".join(f'"{option}"' for option in options),
                "--properties-file",
                str(HERE / "spark-defaults.conf"),
                "--conf",
                f"spark.sql.warehouse.dir={folder}/warehouse",
                __file__,
                "train",
                str(jars),
                folder,
            ],
            env={
                **{name: value for name, value in os.environ.items() if name not in OF_JAVA},
                # Does not exist, on purpose: a folder with files on the class path would forbid an archive.
                "SPARK_CONF_DIR": str(HOME / "conf"),
                "SPARK_LOCAL_IP": "127.0.0.1",
                "PYSPARK_PYTHON": sys.executable,
                "PYTHONPATH": str(JOBS),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    if run.returncode != 0:
        part.unlink(missing_ok=True)
        print(run.stdout, file=sys.stderr)
        if REFUSED not in run.stdout:
            raise SystemExit(f'Cannot make "{archive}": expected the training application to end well, see above')
    if part.exists():
        part.replace(archive)
    else:
        print("setup: this Java makes no archive of classes, so Spark's starts take longer", file=sys.stderr)


def train(jars: Path, folder: Path) -> None:
    """What a job of ours does, small: a windowed stream of Avro with a watermark into Delta, then a batch over it."""
    from spark_jobs.kit import session, table

    builder = SparkSession.builder.config("spark.sql.shuffle.partitions", "2")
    spark = session.configure(builder, {**session.APP_CONF, **table.DELTA_CONF}, session.SQL_CONF)
    spark.sparkContext.setLogLevel("ERROR")
    value = '{"name":"value","type":["null","double"]}'
    schema = f'{{"type":"record","name":"row","fields":[{{"name":"at","type":"long"}},{value}]}}'
    (
        spark.range(2000)
        .select(
            F.struct((F.col("id") * 1000).alias("at"), (F.col("id") % 7).cast("double").alias("value")).alias("row")
        )
        .select(to_avro("row", schema).alias("bytes"))
        .write.parquet(f"{folder}/raw")
    )
    rows = (
        spark.readStream.schema("bytes binary")
        .parquet(f"{folder}/raw")
        .select(from_avro("bytes", schema, {"mode": "PERMISSIVE"}).alias("row"), F.expr("crc32(bytes)").alias("sum"))
        .select(F.timestamp_millis("row.at").alias("at"), "row.value", "sum")
        .filter("value is not null")
        .withWatermark("at", "10 minutes")
    )
    windows = (
        rows.groupBy(F.window("at", "5 minutes", "1 minute"), (F.col("sum") % 10).alias("key"))
        .agg(F.count("*").alias("n"), F.avg("value"), F.min("value"), F.max("value"), F.stddev_pop("value"))
        .select("key", "n", F.to_json(F.struct("window.start", "n")).alias("text"))
    )

    def into_table(batch: DataFrame, batch_id: int) -> None:
        frame = batch.persist()
        frame.write.format("delta").mode("append").save(f"{folder}/table")
        frame.sortWithinPartitions("key").count()
        frame.unpersist()

    stream = windows.writeStream.outputMode("update")
    query = stream.foreachBatch(into_table).option("checkpointLocation", f"{folder}/checkpoint")
    query.trigger(availableNow=True).start().awaitTermination()
    written = spark.read.format("delta").load(f"{folder}/table")
    written.join(written.groupBy("key").agg(F.max("n").alias("most")), "key").orderBy("key").write.json(f"{folder}/out")
    load_by_name(spark, jars)
    spark.stop()


def load_by_name(spark: SparkSession, jars: Path) -> None:
    """Loads the classes of PREFIXES without starting any; one whose own needs are not on the class path is left out."""
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    loader = jvm.java.lang.ClassLoader.getSystemClassLoader()
    for jar in [*sorted(jars.glob("*.jar")), *sorted((HOME / "jars").glob("spark-*.jar"))]:
        with zipfile.ZipFile(jar) as entries:
            names = [name for name in entries.namelist() if name.endswith(".class") and name.startswith(PREFIXES)]
        for name in names:
            if any(part in name for part in LEFT_OUT):
                continue
            try:
                jvm.java.lang.Class.forName(name.removesuffix(".class").replace("/", "."), False, loader)
            except Py4JJavaError:
                continue


if __name__ == "__main__":
    if sys.argv[1] == "train":
        train(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        # Absolute, as the engines will name them; links stay what they are.
        dump(Path(os.path.abspath(sys.argv[1])), Path(os.path.abspath(sys.argv[2])))
