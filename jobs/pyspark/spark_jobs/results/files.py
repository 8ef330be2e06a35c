"""Results as files, JSON Lines or Parquet: one file a batch, one a run, in one folder.

Exactly once: a file is written aside, below `_aside`, and renamed to a name that only its batch or run has. A rename
puts the whole file there or nothing, and over what an earlier attempt has left. So the folder's listing is its
manifest: each file in it is whole and good, and what begins with an underscore is none of them. Needs a file system
whose rename is atomic: this machine's, HDFS; not S3.
"""

from __future__ import annotations

import os
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from spark_jobs.kit import table
from spark_jobs.results.sink import MicroBatch, time_text

ASIDE = "_aside"

# Ending of the files, Spark's word for the format, and how it is written.
FORMATS: dict[str, tuple[str, str, dict[str, str]]] = {
    # Every field in every line, as our records have them everywhere.
    "json_lines": ("jsonl", "json", {"ignoreNullFields": "false", "compression": "none"}),
    "parquet": ("parquet", "parquet", {"compression": "zstd"}),
}


class FileSink:
    """`kind`: json_lines or parquet."""

    def __init__(self, spark: SparkSession, path: str, kind: str) -> None:
        self._spark, self._path = spark, path
        self._ending, self._format, self._options = FORMATS[kind]

    def append(self, rows: DataFrame, batch: MicroBatch) -> None:
        self.write(rows, self._name(batch))

    def holds(self, batch: MicroBatch) -> bool:
        # Names sort as batches do; a batch without rows has no file, so a later one speaks for it.
        names = [name for name in table.names_in(self._spark, self._path) if name.startswith("e")]
        return any(name >= self._name(batch) for name in names)

    def replace(self, rows: DataFrame, run_ms: int) -> None:
        self.write(rows, time_text(run_ms))

    @staticmethod
    def _name(batch: MicroBatch) -> str:
        return f"e{batch.epoch:06}-{batch.number:012}"

    def write(self, rows: DataFrame, name: str) -> None:
        """Puts a file of that name, without its ending, there as a whole."""
        aside = f"{self._path}/{ASIDE}/{name}"
        writer = rows.coalesce(1).write.mode("overwrite").format(self._format).options(**self._options)
        writer.save(aside)
        at, files = table.located(self._spark, aside)
        parts = [f.getPath() for f in files.listStatus(at) if f.getPath().getName().startswith("part-")]
        if len(parts) != 1:
            raise RuntimeError(f'Cannot take over "{aside}": expected one file, got {len(parts)}')
        target = table.located(self._spark, f"{self._path}/{name}.{self._ending}")[0]
        rename_over(self._spark, parts[0], target)
        files.delete(at, True)


def rename_over(spark: SparkSession, source: Any, target: Any) -> None:
    """Renames a file, over one of that name if there is one. Both are Java's paths on one file system."""
    if str(target.toUri().getScheme() or source.toUri().getScheme()) == "file":
        # Hadoop removes the old file of a local disk before it renames, and a reader would find none for a moment.
        os.replace(source.toUri().getPath(), target.toUri().getPath())
        return
    jvm, java, gateway = spark._jvm, spark.sparkContext._jsc, spark.sparkContext._gateway
    assert jvm is not None and java is not None and gateway is not None
    rename = getattr(jvm.org.apache.hadoop.fs, "Options$Rename")
    options = gateway.new_array(rename, 1)
    options[0] = rename.OVERWRITE
    # Unlike a FileSystem, which refuses a name that is taken.
    context = jvm.org.apache.hadoop.fs.FileContext.getFileContext(target.toUri(), java.hadoopConfiguration())
    context.rename(source, target, options)
