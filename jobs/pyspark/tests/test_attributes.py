"""Attributes: the rules against schemas/acceptance.json, which ts/contract/attribute.test.ts reads as well, and the way
of a record with one of each kind from its bytes.
"""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import fastavro
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from spark_jobs.archive import archive
from spark_jobs.certify import oracle
from spark_jobs.generated.contract import Attribute, Field
from spark_jobs.kit.frame import prefix
from spark_jobs.windows import attributes, decode
from tests import streams
from tests.contracts import METERS
from tests.test_decode import RAW, record

EXAMPLES = [
    example
    for example in json.loads((Path(__file__).parents[3] / "schemas" / "acceptance.json").read_text("utf-8"))
    if "rules" in example
]
T = streams.START_MS


def rules_of(example: dict[str, Any]) -> Attribute:
    rules = {key: tuple(value) if isinstance(value, list) else value for key, value in example["rules"].items()}
    return Attribute(**rules)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: json.dumps(e["field"]))
def test_oracle_accepts_what_the_examples_say(example: dict[str, Any]) -> None:
    rules = rules_of(example)
    judged = {json.dumps(v): oracle.is_accepted(rules, v) for v in example["accepted"] + example["refused"]}
    assert [v for v, fine in judged.items() if fine] == [json.dumps(v) for v in example["accepted"]]


def test_spark_accepts_what_the_examples_say(spark: SparkSession) -> None:
    for example in EXAMPLES:
        rules = rules_of(example)
        kind = attributes.READ_AS[rules.kind]
        values = [v for v in example["accepted"] + example["refused"] if kind != "int" or v is None or v < 2**31]
        frame = spark.createDataFrame([(i, v) for i, v in enumerate(values)], f"i int, v {kind}").coalesce(1)
        value = F.col("v")
        rows = frame.select(
            "i", attributes.is_accepted(rules, value).alias("fine"), attributes.refusal("x", rules, value).alias("why")
        ).collect()
        accepted = [values[row["i"]] for row in rows if row["fine"]]
        assert accepted == [v for v in example["accepted"] if v in values or v is None], example
        assert all(row["why"].startswith("x: expected ") and ", got " in row["why"] for row in rows)


# A record of one attribute of each kind, and no measurement.
STATES = ("planned", "open", "closed")
FIELDS: list[dict[str, Any]] = [
    {"name": "site", "type": "string"},
    {"name": "reported_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "state", "type": {"type": "enum", "name": "state", "symbols": list(STATES)}},
    {"name": "blocked", "type": ["null", "boolean"], "default": None},
    {"name": "lanes", "type": ["null", "int"], "default": None},
    {"name": "until", "type": ["null", {"type": "int", "logicalType": "date"}], "default": None},
    {"name": "note", "type": ["null", "string"], "default": None},
]
NOTICE = replace(
    METERS,
    pipeline="works",
    key="site",
    event_time="reported_at",
    fields=(
        Field("site", "key", None, None, None, None),
        Field("reported_at", "event_time", None, "ms", None, None),
        Field("state", "attribute", None, None, None, None, Attribute("enum", True, STATES, None, None, None)),
        Field("blocked", "attribute", None, None, None, None, Attribute("boolean", False, None, None, None, None)),
        Field("lanes", "attribute", None, None, None, None, Attribute("integer", False, None, (0, 12), None, None)),
        Field("until", "attribute", None, None, None, None, Attribute("date", False, None, (0, 2**15), None, None)),
        Field("note", "attribute", None, None, None, None, Attribute("string", False, None, None, 10, "[^<>]*")),
    ),
)
OURS = {"type": "record", "name": "notice", "fields": FIELDS}
# Another writer: a state and a kind of text that the contract does not know, a field less, one more.
OTHERS = OURS | {
    "fields": [
        {"name": "source", "type": "string"},
        *(
            field | {"type": {"type": "enum", "name": "state", "symbols": ["paused", *STATES]}}
            if field["name"] == "state"
            else field
            for field in FIELDS
            if field["name"] != "lanes"
        ),
    ]
}
STATELESS = OURS | {"fields": [field for field in FIELDS if field["name"] != "state"]}
WRITERS = {7: OURS, 8: OTHERS, 9: STATELESS}
SCHEMAS = {schema_id: json.dumps(schema) for schema_id, schema in WRITERS.items()}

DAY = 19_782
SOUND = {"site": "a", "reported_at": T, "state": "open", "blocked": True, "lanes": 3, "until": DAY, "note": "täglich"}
NOTHING = {"blocked": None, "lanes": None, "until": None, "note": None}


def encoded(schema_id: int = 7, **values: Any) -> bytes:
    out = io.BytesIO()
    plain = fastavro.parse_schema(json.loads(oracle.plain(SCHEMAS[schema_id])))
    fastavro.schemaless_writer(out, plain, SOUND | {"source": "x"} | values)
    return prefix(schema_id) + out.getvalue()


# offset: bytes, reason of the whole record, fields that are refused alone
CASES: list[tuple[bytes, str | None, set[str]]] = [
    (encoded(), None, set()),
    (encoded(**NOTHING), None, set()),
    (encoded(lanes=13, until=-1, note="<b>"), None, {"lanes", "until", "note"}),
    (encoded(note="x" * 11), None, {"note"}),
    (encoded(note="🚧" * 10), None, set()),
    (encoded(until=2**31 - 1), None, {"until"}),
    (encoded(until=-(2**31)), None, {"until"}),
    (encoded(8, state="closed"), None, set()),
    (encoded(8, state="paused"), "out_of_range", set()),
    (encoded(9), "out_of_range", set()),
    (encoded()[:-1], "undecodable", set()),
    (encoded() + b"\x00", "undecodable", set()),
    (encoded().replace("täg".encode(), b"t\xff\xffg"), "undecodable", set()),
]


def test_records_of_attributes_are_read_and_refused(spark: SparkSession) -> None:
    raw = spark.createDataFrame([record(i, value) for i, (value, _, _) in enumerate(CASES)], RAW)
    observations, rejects = decode.decode(raw, NOTICE, SCHEMAS)
    seen = {row["raw_offset"]: row.asDict() for row in observations.collect()}
    refused = {(row["offset"], row["field"]): row for row in rejects.collect()}
    assert {at: row["reason"] for at, row in refused.items()} == {
        (i, field): reason or "out_of_range"
        for i, (_, reason, fields) in enumerate(CASES)
        for field in (fields if reason is None else {None})
    }
    assert set(seen) == {i for i, (_, reason, _) in enumerate(CASES) if reason is None}
    names = [name for name, _ in NOTICE.attributes]
    assert {name: seen[0][name] for name in names} == {
        name: date(2024, 2, 29) if name == "until" else SOUND[name] for name in names
    }
    assert [seen[1][name] for name in names] == ["open", None, None, None, None]
    assert [seen[2][name] for name in names] == ["open", True, None, None, None]
    assert seen[7]["lanes"] is None
    assert refused[2, "lanes"]["detail"] == "lanes: expected a whole number from 0 to 12, got 13"
    assert refused[8, None]["detail"] == 'state: expected one of planned, open, closed, got "paused"'
    assert refused[9, None]["detail"] == "state: expected one of planned, open, closed, got nothing"


def test_the_oracle_reads_and_refuses_the_same() -> None:
    read = oracle.reader(NOTICE, SCHEMAS)
    for i, (value, reason, fields) in enumerate(CASES):
        found = read(oracle.Record(0, i, T, b"a", value))
        assert (found is None) == (reason is not None), i
        if found is not None and fields:
            assert all(found[name] is None for name in fields)


def test_the_archive_keeps_them_as_they_were_said(spark: SparkSession) -> None:
    raw = spark.createDataFrame([record(i, value) for i, (value, _, _) in enumerate(CASES[:6])], RAW)
    rows = {row["offset"]: row.asDict() for row in archive.rows(raw, NOTICE, SCHEMAS).collect()}
    assert (rows[0]["until"], rows[0]["state"], rows[0]["blocked"]) == (date(2024, 2, 29), "open", True)
    assert (rows[2]["lanes"], rows[2]["note"], rows[2]["until"]) == (13, "<b>", date(1969, 12, 31))
    assert rows[5]["until"] is None


def test_a_writer_of_another_type_is_refused(spark: SparkSession) -> None:
    with pytest.raises(ValueError, match="lanes"):
        number = [f | {"type": "double"} if f["name"] == "lanes" else f for f in FIELDS]
        schemas = {7: json.dumps(OURS | {"fields": number})}
        decode.decode(spark.createDataFrame([record(0, encoded())], RAW), NOTICE, schemas)
