"""table.py: a table is replaced whole or in part, wherever Hadoop finds it."""

from __future__ import annotations

from pathlib import Path

import deltalake
from pyspark.sql import SparkSession
from spark_jobs.kit import table


def test_a_range_replaces_its_rows_only_where_no_local_path_finds_the_table(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = f"file:{tmp_path / 'numbers'}"  # A URL that only Hadoop reads, as hdfs: and s3a: are.

    def write(numbers: list[int], replace: str | None) -> list[int]:
        rows = spark.createDataFrame([(n,) for n in numbers], "n INT").repartition(1)
        table.write_table(rows, path, replace, "{}", ("n",))
        return sorted(deltalake.DeltaTable(str(tmp_path / "numbers")).to_pyarrow_table()["n"].to_pylist())

    assert write([1, 2], "n < 3") == [1, 2], "without a table there is nothing to keep"
    assert write([7, 8, 9], None) == [7, 8, 9], "without a range the whole table is another"
    assert write([10], "n >= 9") == [7, 8, 10]
