"""The two plans around the one window module: from observations to feature rows on a stream, and over a table.

What a row is follows from decode.py, windows.py and this file alone; features.py and backfill.py run it. meaning.py
hashes the three.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from spark_jobs.generated.contract import Contract
from spark_jobs.windows import decode, windows

# Of a row that no stream has written.
PLAN_EPOCH = 0
# Last field of a feature record, added to its bytes when the micro-batch is written.
PROCESSING_TIME = "processing_time"


class Span(Protocol):
    """Window ends to compute, epoch ms: from inclusive, to exclusive, None without a bound."""

    @property
    def from_ms(self) -> int | None: ...

    @property
    def to_ms(self) -> int | None: ...


def in_stream(
    observations: DataFrame, contract: Contract, plan_epoch: int, publish_from_ms: int | None = None
) -> DataFrame:
    """windows.feature_rows on a stream: with watermark and repeats, and without the processing time, which
    features.stamped adds. `observations` as decode.py yields them, with their clocks.

    Windows that begin before `publish_from_ms` are held back: a checkpoint begun in mid-stream would publish a part of
    them under a newer epoch than the whole ones that are there.

    Late by at most the lateness, against everything read in earlier batches, always counts. The engine's filter of
    repeats drops a time that equals the watermark, so the watermark stays one millisecond below.
    """
    late = with_watermark(observations, contract.lateness_ms + 1)
    once = windows.first_in_stream(late, contract) if contract.duplicates == "engine" else late
    rows = windows.feature_rows(once, contract, plan_epoch, F.lit(None)).drop(PROCESSING_TIME)
    return rows if publish_from_ms is None else rows.where(F.unix_millis("window_start") >= publish_from_ms)


def with_watermark(observations: DataFrame, delay_ms: int) -> DataFrame:
    """A watermark on the event time that advances no further than the records' clocks.

    A record may lead its clock by `lead_ms`, which is more than the lateness: were the watermark to follow it, one
    station that is an hour ahead would close every other's windows. Spark lets the watermark follow one column and
    finds the column it holds for by that column's metadata; so it follows the earlier of time and clock, and holds for
    the event time.
    """
    come = "come"
    clock = F.timestamp_millis(F.col(decode.CLOCK_MS))
    marked = observations.withColumn(come, F.least(decode.EVENT_TIME, clock))
    marked = marked.withWatermark(come, f"{delay_ms} milliseconds")
    event_time = F.col(decode.EVENT_TIME).alias(decode.EVENT_TIME, metadata=marked.schema[come].metadata)
    return marked.withColumns({decode.EVENT_TIME: event_time}).drop(come)


def needed(observations: DataFrame, contract: Contract, span: Span) -> DataFrame:
    """The observations that windows of the range hold."""
    start = None if span.from_ms is None else span.from_ms - contract.window_ms
    return observations.where(in_span(decode.EVENT_TIME, start, span.to_ms))


def in_table(observations: DataFrame, contract: Contract, span: Span) -> DataFrame:
    """The rows with window_end in [from_ms, to_ms), each entity whole in one file, in window_end order."""
    within = needed(observations, contract, span)
    once = windows.first_in_table(within, contract) if contract.duplicates == "engine" else within
    rows = windows.feature_rows(windows.followed(once, contract), contract, PLAN_EPOCH, F.current_timestamp())
    rows = rows.where(in_span("window_end", span.from_ms, span.to_ms))
    return rows.sortWithinPartitions(contract.entity_key, "window_end")


def in_span(column: str, from_ms: int | None, to_ms: int | None) -> str:
    """A SQL condition: from inclusive, to exclusive, null without a bound."""
    bounds = []
    if from_ms is not None:
        bounds.append(f"{column} >= {timestamp(from_ms)}")
    if to_ms is not None:
        bounds.append(f"{column} < {timestamp(to_ms)}")
    return " AND ".join(bounds) or "true"


def timestamp(ms: int) -> str:
    return f"TIMESTAMP '{datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec='milliseconds')}'"
