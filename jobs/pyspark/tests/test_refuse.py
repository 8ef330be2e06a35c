"""Rejects of two streams of one pipeline, one in JSON and one in protobuf, as the job `refuse` writes them.

Each is judged by its own key, fields and format, and all have one record's form.
"""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
from google.protobuf import descriptor_pool, message_factory
from pyspark.sql import DataFrame, SparkSession
from spark_jobs.kit import kafka, protobuf_records
from spark_jobs.kit.frame import PREFIX_BYTES, prefix
from spark_jobs.windows import decode
from tests import streams
from tests.generated.pyspark.roads_contract import CONTRACT
from tests.test_decode import RAW, record

T = streams.START_MS
NOTICES, COUNTS = CONTRACT.in_stream("notices"), CONTRACT.in_stream("counts")
REJECTS = CONTRACT.schemas["rejects"]


def notice(**cells: Any) -> bytes:
    return json.dumps({"site_id": "p-1", "reported_at": T, "state": "open"} | cells).encode()


def count(**cells: Any) -> bytes:
    """As protobuf's own library writes it; a kind is its number."""
    avro = COUNTS.schemas["observation"]
    pool = descriptor_pool.DescriptorPool()
    for file in protobuf_records.descriptors(avro).file:
        pool.Add(file)
    message = message_factory.GetMessageClass(pool.FindMessageTypeByName(protobuf_records.message_name(avro)))
    given = {"counter_id": "c-1", "counted_at": T, "kind": 1} | cells
    return prefix(7) + b"\x00" + bytes(message(**given).SerializeToString(deterministic=True))


def judged(spark: SparkSession, contract: Any, key: str, values: list[bytes]) -> tuple[DataFrame, DataFrame]:
    rows = [record(i, value, key.encode(), append_ms=T) for i, value in enumerate(values)]
    raw = spark.createDataFrame(rows, RAW).coalesce(1)
    return decode.decode(raw, contract, {7: contract.schemas["observation"]})


def written(rejects: DataFrame, key: str) -> list[dict[str, Any]]:
    """The rejects as they lie in their topic, read without Spark."""
    schema = fastavro.parse_schema(json.loads(REJECTS))
    rows = kafka.framed_rows(rejects, key, REJECTS, 9).collect()
    bodies = (bytes(row["value"]) for row in rows)
    read: list[Any] = [fastavro.schemaless_reader(io.BytesIO(body[PREFIX_BYTES:]), schema, schema) for body in bodies]
    return sorted(read, key=lambda reject: (reject["offset"], reject["field"] or ""))


def test_each_stream_is_judged_by_its_own_contract_and_all_rejects_have_one_form(spark: SparkSession) -> None:
    observed, refused = judged(
        spark,
        NOTICES,
        "p-1",
        [notice(), notice(state="lost"), notice(until="1999-12-31", note="n"), notice()[:-1], b"\x00" + notice()],
    )
    assert [row["note"] for row in observed.orderBy("raw_offset").collect()] == [None, "n"]
    found = written(refused, "site_id")
    assert [(r["offset"], r["field"], r["reason"]) for r in found] == [
        (1, None, "out_of_range"),
        (2, "until", "out_of_range"),
        (3, None, "undecodable"),
        (4, None, "unknown_schema"),
    ]
    # What nobody could read is known by its record's key.
    assert [(r["site_id"], r["counter_id"]) for r in found] == [("p-1", None)] * 4

    observed, refused = judged(
        spark,
        COUNTS,
        "c-1",
        [count(vehicles=0), count(kind=7), count(vehicles=10_001, wet=True), count()[:-1], notice()],
    )
    assert [(r["kind"], r["vehicles"], r["wet"]) for r in observed.orderBy("raw_offset").collect()] == [
        ("car", 0, None),
        ("car", None, True),
    ]
    found = written(refused, "counter_id")
    assert [(r["offset"], r["field"], r["reason"]) for r in found] == [
        (1, None, "out_of_range"),
        (2, "vehicles", "out_of_range"),
        (3, None, "undecodable"),
        (4, None, "bad_framing"),
    ]
    assert [(r["site_id"], r["counter_id"]) for r in found] == [(None, "c-1")] * 4
