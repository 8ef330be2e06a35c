"""Several tables of one run, which readers see together.

    <path>/<table>/<version>.jsonl      one file a table and version, whole from its first moment
    <path>/current.json                 which version counts, of which range, computed when

A version is written table by table, and then counts: `current.json` is renamed over the one before. A run that dies on
the way leaves files that nobody names; the next one takes them away, and every version but its own and the one before,
which somebody may be reading.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from spark_jobs.kit import table
from spark_jobs.results.files import ASIDE, FORMATS, FileSink, rename_over
from spark_jobs.results.sink import counted

CURRENT = "current.json"


class VersionSink:
    def __init__(self, spark: SparkSession, path: str) -> None:
        self._spark, self._path = spark, path

    def publish(self, tables: Mapping[str, DataFrame], version: str, facts: Mapping[str, int]) -> dict[str, int]:
        """Writes the tables as `version` and makes it the one that counts; `facts` are said beside it. Returns how many
        rows each has."""
        before = self.current()
        rows = {name: self._write(name, frame, version) for name, frame in tables.items()}
        said = {"version": version, "computed_ms": time.time_ns() // 1_000_000, **facts, "rows": rows}
        self._switch(json.dumps(said))
        self._tidy(tables, {version} | ({str(before["version"])} if before else set()))
        return rows

    def current(self) -> dict[str, Any] | None:
        """What counts now; None before the first version."""
        if not table.exists(self._spark, f"{self._path}/{CURRENT}"):
            return None
        [text] = self._spark.sparkContext.wholeTextFiles(f"{self._path}/{CURRENT}").values().collect()
        said: dict[str, Any] = json.loads(text)
        return said

    def _write(self, name: str, frame: DataFrame, version: str) -> int:
        with counted(frame) as (held, count):
            FileSink(self._spark, f"{self._path}/{name}", "json_lines").write(held, version)
        return count

    def _switch(self, text: str) -> None:
        aside, files = table.located(self._spark, f"{self._path}/{ASIDE}/{CURRENT}")
        out = files.create(aside, True)
        try:
            out.write(text.encode())
        finally:
            out.close()
        rename_over(self._spark, aside, table.located(self._spark, f"{self._path}/{CURRENT}")[0])

    def _tidy(self, tables: Mapping[str, DataFrame], keep: set[str]) -> None:
        ending = f".{FORMATS['json_lines'][0]}"
        for name in tables:
            for file in table.names_in(self._spark, f"{self._path}/{name}"):
                if file.endswith(ending) and file.removesuffix(ending) not in keep:
                    at, files = table.located(self._spark, f"{self._path}/{name}/{file}")
                    files.delete(at, False)
