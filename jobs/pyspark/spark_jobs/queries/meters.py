"""What the meters are asked: functions of accepted observations, each a frame to a frame, without a side effect."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

PEAK_KW = 40.0


def hours(observations: DataFrame) -> DataFrame:
    """One row a meter and hour: readings, mean and greatest power, energy. An hour's start is inclusive."""
    hour = F.date_trunc("hour", "event_time").alias("hour")
    return (
        observations.groupBy("meter", hour)
        .agg(
            F.count(F.lit(1)).alias("readings"),
            F.avg("power").alias("power_mean"),
            F.max("power").alias("power_max"),
            F.sum("energy").alias("energy_sum"),
        )
        .orderBy("meter", "hour")
    )


def peaks(observations: DataFrame) -> DataFrame:
    """Each reading of more than PEAK_KW, as it comes."""
    return observations.where(F.col("power") > PEAK_KW).select("meter", "event_time", "power", "voltage")
