"""The features stage of the golden files: golden raw records through decode, windows and framing of this code.

`python -m tests.golden_features` writes features.json; test_golden.py compares. One micro-batch in one partition, so
that every sum is added in the same order everywhere. Test support only.
"""

from __future__ import annotations

import io as bytes_io
import json
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from spark_jobs.generated.weather_contract import CONTRACT
from spark_jobs.kit import kafka
from spark_jobs.kit.frame import PREFIX_BYTES, prefix
from spark_jobs.windows import decode, features, plans
from tests import golden_files, streams
from tests.sessions import local_session

RAW = (
    "topic string, partition int, offset bigint, key binary, value binary, timestamp timestamp, "
    "headers array<struct<key: string, value: binary>>"
)
# Wall times of the stage, epoch ms: when the micro-batch is written, and when a record is refused.
PROCESSING_MS = 1_700_000_000_300
REJECTED_MS = 1_700_000_000_350
PLAN_EPOCH = 1
# Sine and cosine differ in their last digit between Java machines: what is made of them is compared at ten digits.
DIGITS = 10
ANGLES = tuple(f.column for f in CONTRACT.features if f.kind in ("circular_mean", "resultant"))


def built(spark: SparkSession) -> dict[str, Any]:
    """What features.json is to hold: `foreign` raw records that no source of ours wrote, `features` and `rejects`."""
    contract = golden_files.read("contract")
    ids, topics = contract["schema_ids"], contract["topics"]
    own = golden_files.read("source")["raw"]
    foreign = foreign_records(own)
    raw = spark.createDataFrame([raw_row(topics["raw"]["topic"], r) for r in [*own, *foreign]], RAW).coalesce(1)
    observations, rejects = decode.decode(raw, CONTRACT, {ids["observation"]: CONTRACT.schemas["observation"]})
    rows = kafka.framed_rows(
        plans.in_stream(observations, CONTRACT, PLAN_EPOCH),
        CONTRACT.key,
        kafka.without_last(CONTRACT.schemas["features"], plans.PROCESSING_TIME),
        ids["features"],
        "window_end",
    )
    stamped = features.stamped(features.in_order(rows, 1), PROCESSING_MS)
    refused = kafka.framed_rows(
        rejects.withColumn("rejected_time", F.timestamp_millis(F.lit(REJECTED_MS))),
        CONTRACT.key,
        CONTRACT.schemas["rejects"],
        ids["rejects"],
    )
    # A station's features lie in the partition of its raw records: the same key, as many partitions.
    home = {r["key"]: r["partition"] for r in own}
    return {
        "foreign": foreign,
        "features": placed(
            collected(stamped, "features", angles_rounded),
            home,
            lambda r: (r["record"]["window_end"], r["key"]),
        ),
        "rejects": placed(
            collected(refused, "rejects", lambda record: record),
            home,
            lambda r: (r["record"]["partition"], r["record"]["offset"], r["record"]["field"] or ""),
        ),
    }


def raw_row(topic: str, record: dict[str, Any]) -> tuple[Any, ...]:
    headers = [(name, bytearray(text.encode())) for name, text in record["headers"].items()]
    key, value = bytearray(record["key"].encode()), bytearray(bytes.fromhex(record["value"]))
    return topic, record["partition"], record["offset"], key, value, streams.utc(record["append_time"]), headers


def foreign_records(own: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Three ways of being no observation, behind the last record of a partition."""
    last = max((r for r in own if r["partition"] == own[0]["partition"]), key=lambda r: r["offset"])
    body = last["value"][2 * PREFIX_BYTES :]
    values = [b'{"station_id": "sg-s06"}'.hex(), prefix(99).hex() + body, last["value"][:-2]]
    place = {name: last[name] for name in ("partition", "append_time", "key", "headers")}
    return [
        {**place, "offset": last["offset"] + 2 + i, "headers": {**last["headers"], "source": "foreign-0"}, "value": v}
        for i, v in enumerate(values)
    ]


def collected(frame: DataFrame, what: str, settled: Callable[[dict[str, Any]], dict[str, Any]]) -> list[dict[str, Any]]:
    """Keys and values of a Kafka frame; each value is what its record, once `settled`, encodes to."""
    schema = fastavro.parse_schema(without_logical_types(json.loads(CONTRACT.schemas[what])))
    out = []
    for row in frame.collect():
        value = bytes(row["value"])
        head, record = value[:PREFIX_BYTES], decoded(schema, value)
        # Spark's bytes are those of any Avro writer: what is compared below stands for them.
        assert head + encoded(schema, record) == value, f"Spark wrote another form of {record}"
        record = settled(record)
        text = head + encoded(schema, record)
        key = row["key"]
        out.append({"key": bytes(key).decode(), "value": text.hex(), "record": golden_files.shown(record)})
    return out


def placed(
    records: list[dict[str, Any]], home: dict[str, int], order: Callable[[dict[str, Any]], Any]
) -> list[dict[str, Any]]:
    """Records in a stated order, with partition and offset."""
    ends: dict[int, int] = {}
    out = []
    for record in sorted(records, key=order):
        partition = home[record["key"]]
        offset = ends.get(partition, 0)
        ends[partition] = offset + 1
        out.append({"partition": partition, "offset": offset, **record})
    return out


def angles_rounded(record: dict[str, Any]) -> dict[str, Any]:
    return record | {name: golden_files.rounded(record[name], DIGITS) for name in ANGLES}


def decoded(schema: Any, value: bytes) -> dict[str, Any]:
    stream = bytes_io.BytesIO(value)
    assert struct.unpack(">bI", stream.read(PREFIX_BYTES))[0] == 0
    record: Any = fastavro.schemaless_reader(stream, schema, None)
    assert stream.tell() == len(value)
    return dict(record)


def encoded(schema: Any, record: dict[str, Any]) -> bytes:
    stream = bytes_io.BytesIO()
    fastavro.schemaless_writer(stream, schema, record)
    return stream.getvalue()


def without_logical_types(schema: Any) -> Any:
    """Times stay numbers."""
    if isinstance(schema, list):
        return [without_logical_types(part) for part in schema]
    if isinstance(schema, dict):
        return {name: without_logical_types(part) for name, part in schema.items() if name != "logicalType"}
    return schema


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        spark = local_session(Path(folder))
        try:
            golden_files.write("features", built(spark))
        finally:
            spark.stop()


if __name__ == "__main__":
    main()
