"""What the cities are asked: one function of accepted observations to the tables of a run, without a side effect."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

# How many sample standard deviations a value lies from its city's mean before it is called far off.
SIGMAS = 3.0
JUDGED = ("temperature", "humidity", "pressure", "wind_speed")


def analytics(observations: DataFrame) -> dict[str, DataFrame]:
    """Three tables of a range, each ordered. A null is no value: it is left out of means and judged by nobody."""
    return {
        "city_statistics": statistics(observations),
        "hourly_trends": trends(observations),
        "anomalies": anomalies(observations),
    }


def statistics(observations: DataFrame) -> DataFrame:
    """One row a city. The standard deviation is the sample's (n - 1), null of less than two values."""
    return (
        observations.groupBy("city")
        .agg(
            F.count(F.lit(1)).alias("count"),
            F.avg("temperature").alias("temperature_mean"),
            F.min("temperature").alias("temperature_min"),
            F.max("temperature").alias("temperature_max"),
            F.stddev_samp("temperature").alias("temperature_std"),
            F.avg("humidity").alias("humidity_mean"),
            F.count(F.when(F.col("simulated"), True)).alias("simulated_count"),
        )
        .orderBy("city")
    )


def trends(observations: DataFrame) -> DataFrame:
    """One row a city and hour of event time, UTC; an hour's start is inclusive."""
    return (
        observations.groupBy("city", F.date_trunc("hour", "event_time").alias("hour"))
        .agg(
            F.count(F.lit(1)).alias("count"),
            F.avg("temperature").alias("temperature_mean"),
            F.avg("humidity").alias("humidity_mean"),
            F.avg("wind_speed").alias("wind_speed_mean"),
        )
        .orderBy("city", "hour")
    )


def anomalies(observations: DataFrame) -> DataFrame:
    """One row a value that lies more than SIGMAS sample standard deviations from the mean of its city in the range."""
    long = observations.select(
        "city", "event_time", F.explode(F.array(*(value_of(name) for name in JUDGED))).alias("one")
    ).select("city", "event_time", "one.field", "one.value")
    judged = long.where(F.col("value").isNotNull())
    spread = judged.groupBy("city", "field").agg(F.avg("value").alias("mean"), F.stddev_samp("value").alias("std"))
    sigmas = (F.col("value") - F.col("mean")) / F.col("std")
    return (
        judged.join(spread, ["city", "field"])
        .where((F.col("std") > 0) & (F.abs(F.col("value") - F.col("mean")) > SIGMAS * F.col("std")))
        .select("city", F.col("event_time").alias("time"), "field", "value", "mean", "std", sigmas.alias("sigmas"))
        .orderBy("time", "city", "field")
    )


def value_of(name: str) -> Column:
    return F.struct(F.lit(name).alias("field"), F.col(name).alias("value"))
