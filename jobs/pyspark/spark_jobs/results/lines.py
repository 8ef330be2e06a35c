"""Accepted observations from the JSON Lines that ts/lines keeps: what a run reads where the topic does not reach back.

A line is an accepted record with every field of the contract. Where it came from is not in it, so a function that wants
`raw_offset` reads the topic.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DataType, DateType, DoubleType, LongType, StringType, StructField, StructType
from spark_jobs.generated.contract import Contract, Field
from spark_jobs.kit import table
from spark_jobs.windows import decode

ATTRIBUTES: dict[str, DataType] = {
    "string": StringType(),
    "enum": StringType(),
    "boolean": BooleanType(),
    "integer": LongType(),
    "date": DateType(),
}


def read(spark: SparkSession, contract: Contract, root: str, from_ms: int, to_ms: int) -> DataFrame:
    """The lines of every UTC day that [from_ms, to_ms) touches; a day without lines has none."""
    folders = [f"{root}/{folder}" for folder in day_folders(from_ms, to_ms)]
    present = [folder for folder in folders if table.exists(spark, folder)]
    schema = StructType([StructField(field.name, type_of(field)) for field in contract.fields])
    said = spark.read.schema(schema).json(present) if present else spark.createDataFrame([], schema)
    values = [field.name for field in contract.fields if field.name != contract.event_time]
    return said.select(F.timestamp_millis(F.col(contract.event_time)).alias(decode.EVENT_TIME), *values)


def day_folders(from_ms: int, to_ms: int) -> list[str]:
    """As ts/lines/layout.ts names them, in order; none for an empty range."""
    day = datetime.fromtimestamp(from_ms / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    folders = []
    while day.timestamp() * 1000 < to_ms:
        folders.append(day.strftime("raw/year=%Y/month=%m/day=%d"))
        day += timedelta(days=1)
    return folders


def type_of(field: Field) -> DataType:
    if field.role == "key":
        return StringType()
    if field.role == "event_time":
        return LongType()
    return ATTRIBUTES[field.attribute.kind] if field.attribute is not None else DoubleType()
