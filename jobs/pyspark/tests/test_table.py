"""table.py: a table is replaced whole or in part, wherever Hadoop finds it."""

from __future__ import annotations

from pathlib import Path

import deltalake
import pytest
from pyspark.sql import SparkSession
from spark_jobs.kit import table


@pytest.mark.parametrize("scheme", ["", "file:", "file://"])
def test_a_range_replaces_its_rows_only_in_whichever_way_the_table_is_named(
    spark: SparkSession, tmp_path: Path, scheme: str
) -> None:
    path = f"{scheme}{tmp_path / 'numbers'}"

    def write(numbers: list[int], replace: str | None) -> list[int]:
        rows = spark.createDataFrame([(n,) for n in numbers], "n INT").repartition(1)
        table.write_table(rows, path, replace, "{}", ("n",))
        return sorted(deltalake.DeltaTable(str(tmp_path / "numbers")).to_pyarrow_table()["n"].to_pylist())

    assert write([1, 2], "n < 3") == [1, 2], "without a table there is nothing to keep"
    assert write([7, 8, 9], None) == [7, 8, 9], "without a range the whole table is another"
    assert write([10], "n >= 9") == [7, 8, 10]
