"""Raw records to observations and rejects: framing, Avro by writer schema, JSON, protobuf, ranges, time jumps.

Sits between kafka.py, which reads, and windows.py. Every record ends as an observation, as a reject with its original
bytes, or as both when only a value was out of range. One way for all runs, whatever the stream's format. Keeps no
state: lateness and repeats are not judged here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add, and_, or_
from typing import Any, NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.avro.functions import from_avro
from pyspark.sql.types import DataType, LongType, NumericType, StringType, StructType, TimestampType
from spark_jobs.generated.contract import Contract, Field
from spark_jobs.kit import json_records, protobuf_records
from spark_jobs.kit.frame import PREFIX_BYTES, prefix
from spark_jobs.windows import attributes

# Epoch milliseconds of the years 1 to 9999: what a clock may be, so that no sum with one overflows.
TIME_MIN_MS = -62_135_596_800_000
TIME_MAX_MS = 253_402_300_799_999

# Names of the observation's own columns beside the key and the measured fields.
EVENT_TIME, CLOCK_MS = "event_time", "clock_ms"


def decode(raw: DataFrame, contract: Contract, schemas: Mapping[int, str]) -> tuple[DataFrame, DataFrame]:
    """(observations, rejects) of Kafka records, as Spark's Kafka source reads them with headers.

    `schemas` holds every writer schema by registry id; a record with another id is rejected. Fields the contract does
    not know are ignored, fields a writer lacks are null. Raises ValueError for a writer schema whose fields do not fit.
    """
    judged = judge(parse_framed(raw, contract, schemas), contract)
    return observations(judged, contract), rejects(judged, contract)


def decode_staged(staged: DataFrame, contract: Contract, source: str) -> tuple[DataFrame, DataFrame]:
    """(observations, rejects) of rows from staged files: the contract's fields, `offset` and, or not, `clock` (epoch
    ms).

    Rejects name `source` as their topic and carry no bytes: the file has the row. Append time is the clock, else the
    record's own time; without a clock no time jump can be told.
    """
    judged = judge(parse_staged(staged, contract, source), contract)
    return observations(judged, contract), rejects(judged, contract)


def parse_framed(raw: DataFrame, contract: Contract, schemas: Mapping[int, str]) -> DataFrame:
    """Kafka records with what they say beside them (`said_<field>`), and `fault` where nothing can be understood."""
    # get() is null where there is no such header; an array index would end the query.
    header = F.get(F.filter("headers", lambda h: h["key"] == "clock"), F.lit(0))
    clock_text = header["value"].cast("string")
    carried: list[Column | str] = [
        "topic",
        "partition",
        "offset",
        "key",
        "value",
        "headers",
        F.col("timestamp").alias("append_time"),
        clock_text.try_cast("bigint").alias("clock"),
    ]
    wide, fault, said = FORMATS[contract.format](raw, carried, contract, schemas)
    return wide.select(
        "topic",
        "partition",
        "offset",
        "key",
        "value",
        "headers",
        "append_time",
        F.when(is_framed(), F.conv(F.hex(F.substring("value", 2, 4)), 16, 10).try_cast("int")).alias("schema_id"),
        believed(F.col("clock"), contract).alias(CLOCK_MS),
        fenced(fault).alias("fault"),
        *said,
    )


class Opened(NamedTuple):
    """Records taken apart: a frame of them, why one cannot be understood, and what each says (`said_<field>`)."""

    wide: DataFrame
    fault: Column
    said: list[Column]


def open_avro(
    raw: DataFrame, carried: Sequence[Column | str], contract: Contract, schemas: Mapping[int, str]
) -> Opened:
    """Each record by the schema its id names."""
    body = F.substring("value", PREFIX_BYTES + 1, 2_147_483_647)
    head = F.substring("value", 1, PREFIX_BYTES)
    opened = [
        fenced(F.when(head == F.lit(prefix(schema_id)), read_avro(body, schema))).alias(branch(schema_id))
        for schema_id, schema in sorted(schemas.items())
    ]
    wide = raw.select(*carried, *opened)

    # PERMISSIVE leaves a struct of nulls where bytes cannot be read, so null means: another writer.
    by_writer = {schema_id: F.col(branch(schema_id)).isNotNull() for schema_id in sorted(schemas)}
    known = reduce(or_, by_writer.values(), F.lit(False))
    intact = first_of([(is_writer, is_intact(i, schemas[i], contract)) for i, is_writer in by_writer.items()])
    fault = (
        F.when(~is_framed(), "bad_framing")
        .when(~known, "unknown_schema")
        .when(~F.coalesce(intact, F.lit(False)), "undecodable")
    )
    shape = wide.schema
    # A record has one writer, and what the others' columns say of it is null.
    said = []
    for field in contract.fields:
        nothing = F.lit(None).cast(said_type(field))
        value = F.coalesce(*(as_contract(branch(i), shape, field) for i in by_writer), nothing)
        said.append(value.alias(f"said_{field.name}"))
    return Opened(wide, fault, said)


def read_avro(body: Column, schema: str) -> Column:
    return from_avro(body, attributes.plain_dates(schema), {"mode": "PERMISSIVE"})


def open_json(
    raw: DataFrame, carried: Sequence[Column | str], contract: Contract, schemas: Mapping[int, str]
) -> Opened:
    """Framed by a known id, or JSON alone, which no frame begins like; either way by the contract's fields."""
    plain = F.coalesce((F.length("value") > 0) & (F.substring("value", 1, 1) != F.lit(b"\x00")), F.lit(False))
    framed = F.when(is_written_by(schemas), F.substring("value", PREFIX_BYTES + 1, 2_147_483_647))
    text = F.when(plain, F.col("value")).otherwise(framed).cast("string")
    fields = {f.name: json_records.JsonField(f.name, kind_of(f)) for f in contract.fields}
    listed = tuple(fields.values())
    read = raw.select(*carried, fenced(text).alias("text"))
    wide = read.select("*", fenced(json_records.parsed(F.col("text"), listed)).alias("opened"))
    fault = (
        F.when(~(plain | is_framed()), "bad_framing")
        .when(F.col("text").isNull(), "unknown_schema")
        .when(~json_records.is_whole(F.col("text"), F.col("opened"), listed), "undecodable")
    )
    said = [
        json_records.field(F.col("opened"), fields[f.name]).cast(said_type(f)).alias(f"said_{f.name}")
        for f in contract.fields
    ]
    return Opened(wide, fault, said)


def open_protobuf(
    raw: DataFrame, carried: Sequence[Column | str], contract: Contract, schemas: Mapping[int, str]
) -> Opened:
    """Framed by a known id, and by the contract's own numbers: they stay what they are in every later schema."""
    body = F.when(is_written_by(schemas), protobuf_records.message_in(F.col("value")))
    opened = protobuf_records.parsed(body, contract.schemas["observation"])
    wide = raw.select(*carried, fenced(opened).alias("opened"))
    fault = (
        F.when(~is_framed(), "bad_framing")
        .when(~is_written_by(schemas), "unknown_schema")
        .when(F.col("opened").isNull(), "undecodable")
    )
    said = [in_protobuf(F.col("opened")[f.name], f).cast(said_type(f)).alias(f"said_{f.name}") for f in contract.fields]
    return Opened(wide, fault, said)


FORMATS = {"avro": open_avro, "json": open_json, "protobuf": open_protobuf}

# What a field of each role, or an attribute of each kind, is in JSON.
KINDS = {
    "key": "string",
    "event_time": "long",
    "measurement": "double",
    "circular": "double",
    "string": "string",
    "enum": "string",
    "boolean": "boolean",
    "integer": "long",
    "date": "date",
}


def kind_of(field: Field) -> str:
    return KINDS[field.role if field.attribute is None else field.attribute.kind]


def in_protobuf(value: Column, field: Field) -> Column:
    """A message's field as it is read. An enum is a number on the wire, its symbols count from 1; one that is none of
    them stays a number, which no rule accepts."""
    if field.attribute is None or field.attribute.symbols is None:
        return value
    symbol = F.get(F.array(*map(F.lit, field.attribute.symbols)), value - 1)
    return F.coalesce(symbol, value.cast("string"))


def is_framed() -> Column:
    """Whether a value begins with a frame. Never null."""
    return F.coalesce(
        (F.length("value") >= PREFIX_BYTES) & (F.substring("value", 1, 1) == F.lit(b"\x00")), F.lit(False)
    )


def is_written_by(schemas: Mapping[int, str]) -> Column:
    """Whether a value is framed by one of these ids. Never null."""
    head = F.substring("value", 1, PREFIX_BYTES)
    return F.coalesce(reduce(or_, (head == F.lit(prefix(i)) for i in sorted(schemas)), F.lit(False)), F.lit(False))


def believed(clock: Column, contract: Contract) -> Column:
    """The clock a record is judged by, epoch ms: its source's, which is behind the broker's where it replays the past.

    None is believed that leads the broker's further than a record may lead its clock: nobody sends what is still to be
    observed, and a source whose own clock is wrong must not vouch for itself.
    """
    append_ms = F.unix_millis("append_time")
    valid = F.when(clock.between(TIME_MIN_MS, TIME_MAX_MS), clock)
    return F.least(F.coalesce(valid, append_ms), append_ms + contract.lead_ms)


def parse_staged(staged: DataFrame, contract: Contract, source: str) -> DataFrame:
    """Rows of a staged file in the form of parse_framed: partition 0, no bytes, no fault."""
    row = staged.select(F.struct("*").alias("row"))
    said = {field.name: as_contract("row", row.schema, field).cast(said_type(field)) for field in contract.fields}
    clock = F.col("row.clock").cast("bigint") if "clock" in staged.columns else F.lit(None).cast("bigint")
    time = said[contract.event_time]
    append_ms = F.coalesce(clock, F.when(time.between(TIME_MIN_MS, TIME_MAX_MS), time), F.lit(0))
    return row.select(
        F.lit(source).alias("topic"),
        F.lit(0).alias("partition"),
        F.col("row.offset").cast("bigint").alias("offset"),
        said[contract.key].cast("binary").alias("key"),
        F.lit(None).cast("binary").alias("value"),
        F.lit(None).cast("array<struct<key:string,value:binary>>").alias("headers"),
        F.timestamp_millis(append_ms).alias("append_time"),
        F.lit(None).cast("int").alias("schema_id"),
        clock.alias(CLOCK_MS),
        F.lit(None).cast("string").alias("fault"),
        *(column.alias(f"said_{name}") for name, column in said.items()),
    )


def judge(parsed: DataFrame, contract: Contract) -> DataFrame:
    """Adds `reason`: why the whole record is refused, null for an observation.

    A record's Kafka key must be its station: order and version of its windows hang on the partition the key chose.
    """
    key, time = said(contract.key), said(contract.event_time)
    keyed = (key != "") & (F.col("key") == key.cast("binary"))
    reason = (
        F.when(F.col("fault").isNotNull(), F.col("fault"))
        .when(~F.coalesce(keyed, F.lit(False)), "missing_key")
        .when(time.isNull(), "missing_time")
        .when(time < TIME_MIN_MS, "undecodable")
        .when(time > F.col(CLOCK_MS) + contract.lead_ms, "time_jump")
    )
    required = [attributes.is_accepted(a, said(name)) for name, a in contract.attributes if a.required]
    if required:
        reason = reason.when(~reduce(and_, required), "out_of_range")
    return parsed.withColumn("reason", fenced(reason))


def observations(judged: DataFrame, contract: Contract) -> DataFrame:
    """What windows.py reads; a value out of its range is null here and a reject over there."""
    return judged.where(F.col("reason").isNull()).select(
        said(contract.key).alias(contract.key),
        F.timestamp_millis(said(contract.event_time)).alias(EVENT_TIME),
        *(F.when(said(f.name).between(*bounds(f)), said(f.name)).alias(f.name) for f in contract.measured),
        *(
            attributes.shown(a, F.when(attributes.is_accepted(a, said(name)), said(name))).alias(name)
            for name, a in contract.attributes
        ),
        F.col("partition").alias("raw_partition"),
        F.col("offset").alias("raw_offset"),
        "append_time",
        CLOCK_MS,
    )


def rejects(judged: DataFrame, contract: Contract) -> DataFrame:
    """One row for a refused record, one for every value that is not accepted. Identity: (topic, partition, offset,
    field).
    """
    whole = F.struct(
        F.lit(None).cast("string").alias("field"), F.col("reason").alias("reason"), detail(contract).alias("detail")
    )
    refused = [(f.name, is_out_of_range(f), range_detail(f)) for f in contract.measured] + [
        (name, ~attributes.is_accepted(a, said(name)), attributes.refusal(name, a, said(name)))
        for name, a in contract.attributes
    ]
    values = F.array(
        *(
            F.when(
                is_refused,
                F.struct(F.lit(name).alias("field"), F.lit("out_of_range").alias("reason"), sentence.alias("detail")),
            )
            for name, is_refused, sentence in refused
        )
    )
    faulty = F.col("reason").isNotNull() | reduce(or_, (is_refused for _, is_refused, _ in refused), F.lit(False))
    each = F.explode(F.when(F.col("reason").isNotNull(), F.array(whole)).otherwise(F.array_compact(values)))
    key_text = F.col("key").cast("string")
    # Of a header that occurs twice the first stays: a map refuses the second and would end the query.
    given = F.coalesce("headers", F.array().cast("array<struct<key:string,value:binary>>"))
    names = F.transform(given, lambda h: h["key"])
    first = F.filter(given, lambda h, i: F.array_position(names, h["key"]) == i + 1)
    headers = F.map_from_entries(F.transform(first, lambda h: F.struct(h["key"], F.coalesce(h["value"], F.lit(b"")))))
    return (
        judged.where(faulty)
        .withColumn("each", each)
        .select(
            "topic",
            "partition",
            "offset",
            "each.field",
            "each.reason",
            "each.detail",
            F.coalesce(
                F.when(F.is_valid_utf8(said(contract.key)), said(contract.key)),
                F.when(F.is_valid_utf8(key_text), key_text),
            ).alias(contract.key),
            "schema_id",
            "key",
            "value",
            headers.alias("headers"),
            "append_time",
            wall_time().alias("rejected_time"),
            *(F.lit(None).cast("string").alias(key) for key in contract.further_keys),
        )
    )


def wall_time() -> Column:
    """The wall time at which a row is computed.

    Not current_timestamp(): Spark writes that into generated code as a number, and code that changes with each batch is
    compiled anew in each, here and on the executors, and never gets warm.
    """
    return F.timestamp_millis(F.java_method(F.lit("java.lang.System"), F.lit("currentTimeMillis")).cast("bigint"))


def fenced(column: Column) -> Column:
    """The same value, nondeterministic on purpose: Spark pushes no filter through a projection that holds it.

    Otherwise it repeats the expression in each filter above, decodes every record several times, and plans and ships a
    query many times its size in every micro-batch.
    """
    return F.when(F.spark_partition_id() >= 0, column)


def branch(schema_id: int) -> str:
    return f"written_{schema_id}"


def said(name: str) -> Column:
    return F.col(f"said_{name}")


def first_of(choices: Sequence[tuple[Column, Column]]) -> Column:
    """The value of the first condition that holds, else null."""
    column: Column = F.lit(None)
    for condition, value in reversed(choices):
        column = F.when(condition, value).otherwise(column)
    return column


def is_out_of_range(field: Field) -> Column:
    """True for a value outside its range (inclusive on both ends), NaN and infinities; false for null."""
    return F.coalesce(~said(field.name).between(*bounds(field)), F.lit(False))


def bounds(field: Field) -> tuple[float, float]:
    """The range of a field, inclusive, or all finite numbers. NaN is above every number in Spark."""
    return field.range or (-sys.float_info.max, sys.float_info.max)


def range_detail(field: Field) -> Column:
    low, high = field.range or ("-inf", "inf")
    unit = f" {field.unit}" if field.unit else ""
    return F.concat(
        F.lit(f"{field.name} "), said(field.name).cast("string"), F.lit(f" is outside [{low}, {high}]{unit}")
    )


def detail(contract: Contract) -> Column:
    """One sentence for a person: what was wanted, what was seen."""
    time = said(contract.event_time)
    key_text = F.coalesce(F.hex("key"), F.lit("null"))
    size = F.coalesce(F.length("value").cast("string"), F.lit("no"))
    reason = F.col("reason")
    return F.coalesce(
        F.when(
            reason == "bad_framing",
            F.concat(
                F.lit("expected magic byte 00 and a schema id, got "),
                size,
                F.lit(" bytes: "),
                F.coalesce(F.hex(F.substring("value", 1, 8)), F.lit("")),
            ),
        )
        .when(
            reason == "unknown_schema",
            F.concat(
                F.lit("no writer schema with id "), F.coalesce(F.col("schema_id").cast("string"), F.lit("beyond 2^31"))
            ),
        )
        .when((reason == "undecodable") & (time < TIME_MIN_MS), F.lit(f"{contract.event_time} lies before year 1"))
        .when(
            reason == "undecodable",
            F.concat(
                F.lit("not one whole record of "),
                F.coalesce(F.concat(F.lit("schema "), F.col("schema_id").cast("string")), F.lit("the contract")),
                F.lit(" in "),
                size,
                F.lit(" bytes"),
            ),
        )
        .when(
            reason == "missing_key",
            F.concat(
                F.lit(f"expected {contract.key} and the same as record key, got "),
                F.coalesce(F.concat(F.lit('"'), said(contract.key), F.lit('"')), F.lit("null")),
                F.lit(" and key bytes "),
                key_text,
            ),
        )
        .when(reason == "missing_time", F.lit(f"{contract.event_time} is null"))
        .when(
            reason == "time_jump",
            F.concat(
                F.lit(f"{contract.event_time} leads its clock by "),
                F.coalesce(F.try_subtract(time, F.col(CLOCK_MS)).cast("string"), F.lit("2^63 and more")),
                F.lit(f" ms, at most {contract.lead_ms} are allowed"),
            ),
        ),
        # Of a record that was read only a required attribute is left to refuse it.
        *(
            F.when(
                (reason == "out_of_range") & ~attributes.is_accepted(a, said(name)),
                attributes.refusal(name, a, said(name)),
            )
            for name, a in contract.attributes
            if a.required
        ),
        F.lit(""),
    )


def said_type(field: Field) -> str:
    if field.attribute is not None:
        return attributes.READ_AS[field.attribute.kind]
    return {"key": "string", "event_time": "bigint"}.get(field.role, "double")


def as_contract(column: str, shape: StructType, field: Field) -> Column:
    """A writer's field as the contract has it: the key as text, the time as epoch milliseconds, a value as double."""
    written = shape[column].dataType
    assert isinstance(written, StructType)
    at = F.col(column)[field.name]
    types: dict[str, DataType] = {f.name: f.dataType for f in written.fields}
    kind = types.get(field.name)
    if field.role == "key" and isinstance(kind, StringType):
        return at
    if field.role == "event_time" and isinstance(kind, TimestampType):
        return F.unix_millis(at)
    if field.role == "event_time" and isinstance(kind, LongType):
        return at
    if field.role in ("measurement", "circular"):
        if kind is None:
            return F.lit(None).cast("double")
        if isinstance(kind, NumericType):
            return at.cast("double")
    if field.attribute is not None:
        value = F.lit(None).cast(said_type(field)) if kind is None else attributes.as_read(at, kind, field.attribute)
        if value is not None:
            return value
    raise ValueError(f"writer schema does not fit the contract: field {field.name!r} ({field.role}) is {kind}")


def is_intact(schema_id: int, schema: str, contract: Contract) -> Column:
    """Whether the bytes hold one record and nothing else.

    Avro reads happily past trailing bytes, so the length the decoded record must have had is compared with the length
    there is. Where a field's type has no rule here, only the required fields are tested.
    """
    fields = json.loads(schema)["fields"]
    record = F.col(branch(schema_id))
    names = {field["name"] for field in fields}
    texts = [contract.key, *(name for name in attributes.texts(contract) if name in names)]
    text_is_valid = reduce(and_, (F.coalesce(F.is_valid_utf8(record[name]), F.lit(True)) for name in texts))
    lengths = [encoded_length(record[field["name"]], field["type"]) for field in fields]
    if any(length is None for length in lengths):
        required = [
            record[f["name"]].isNotNull() for f in fields if not isinstance(f["type"], list) and f["type"] != "null"
        ]
        return reduce(and_, required, text_is_valid)
    expected = reduce(add, (length for length in lengths if length is not None), F.lit(PREFIX_BYTES))
    return text_is_valid & (expected == F.length("value"))


def encoded_length(value: Column, avro: Any, required: bool = True) -> Column | None:
    """Bytes of a value in Avro's binary encoding; null for a `required` value that is not there, None without a rule.

    Source: Avro 1.12 specification, "Binary Encoding".
    """
    if isinstance(avro, list):
        others = [option for option in avro if option != "null"]
        if len(others) != 1 or len(avro) > 2:
            return None
        inner = encoded_length(value, others[0], required=False)
        if inner is None:
            return None
        return F.when(value.isNull(), 1).otherwise(inner + 1) if "null" in avro else inner + 1
    logical = avro.get("logicalType") if isinstance(avro, dict) else None
    kind = avro.get("type") if isinstance(avro, dict) else avro
    if kind == "long" and logical in ("timestamp-millis", "timestamp-micros"):
        return varint_length(F.unix_millis(value) if logical == "timestamp-millis" else F.unix_micros(value))
    if logical is not None and not (kind == "int" and logical == "date"):
        return None
    if kind == "enum":
        # By its place in the writer's list, from 0.
        return varint_length(F.array_position(F.array(*map(F.lit, avro["symbols"])), value) - 1)
    if kind in ("int", "long"):
        return varint_length(value)
    if kind in ("string", "bytes"):
        return varint_length(F.octet_length(value)) + F.octet_length(value)
    fixed = {"null": 0, "boolean": 1, "float": 4, "double": 8}
    if kind in fixed:
        return F.when(value.isNotNull(), fixed[kind]) if required and kind != "null" else F.lit(fixed[kind])
    return None


def varint_length(value: Column) -> Column:
    """Bytes of a zigzag varint: seven bits in each. Counts the digits of the binary text, which is exact up to 2^63."""
    number = value.cast("bigint")
    zigzag = F.shiftleft(number, 1).bitwiseXOR(F.shiftright(number, 63))
    return F.floor((F.length(F.bin(zigzag)) + 6) / 7)
