"""Observations of every format: the table of examples that ts/contract/wire.test.ts reads too, through decode.py and
through the oracle; and the committed .proto against the descriptors Spark reads by."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from spark_jobs.certify import oracle
from spark_jobs.generated.contract import Attribute, Field
from spark_jobs.kit import protobuf_records
from spark_jobs.kit.frame import prefix
from spark_jobs.kit.schema_text import avro_of
from spark_jobs.windows import decode
from tests.contracts import METERS, WEATHER
from tests.test_decode import RAW, encoded, record

ROOT = Path(__file__).resolve().parents[3]
SCHEMAS = ROOT / "schemas"
EXAMPLES = json.loads((SCHEMAS / "formats" / "weather_observation.json").read_text("utf-8"))
NOTICES = json.loads((SCHEMAS / "formats" / "works_notice.json").read_text("utf-8"))
NOTICE_AVRO = (ROOT / "ts" / "test" / "pipelines" / "works" / "works_notice.avsc").read_text("utf-8")
STATES = ("planned", "open", "closed")
NOTICE = replace(
    METERS,
    pipeline="works",
    key="site_id",
    event_time="reported_at",
    fields=(
        Field("site_id", "key", None, None, None, None),
        Field("reported_at", "event_time", None, "ms", None, None),
        Field("state", "attribute", None, None, None, None, Attribute("enum", True, STATES, None, None, None)),
        Field("blocked", "attribute", None, None, None, None, Attribute("boolean", False, None, None, None, None)),
        Field("lanes", "attribute", None, None, None, None, Attribute("integer", False, None, (0, 12), None, None)),
        Field("until", "attribute", None, None, None, None, Attribute("date", False, None, (0, 2**15), None, None)),
        Field("note", "attribute", None, None, None, None, Attribute("string", False, None, None, 500, None)),
    ),
    schemas=METERS.schemas | {"observation": NOTICE_AVRO},
)
T = 1_480_856_700_000
# The contract the examples are of, as it was when they were written: the pipeline's own may gain fields.
AVRO = json.dumps(json.loads((SCHEMAS / "formats" / "weather_observation.avsc").read_text("utf-8")))


def bytes_of(example: dict[str, Any]) -> bytes:
    head = bytes.fromhex(example.get("frame", ""))
    return head + example.get("text", "").encode() + bytes.fromhex(example.get("hex", ""))


def key_of(example: dict[str, Any]) -> bytes:
    said = (example["record"] or {}).get("station_id")
    return b"new-york" if said is None else str(said).encode()


def stream(format: str) -> Any:
    return replace(WEATHER, format=format)


def judged(
    spark: SparkSession, contract: Any, examples: list[dict[str, Any]], keys: list[bytes]
) -> list[dict[str, Any]]:
    """Reason and fields of each example, in their order. Times stay numbers: Python's end a day after year 1."""
    records = [record(i, bytes_of(e), keys[i], append_ms=T) for i, e in enumerate(examples)]
    parsed = decode.parse_framed(spark.createDataFrame(records, RAW).coalesce(1), contract, {7: AVRO})
    said = [F.col(f"said_{f.name}").alias(f.name) for f in contract.fields]
    rows = decode.judge(parsed, contract).select("offset", "reason", *said).collect()
    return [row.asDict() for row in sorted(rows, key=lambda row: row["offset"])]


def names_and_reasons(examples: list[dict[str, Any]], rows: list[dict[str, Any]]) -> dict[str, str | None]:
    return {e["name"]: row["reason"] for e, row in zip(examples, rows, strict=True)}


@pytest.mark.parametrize("format", ["json", "protobuf"])
def test_every_example_is_judged_as_the_table_says(spark: SparkSession, format: str) -> None:
    examples = [e for e in EXAMPLES if e["format"] == format]
    rows = judged(spark, stream(format), examples, [key_of(e) for e in examples])
    assert names_and_reasons(examples, rows) == {e["name"]: e["reason"] for e in examples}
    for example, row in zip(examples, rows, strict=True):
        if example["record"] is not None:
            assert {name: row[name] for name in example["record"]} == example["record"], example["name"]


@pytest.mark.parametrize("format", ["json", "protobuf"])
def test_the_oracle_judges_as_the_table_says(format: str) -> None:
    read = oracle.reader(stream(format), {7: AVRO})
    for i, example in enumerate(e for e in EXAMPLES if e["format"] == format):
        seen = read(oracle.Record(0, i, T, key_of(example), bytes_of(example)))
        assert (seen is not None) == (example["reason"] is None), example["name"]
        if seen is not None:
            said = example["record"] | {"event_time": example["record"]["timestamp"]}
            assert all(seen[name] == said[name] for name in seen.keys() & said.keys()), example["name"]


@pytest.mark.parametrize("format", ["json", "protobuf"])
def test_attributes_are_read_as_the_table_says(spark: SparkSession, format: str) -> None:
    examples = [e for e in NOTICES if e["format"] == format]
    contract = replace(NOTICE, format=format)
    rows = judged(spark, contract, examples, [b"s-1"] * len(examples))
    assert names_and_reasons(examples, rows) == {e["name"]: e["reason"] for e in examples}
    for example, row in zip(examples, rows, strict=True):
        if example["record"] is not None:
            assert {name: row[name] for name in example["record"]} == example["record"], example["name"]
    read = oracle.reader(contract, {7: NOTICE_AVRO})
    for i, example in enumerate(examples):
        seen = read(oracle.Record(0, i, T, b"s-1", bytes_of(example)))
        assert (seen is not None) == (example["reason"] is None), example["name"]


def test_values_out_of_range_are_judged_alike_in_every_format(spark: SparkSession) -> None:
    nan = float("nan")
    reading = {"temperature": 60.1, "humidity": 105.0, "pressure": 1e999, "wind_speed": -0.1}
    text = json.dumps({"station_id": "a", "timestamp": T, **reading}).replace("Infinity", "1e400")
    message = protobuf_message({"station_id": "a", "timestamp": T, **reading, "wind_direction": nan})
    values = {
        "avro": encoded(time_ms=T, **reading),
        "json": text.encode(),
        "protobuf": prefix(7) + b"\x00" + message,
    }
    found = {}
    for format, value in values.items():
        raw = spark.createDataFrame([record(0, value, append_ms=T)], RAW)
        observations, rejects = decode.decode(raw, stream(format), {7: AVRO})
        assert [r["humidity"] for r in observations.collect()] == [105.0]
        found[format] = {(r["field"], r["reason"], r["detail"]) for r in rejects.collect()}
    assert {field for field, _, _ in found["avro"]} == {"temperature", "pressure", "wind_speed"}
    assert found["json"] == found["avro"]
    assert found["protobuf"] - found["avro"] == {
        ("wind_direction", "out_of_range", "wind_direction NaN is outside [0.0, 360.0] deg")
    }


def protobuf_message(cells: dict[str, Any]) -> bytes:
    """As protobuf's own library writes it."""
    from google.protobuf import descriptor_pool, message_factory

    pool = descriptor_pool.DescriptorPool()
    for file in protobuf_records.descriptors(AVRO).file:
        pool.Add(file)
    message = message_factory.GetMessageClass(pool.FindMessageTypeByName(protobuf_records.message_name(AVRO)))
    return bytes(message(**cells).SerializeToString(deterministic=True))


def test_the_table_holds_what_protobufs_own_library_writes() -> None:
    for example in EXAMPLES:
        if example["format"] == "protobuf" and example["name"] in ("full", "silent-sensors", "extremes"):
            cells = {name: value for name, value in example["record"].items() if value is not None}
            assert bytes_of(example) == prefix(7) + b"\x00" + protobuf_message(cells)


@pytest.mark.parametrize("contract", [WEATHER, METERS], ids=lambda c: c.pipeline)
def test_the_committed_proto_says_what_spark_reads_by(contract: Any) -> None:
    avro = contract.schemas["observation"]
    name = json.loads(avro)["name"]
    text = (SCHEMAS / "proto" / f"{name}.proto").read_text("utf-8")
    written = re.findall(r"^  optional (\w+) (\w+) = (\d+);$", text, re.MULTILINE)
    (file,) = protobuf_records.descriptors(avro).file
    types = {v: k.removeprefix("TYPE_").lower() for k, v in FieldDescriptorProto.Type.items()}
    (message,) = file.message_type
    assert written == [(types[f.type], f.name, str(f.number)) for f in message.field]
    assert f"package {file.package};" in text and f"message {message.name} {{" in text


def test_the_contract_is_found_in_a_registered_schema_of_any_format() -> None:
    assert avro_of(AVRO) == AVRO
    assert avro_of(f'// avro: {AVRO}\nsyntax = "proto3";\n') == AVRO
    held = json.dumps({"$schema": "http://json-schema.org/draft-07/schema#", "x-avro": json.loads(AVRO)})
    assert json.loads(avro_of(held)) == json.loads(AVRO)
    with pytest.raises(ValueError, match="millrace apply"):
        avro_of('{"$schema": "x"}')
