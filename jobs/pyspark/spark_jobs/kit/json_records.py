"""Observations as JSON text, read by Spark's own parser made strict: the twin of ts/contract/json.ts.

By itself from_json takes a number for text, 'single quotes' for double ones, NaN for a number, replaces bytes that are
no UTF-8, and reads the first value of a text whatever follows. Of a field that occurs twice the last counts; fields the
contract does not know are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_
from typing import NamedTuple

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BooleanType,
    DataType,
    DoubleType,
    LongType,
    StringType,
    StructField,
    StructType,
    VariantType,
)

# Spark's name for text that could not be read; no field of a contract begins with an underscore.
CORRUPT = "_corrupt_record"

STRICT: Mapping[str, str] = {
    "mode": "PERMISSIVE",
    "columnNameOfCorruptRecord": CORRUPT,
    "allowSingleQuotes": "false",
    "allowNonNumericNumbers": "false",
    # Spark would look at every text for times in it.
    "inferTimestamp": "false",
}

# Text is read as what it is in the text: asked for text, the parser would make some of any number, object or list.
SPARK_TYPES: Mapping[str, DataType] = {
    "string": VariantType(),
    "date": VariantType(),
    "long": LongType(),
    "double": DoubleType(),
    "boolean": BooleanType(),
}


class JsonField(NamedTuple):
    """`kind`: string, long, double, boolean, or date, which is text as in 2024-02-29."""

    name: str
    kind: str


def parsed(text: Column, fields: Sequence[JsonField]) -> Column:
    """A struct of what the text says, to be taken apart by `field` and judged by `is_whole`."""
    columns = [StructField(f.name, SPARK_TYPES[f.kind]) for f in fields]
    return F.from_json(text, StructType([*columns, StructField(CORRUPT, StringType())]), dict(STRICT))


def field(struct: Column, wanted: JsonField) -> Column:
    """One field's value, a date in days since 1970-01-01; null for null, for a field that is not there and for one of
    another type."""
    value = struct[wanted.name]
    if wanted.kind == "date":
        return day(text_of(value))
    return text_of(value) if wanted.kind == "string" else value


def is_whole(text: Column, struct: Column, fields: Sequence[JsonField]) -> Column:
    """Whether the text is one JSON object and nothing else, each field of its type. Never null."""
    fine = struct.isNotNull() & struct[CORRUPT].isNull() & F.is_valid_utf8(text) & ends_with_its_value(text)
    texts = [is_text(struct[f.name]) for f in fields if f.kind in ("string", "date")]
    days = [text_of(struct[f.name]).isNull() | field(struct, f).isNotNull() for f in fields if f.kind == "date"]
    return F.coalesce(reduce(and_, [*texts, *days], fine), F.lit(False))


def is_text(value: Column) -> Column:
    """Whether a value is text, null or not there."""
    return F.coalesce(F.schema_of_variant(value).isin("STRING", "VOID"), F.lit(True))


def text_of(value: Column) -> Column:
    return F.try_variant_get(value, "$", "string")


def day(text: Column) -> Column:
    """Days since 1970-01-01; null for text that is no day of the calendar, written with all its digits."""
    return F.when(text.rlike(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"), F.unix_date(text.try_cast("date")))


def ends_with_its_value(text: Column) -> Column:
    """Whether nothing follows the first JSON value of a text.

    The parser does not say where it stopped. So the text is put before a number in a list: that number is the list's
    second element only if the text is one value. The number is the text's hash, which the text cannot foretell.
    """
    mark = F.xxhash64(text).cast("string")
    return F.get_json_object(F.concat(F.lit("["), text, F.lit(","), mark, F.lit("]")), "$[1]") == mark
