"""Delta tables: what one says of itself (its properties, the note of its last commit), and how one is written.

The archive's properties hold what its bytes need to be read in ten years: topic, writer schemas by id, fingerprint. All
through Spark, so a table may lie wherever Spark reaches.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType
from spark_jobs.generated.contract import Contract
from spark_jobs.generated.job import JobError
from spark_jobs.kit.schema_text import avro_of

# Ours among a table's properties. Schemas are kept one a property: `millrace.schema.<id>`.
TOPIC, TOPIC_ID, FINGERPRINT, LOST = "millrace.topic", "millrace.topic_id", "millrace.fingerprint", "millrace.lost"
SCHEMA = "millrace.schema."

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

# A clock may say the year 1; by default such a time ends the query, because old readers count it differently.
READ_CONF: Mapping[str, str] = {"spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED"}


def named(path: str) -> str:
    """The table at a path, for SQL."""
    return f"delta.`{path.replace('`', '``')}`"


def exists(spark: SparkSession, path: str) -> bool:
    """Whether a file or folder exists, on any file system Spark knows."""
    at, files = located(spark, path)
    return bool(files.exists(at))


def names_in(spark: SparkSession, path: str) -> list[str]:
    """Names of what lies in a folder; empty without the folder."""
    at, files = located(spark, path)
    return [str(found.getPath().getName()) for found in files.listStatus(at)] if files.exists(at) else []


def located(spark: SparkSession, path: str) -> tuple[Any, Any]:
    """A path and its file system, both Java's."""
    jvm, context = spark._jvm, spark.sparkContext._jsc
    assert jvm is not None and context is not None
    at = jvm.org.apache.hadoop.fs.Path(path)
    return at, at.getFileSystem(context.hadoopConfiguration())


# How Hadoop says that nobody is there, that it does not take writes yet, and that nobody keeps blocks.
_AWAY = ("java.net.ConnectException", "NoRouteToHostException", "SafeModeException", "nodes instead of minReplication")


def unreachable(error: Exception, path: str) -> JobError | None:
    """What is to be done when HDFS does not answer for a table; None for any other failure."""
    text = str(error)
    if not path.startswith("hdfs:") or not any(word in text for word in _AWAY):
        return None
    return JobError(
        "store_unreachable",
        f'Cannot reach table "{path}": expected HDFS to work, it does not; the one of this machine starts with '
        '"millrace up --with hdfs"',
    )


def is_table(spark: SparkSession, path: str) -> bool:
    """Whether there is a table with at least one commit: a killed first one leaves the folder of its log."""
    return exists(spark, f"{path}/_delta_log/00000000000000000000.json") or exists(
        spark, f"{path}/_delta_log/_last_checkpoint"
    )


def properties(spark: SparkSession, path: str) -> dict[str, str]:
    """All properties of a table. It has to be there."""
    return dict(spark.sql(f"DESCRIBE DETAIL {named(path)}").select("properties").collect()[0][0])


def create(spark: SparkSession, path: str, schema: StructType, partition: str) -> None:
    """Makes an empty table, unless there is one."""
    if not is_table(spark, path):
        empty = spark.createDataFrame([], schema)
        empty.write.format("delta").mode("append").partitionBy(partition).save(path)


def set_properties(spark: SparkSession, path: str, wanted: Mapping[str, str]) -> None:
    """Sets what differs, in one commit; without a difference in none."""
    before = properties(spark, path)
    changed = {name: value for name, value in wanted.items() if before.get(name) != value}
    if changed:
        pairs = ", ".join(f"{quoted(name)} = {quoted(value)}" for name, value in sorted(changed.items()))
        spark.sql(f"ALTER TABLE {named(path)} SET TBLPROPERTIES ({pairs})")


def quoted(text: str) -> str:
    """A string literal of Spark's SQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def schemas(known: Mapping[str, str]) -> dict[int, str]:
    """The writer schemas among a table's properties, by the id in its records."""
    return {int(name.removeprefix(SCHEMA)): text for name, text in known.items() if name.startswith(SCHEMA)}


def conflicts(ours: Mapping[int, str], theirs: Mapping[int, str]) -> list[int]:
    """Ids that mean different schemas: they come from two registries, or from one that was emptied."""
    return sorted(i for i in ours.keys() & theirs.keys() if meaning(ours[i]) != meaning(theirs[i]))


def meaning(schema: str) -> Any:
    """A schema without its documentation, comparable."""

    def bare(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: bare(value) for key, value in node.items() if key != "doc"}
        return [bare(item) for item in node] if isinstance(node, list) else node

    return bare(json.loads(avro_of(schema)))


def check_units(known: Mapping[int, str], contract: Contract, path: str) -> None:
    """Errors: JobError contract_mismatch for a writer schema that gives a field of the contract in another unit.

    Bytes that were written in kelvin decode to a number all the same, and nobody would see it.
    """
    for schema_id, text in sorted(known.items()):
        units = {field["name"]: field.get("unit") for field in json.loads(avro_of(text))["fields"]}
        for field in contract.measured:
            unit = units.get(field.name)
            if unit is not None and field.unit is not None and unit != field.unit:
                raise JobError(
                    "contract_mismatch",
                    f'Cannot read table "{path}": expected "{field.name}" in {field.unit}, its records of schema '
                    f"{schema_id} have {unit}; they belong to another contract, name the table of this one",
                )


def last_note(spark: SparkSession, path: str) -> dict[str, Any]:
    """What the last commit with a note of ours says of itself; empty for none."""
    history = spark.sql(f"DESCRIBE HISTORY {named(path)}").where("userMetadata IS NOT NULL")
    found = history.orderBy("version", ascending=False).select("userMetadata").limit(1).collect()
    try:
        note = json.loads(found[0][0]) if found else {}
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}


def write_table(rows: DataFrame, path: str, replace: str | None, note: str, statistics: Sequence[str]) -> None:
    """Replaces a Delta table, or only the rows that satisfy `replace`, in one commit: readers see all of it or nothing.

    `note` is kept in the table's log with the commit. `statistics`: the columns that readers select by; a new table
    keeps the least and largest value of these in each file, and not of its first 32 columns, which take as long as the
    rows.
    """
    writer = rows.write.format("delta").mode("overwrite").option("userMetadata", note)
    writer = writer.option("delta.dataSkippingStatsColumns", ",".join(statistics))
    if replace is not None and is_table(rows.sparkSession, path):
        writer = writer.option("replaceWhere", replace)
    else:
        writer = writer.option("overwriteSchema", "true")
    writer.save(path)
