"""Results in a Delta table.

Exactly once: a batch's rows and its number are one commit (txnAppId, txnVersion), and Delta skips a number that its log
holds. A run's rows carry the run in the column `run_time` and take the place of that run's rows in one commit.
"""

from __future__ import annotations

import json

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from spark_jobs.kit import table
from spark_jobs.results.sink import MicroBatch

RUN_TIME = "run_time"


class DeltaSink:
    """`job` is the query's name; only it writes the table."""

    def __init__(self, spark: SparkSession, path: str, job: str) -> None:
        self._spark, self._path, self._job = spark, path, job

    def append(self, rows: DataFrame, batch: MicroBatch) -> None:
        # The note says the batch as well: a transaction's number is not to be read through Spark.
        note = json.dumps({"job": self._job, "epoch": batch.epoch, "batch": batch.number})
        (
            rows.write.format("delta")
            .mode("append")
            .option("txnAppId", f"{self._job}-e{batch.epoch}")
            .option("txnVersion", batch.number)
            .option("mergeSchema", "true")
            .option("userMetadata", note)
            .save(self._path)
        )

    def holds(self, batch: MicroBatch) -> bool:
        if not table.is_table(self._spark, self._path):
            return False
        note = table.last_note(self._spark, self._path)
        return MicroBatch(int(note.get("epoch", 0)), int(note.get("batch", -1))) >= batch

    def replace(self, rows: DataFrame, run_ms: int) -> None:
        run = f"TIMESTAMP_MILLIS({run_ms})"
        note = json.dumps({"job": self._job, "run_ms": run_ms})
        stamped = rows.withColumn(RUN_TIME, F.timestamp_millis(F.lit(run_ms)))
        table.write_table(stamped, self._path, f"{RUN_TIME} = {run}", note, (RUN_TIME,))
