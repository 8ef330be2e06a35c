"""What is accepted in an attribute, as Spark columns: the type it is read as, the rule, and the sentence for a refusal.

Part of decode.py. The rules are those of ts/contract/attribute.ts, in the generated contract; schemas/acceptance.json
has examples for both sides.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DataType, DateType, IntegerType, LongType, StringType
from spark_jobs.generated.contract import Attribute, Contract

# What each kind is read as; a date in days since 1970-01-01, so that no calendar of an engine is asked what it means.
READ_AS = {"string": "string", "enum": "string", "boolean": "boolean", "integer": "bigint", "date": "int"}

# The years 1 to 9999 in days since 1970-01-01.
DAY_MIN, DAY_MAX = -719_162, 2_932_896


def as_read(value: Column, written: DataType, attribute: Attribute) -> Column | None:
    """A writer's value as its kind is read; None for a type that the kind cannot be read from."""
    if attribute.kind in ("string", "enum"):
        return value if isinstance(written, StringType) else None
    if attribute.kind == "boolean":
        return value if isinstance(written, BooleanType) else None
    if attribute.kind == "date" and isinstance(written, DateType):
        return F.unix_date(value)
    if isinstance(written, IntegerType) or (attribute.kind == "integer" and isinstance(written, LongType)):
        return value.cast(READ_AS[attribute.kind])
    return None


def is_accepted(attribute: Attribute, value: Column) -> Column:
    """Never null. A value that is not there is accepted where it is not required."""
    rule = F.lit(True)
    if attribute.kind == "enum":
        rule = value.isin(list(attribute.symbols or ()))
    if attribute.range is not None:
        rule = value.between(*attribute.range)
    if attribute.max_length is not None:
        rule = F.length(value) <= attribute.max_length
    if attribute.pattern is not None:
        rule = rule & value.rlike(rf"^(?:{attribute.pattern})\z")
    return F.when(value.isNull(), F.lit(not attribute.required)).otherwise(rule)


def refusal(name: str, attribute: Attribute, value: Column) -> Column:
    """One sentence: what was expected, what was seen."""
    wanted = "true or false"
    seen = F.concat(F.lit('"'), F.substring(value.cast("string"), 1, 60), F.lit('"'))
    if attribute.symbols is not None:
        wanted = f"one of {', '.join(attribute.symbols)}"
    if attribute.range is not None:
        low, high = attribute.range
        unit = "a whole number" if attribute.kind == "integer" else "a day, counted from 1970-01-01,"
        wanted, seen = f"{unit} from {low} to {high}", value.cast("string")
    if attribute.max_length is not None:
        like = "" if attribute.pattern is None else f" like {attribute.pattern}"
        wanted = f"text{like} of at most {attribute.max_length} characters"
        seen = F.concat(seen, F.lit(" of "), F.length(value).cast("string"), F.lit(" characters"))
    return F.concat(F.lit(f"{name}: expected {wanted}, got "), F.coalesce(seen, F.lit("nothing")))


def shown(attribute: Attribute, value: Column) -> Column:
    """A value as tables have it: a date as a date, null beyond the years 1 to 9999; any other as it is read."""
    if attribute.kind != "date":
        return value
    return F.date_from_unix_date(F.when(value.between(DAY_MIN, DAY_MAX), value))


def texts(contract: Contract) -> Iterator[str]:
    """Names of the attributes that hold free text."""
    return (name for name, attribute in contract.attributes if attribute.kind == "string")


def plain_dates(schema: str) -> str:
    """A writer's schema with its dates as the numbers that were written."""
    return json.dumps(_plain(json.loads(schema))) if '"date"' in schema else schema


def _plain(part: Any) -> Any:
    if isinstance(part, list):
        return [_plain(item) for item in part]
    if not isinstance(part, dict):
        return part
    if part.get("type") == "int" and part.get("logicalType") == "date":
        return "int"
    return {key: _plain(value) for key, value in part.items()}
