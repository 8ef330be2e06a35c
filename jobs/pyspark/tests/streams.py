"""Random observation streams of any contract, and the way from them into Spark and back. Used by the window tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import (
    DoubleType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)
from spark_jobs.certify.oracle import Observation, Row, in_range
from spark_jobs.generated.contract import Contract

# A Tuesday; windows of any size begin here.
START_MS = 1_488_844_800_000


def values(field: Any) -> st.SearchStrategy[float | None]:
    """Readings as instruments give them, one decimal, with gaps, ties, and a few outside the range."""
    low, high = field.range or (-1000.0, 1000.0)
    inside = st.integers(int(low * 10), int(high * 10)).map(lambda n: n / 10)
    # A narrow band too, so that a spread is small against its level.
    near = st.integers(0, 9).map(lambda n: (low + high) / 2 + n / 10)
    outside = st.sampled_from([low - 0.1, high + 0.1, float("nan"), float("inf"), float("-inf")])
    edges = st.sampled_from([low, high])
    return st.one_of(st.none(), inside, near, near, inside, edges, outside if field.range else st.none())


@st.composite
def arrivals(draw: st.DrawFn, contract: Contract, keys: int, most: int) -> list[Observation]:
    """Observations in the order they arrive: each at most the lateness behind the newest before it, times tied or on
    edges.

    Offsets count over the whole stream; values are raw, so some lie outside their range. Where windows are by an
    attribute, a key says one of two values each time, and keys lie in all partitions.
    """
    drawn: list[tuple[int, Observation]] = []
    span_ms = 2 * contract.window_ms
    seconds = st.integers(0, span_ms // 1000).map(lambda s: s * 1000)
    on_edge = st.integers(0, span_ms // contract.slide_ms).map(lambda n: n * contract.slide_ms)
    just_before = on_edge.map(lambda ms: max(0, ms - 1))
    for key in range(draw(st.integers(1, keys))):
        for _ in range(draw(st.integers(1, most))):
            time = START_MS + draw(st.one_of(seconds, seconds, on_edge, just_before))
            delay = draw(st.one_of(st.just(0), st.integers(0, contract.lateness_ms), st.just(contract.lateness_ms)))
            reading = {f.name: draw(values(f)) for f in contract.measured}
            named = {contract.by: draw(st.sampled_from(["1", "E2"]))} if contract.by else {}
            at = {"raw_partition": key % max(1, contract.raw_partitions)}
            drawn.append((time + delay, {contract.key: f"key-{key}", "event_time": time, **named, **reading, **at}))
    drawn.sort(key=lambda pair: pair[0])
    return [o | {"raw_offset": 100 + i, "append_time": arrival} for i, (arrival, o) in enumerate(drawn)]


def schema(contract: Contract) -> StructType:
    """Columns of the observations windows.py reads."""
    return StructType(
        [StructField(contract.key, StringType()), StructField("event_time", TimestampType())]
        + [StructField(name, StringType()) for name in [contract.by] if name]
        + [StructField(f.name, DoubleType()) for f in contract.measured]
        + [
            StructField("raw_partition", IntegerType()),
            StructField("raw_offset", LongType()),
            StructField("append_time", TimestampType()),
            StructField("clock_ms", LongType()),
        ]
    )


def frame(spark: SparkSession, contract: Contract, observations: list[Observation]) -> DataFrame:
    """What decode.py would leave of them: a value outside its range is null."""
    rows = []
    for o in observations:
        measured = [o[f.name] if in_range(o[f.name], f.range) else None for f in contract.measured]
        rows.append(
            [
                o[contract.key],
                utc(o["event_time"]),
                *([o[contract.by]] if contract.by else []),
                *measured,
                o["raw_partition"],
                o["raw_offset"],
                utc(o["append_time"]),
                o.get("clock_ms", o["append_time"]),
            ]
        )
    return spark.createDataFrame(rows, schema(contract))


def rows(collected: list[Any], contract: Contract) -> list[Row]:
    """Spark rows with their times as epoch milliseconds."""
    return [{k: epoch_ms(v) if isinstance(v, datetime) else v for k, v in r.asDict().items()} for r in collected]


def by_window(all_rows: list[Row], contract: Contract) -> dict[tuple[str, int], Row]:
    """The last row of each window, by whose it is and window_end."""
    return {(row[contract.entity_key], row["window_end"]): row for row in all_rows}


def utc(ms: int) -> datetime:
    return datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)


def epoch_ms(time: datetime) -> int:
    """Spark hands out local time without a zone; the tests' process runs in the zone it asks the system for."""
    return round(time.timestamp() * 1000)
