"""Sliding windows over decoded observations, as native Spark expressions: the one definition for stream and backfill.

Sits between decode.py, which yields observations, and plans.py, which runs it. Knows a Contract, and nothing of
weather, Kafka, files or of whether it runs in a stream. oracle.py says the same slowly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from spark_jobs.generated.contract import Contract, Feature

HOUR_MS = 3_600_000.0

# Below this length of the mean vector a direction says nothing: opposite winds cancel to noise of about 1e-16.
RESULTANT_MIN = 1e-6

# When the group's next observation comes; only observations that `followed` has seen carry it.
NEXT = "next_event_time"


def feature_rows(observations: DataFrame, contract: Contract, plan_epoch: int, processing_time: Column) -> DataFrame:
    """The published feature rows of `observations`, in the column order of the feature record.

    `observations` has the key column and that of the attribute that windows are by, `event_time` (timestamp), every
    measured field (double or null), `raw_partition`, `raw_offset` and `append_time`. Edges: a window's start is
    inclusive, its end exclusive; a field without a value in a window counts 0 and its features are null, the window
    still counts as long as it holds an observation.
    """
    return columns(published(aggregate(observations, contract), contract), contract, plan_epoch, processing_time)


def followed(observations: DataFrame, contract: Contract) -> DataFrame:
    """A table's observations with the time of each group's next one, so that `aggregate` can leave out windows nobody
    will publish. Rows stay as they are. Not for a stream, which does not know what comes next.

    It also brings each group into one partition, where all that follows can stay.
    """
    order = Window.partitionBy(contract.entity_key).orderBy("event_time")
    return observations.withColumn(NEXT, F.lead("event_time").over(order))


def aggregate(observations: DataFrame, contract: Contract) -> DataFrame:
    """One row for every (window, group) that holds an observation, with the sums behind the features.

    The window is projected before it is grouped, so that the slope can measure time from the window's start: small
    whole numbers, where epoch milliseconds would cost nine digits.
    """
    placed = in_windows(observations, contract)
    since_start_ms = (F.unix_millis("event_time") - F.unix_millis("window.start")).cast("double")
    sums = [
        F.count(F.lit(1)).alias("measurement_count"),
        *origin_sums(contract),
        F.max("event_time").alias("max_event_time"),
        F.max("append_time").alias("raw_append_time"),
    ]
    for field, features in by_field(contract):
        sums.append(F.count(field).alias(f"{field}_count"))
        needed = {part for feature in features for part in PARTS[feature.kind]}
        sums.extend(SUMS[part](field, since_start_ms).alias(f"{field}_{part}") for part in sorted(needed))
    return placed.groupBy("window", contract.entity_key).agg(*sums)


def origin_sums(contract: Contract) -> list[Column]:
    """Where a window's raw records lie. Those of a key lie in one partition, those of a group in any."""
    if contract.by is None:
        return [
            F.max("raw_offset").alias("revision"),
            F.min("raw_offset").alias("first_offset"),
            F.max("raw_partition").alias("raw_partition"),
        ]
    partitions = range(contract.raw_partitions)
    unknown = f"topic of {contract.pipeline}: expected {contract.raw_partitions} partitions, got a record of another"
    offsets = [F.when(F.col("raw_partition") == p, F.col("raw_offset")) for p in partitions]
    known = F.when(F.col("raw_partition").isin(*partitions), F.lit(True)).otherwise(F.raise_error(F.lit(unknown)))
    return [
        # Ranges that leave a partition out would be no provenance.
        F.bool_and(known).alias("raw_partitions_known"),
        *(F.min(offset).alias(f"raw_first_{p}") for p, offset in enumerate(offsets)),
        *(F.max(offset).alias(f"raw_last_{p}") for p, offset in enumerate(offsets)),
    ]


def in_windows(observations: DataFrame, contract: Contract) -> DataFrame:
    """Every observation once for each window that holds it, in the column `window`; of observations that `followed`
    has seen only the windows that are published.

    A stream needs Spark's own window(), whose column the watermark follows. In a plan it is an Expand, which forgets
    how its input is partitioned, and the rows would be shuffled twice more; explode() does not.
    """
    size, slide = contract.window_ms, contract.slide_ms
    if NEXT not in observations.columns:
        return observations.withColumn(
            "window", F.window("event_time", f"{size} milliseconds", f"{slide} milliseconds")
        )
    time = F.unix_millis("event_time")
    last_start = time - F.pmod(time, F.lit(slide))
    windows = []
    for start_ms in (last_start - shift for shift in range(0, size, slide)):
        end_ms = start_ms + size
        # A window is published for an observation in its last slide: this one, or a later one before the window's end.
        own = time >= end_ms - slide
        wanted = (time < end_ms) & (own | (F.unix_millis(NEXT) < end_ms))
        window = F.struct(F.timestamp_millis(start_ms).alias("start"), F.timestamp_millis(end_ms).alias("end"))
        windows.append(F.when(wanted, window))
    placed = observations.withColumn("window", F.explode(F.array(*windows)))
    return placed.where(F.col("window").isNotNull())


def published(windows: DataFrame, contract: Contract) -> DataFrame:
    """Only windows with an observation in their last slide: start of the slide inclusive, end exclusive.

    One event then leads to one row instead of size / slide rows, and that row is the freshest window there is.
    """
    return windows.where(F.unix_millis("max_event_time") >= F.unix_millis("window.end") - contract.slide_ms)


def columns(windows: DataFrame, contract: Contract, plan_epoch: int, processing_time: Column) -> DataFrame:
    """The feature record's columns, in its order. Version of a row: (plan_epoch, revision)."""
    chosen = [
        F.col(contract.entity_key).cast("string").alias(contract.entity_key),
        F.col("window.start").alias("window_start"),
        F.col("window.end").alias("window_end"),
        F.lit(plan_epoch).cast("int").alias("plan_epoch"),
        *origin(contract),
        F.col("measurement_count").cast("int").alias("measurement_count"),
    ]
    for field, features in by_field(contract):
        chosen.append(F.col(f"{field}_count").cast("int").alias(f"{field}_count"))
        chosen.extend(FEATURES[feature.kind](field).alias(feature.column) for feature in features)
    chosen += [F.col("max_event_time"), F.col("raw_append_time"), processing_time.alias("processing_time")]
    return windows.select(*chosen)


def origin(contract: Contract) -> list[Column]:
    """The revision, and where the raw records of the row lie.

    A revision has to grow with each version of a row. Offsets of several partitions cannot be compared: there the
    number of observations is the revision, of which a version holds at least one more than the one before.
    """
    if contract.by is None:
        return [F.col("revision"), F.col("raw_partition"), F.col("first_offset")]
    ranges = [
        F.when(
            F.col(f"raw_last_{p}").isNotNull() & F.col("raw_partitions_known"),
            F.struct(
                F.lit(p).alias("partition"),
                F.col(f"raw_first_{p}").alias("first_offset"),
                F.col(f"raw_last_{p}").alias("last_offset"),
            ),
        )
        for p in range(contract.raw_partitions)
    ]
    return [
        F.col("measurement_count").cast("bigint").alias("revision"),
        F.lit(contract.by).alias("grouped_by"),
        F.array_compact(F.array(*ranges)).alias("raw_ranges"),
    ]


def first_in_stream(observations: DataFrame, contract: Contract) -> DataFrame:
    """For `duplicates: engine`: of two observations with the same key and time the one read first stays.

    A station's records lie in one partition and are read in its order, so the first has the lowest offset.
    """
    return observations.dropDuplicatesWithinWatermark([contract.key, "event_time"])


def first_in_table(observations: DataFrame, contract: Contract) -> DataFrame:
    """The same rule where all observations are at hand: the lowest offset stays."""
    rank = F.row_number().over(Window.partitionBy(contract.key, "event_time").orderBy("raw_partition", "raw_offset"))
    return observations.withColumn("rank", rank).where(F.col("rank") == 1).drop("rank")


def by_field(contract: Contract) -> Iterator[tuple[str, list[Feature]]]:
    """Every field that has features, in contract order, with those features."""
    for field, features in groupby(contract.features, key=lambda feature: feature.field):
        yield field, list(features)


# What a kind of feature needs to be summed in a window, beside the count of values every field has.
PARTS: dict[str, tuple[str, ...]] = {
    "mean": ("mean",),
    "std": ("std",),
    "min": ("min",),
    "max": ("max",),
    "sum": ("sum",),
    "rate": ("slope",),
    "circular_mean": ("sin", "cos"),
    "resultant": ("sin", "cos"),
}

# The sums, by part. stddev_samp and regr_slope keep running means (Welford), so that neither the level of a pressure
# nor the order of the records costs digits.
SUMS: dict[str, Callable[[str, Column], Column]] = {
    "mean": lambda field, _: F.avg(field),
    "std": lambda field, _: F.stddev_samp(field),
    "min": lambda field, _: F.min(field),
    "max": lambda field, _: F.max(field),
    "sum": lambda field, _: F.sum(field),
    "slope": lambda field, since_start_ms: F.regr_slope(F.col(field), since_start_ms),
    "sin": lambda field, _: F.sum(F.sin(F.radians(field))),
    "cos": lambda field, _: F.sum(F.cos(F.radians(field))),
}


def resultant(field: str) -> Column:
    """Length of the mean vector of a direction, in [0, 1]; null without a value."""
    count, north, east = F.col(f"{field}_count"), F.col(f"{field}_cos"), F.col(f"{field}_sin")
    return F.when(count > 0, F.least(F.lit(1.0), F.sqrt(north * north + east * east) / count))


def circular_mean(field: str) -> Column:
    """Mean direction in degrees, in [0, 360); null without a value or where the directions cancel."""
    angle = F.pmod(F.degrees(F.atan2(F.col(f"{field}_sin"), F.col(f"{field}_cos"))), F.lit(360.0))
    return F.when(resultant(field) >= RESULTANT_MIN, angle)


# The feature columns, by kind. `rate` is per hour. A kind the table does not have is refused when the plan is built.
FEATURES: dict[str, Callable[[str], Column]] = {
    "mean": lambda field: F.col(f"{field}_mean"),
    "std": lambda field: F.col(f"{field}_std"),
    "min": lambda field: F.col(f"{field}_min"),
    "max": lambda field: F.col(f"{field}_max"),
    "sum": lambda field: F.col(f"{field}_sum"),
    "rate": lambda field: F.col(f"{field}_slope") * HOUR_MS,
    "circular_mean": circular_mean,
    "resultant": resultant,
}
