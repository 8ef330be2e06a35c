"""What a sink of a query's results is. Each takes a batch of a stream or a run of a schedule, and takes neither twice.

A stream's batch has the number its checkpoint gave it: after a kill it comes again with the same rows, and must leave
what it would have left once. A run is known by the end of its range: run again, it replaces what it left.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from pyspark import StorageLevel
from pyspark.sql import DataFrame


class MicroBatch(NamedTuple):
    """A micro-batch; `epoch` is its checkpoint's, from 1; `number` counts within it, from 0. Later ones are greater."""

    epoch: int
    number: int


class Sink(Protocol):
    def append(self, rows: DataFrame, batch: MicroBatch) -> None:
        """Adds a batch that has rows. One that came before leaves the sink as it is."""

    def holds(self, batch: MicroBatch) -> bool:
        """Whether that batch, or a later one, has been added."""

    def replace(self, rows: DataFrame, run_ms: int) -> None:
        """Puts a run's rows, none too, in the place of what the same run left before."""


@contextmanager
def counted(rows: DataFrame) -> Iterator[tuple[DataFrame, int]]:
    """The same rows, computed once however often they are read, and how many they are."""
    held = rows.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield held, held.count()
    finally:
        held.unpersist()


def time_text(ms: int) -> str:
    """A time in a file's name: `2016-12-04T13-00-00Z`, with milliseconds where there are any."""
    time = datetime.fromtimestamp(ms / 1000, UTC)
    return time.strftime("%Y-%m-%dT%H-%M-%S") + (f".{ms % 1000:03}" if ms % 1000 else "") + "Z"
