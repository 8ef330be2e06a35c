"""decode.py: every way a raw record can be wrong, writers older and newer than the contract, and staged files."""

from __future__ import annotations

import io as bytes_io
import json
from collections.abc import Mapping
from itertools import product
from typing import Any

import fastavro
import pytest
from pyspark.sql import SparkSession
from spark_jobs.certify import oracle
from spark_jobs.kit.frame import prefix
from spark_jobs.windows import decode
from tests import streams
from tests.contracts import METERS, WEATHER

T = streams.START_MS
OBSERVATION = json.loads(WEATHER.schemas["observation"])

# Writers by registry id: the contract's, one with a field more, one with a field less, one whose time may be null.
NEWER = OBSERVATION | {
    "fields": [*OBSERVATION["fields"], {"name": "uv_index", "type": ["null", "double"], "default": None}]
}
OLDER = OBSERVATION | {"fields": [f for f in OBSERVATION["fields"] if f["name"] != "precipitation"]}
TIMELESS = OBSERVATION | {
    "fields": [f | {"type": ["null", f["type"]]} if f["name"] == "timestamp" else f for f in OBSERVATION["fields"]]
}
WRITERS = {7: OBSERVATION, 8: NEWER, 9: OLDER, 10: TIMELESS}
SCHEMAS = {schema_id: json.dumps(schema) for schema_id, schema in WRITERS.items()}

RAW = (
    "topic string, partition int, offset bigint, key binary, value binary, timestamp timestamp, "
    "headers array<struct<key: string, value: binary>>"
)


def encoded(schema_id: int = 7, station: str = "a", time_ms: int | None = T, **reading: float | None) -> bytes:
    nothing = {f["name"]: None for f in WRITERS[schema_id]["fields"]}
    out = bytes_io.BytesIO()
    record = nothing | {"station_id": station, "timestamp": time_ms} | reading
    fastavro.schemaless_writer(out, fastavro.parse_schema(WRITERS[schema_id]), record)
    return prefix(schema_id) + out.getvalue()


def record(
    offset: int,
    value: bytes | None,
    key: bytes | None = b"a",
    append_ms: int = T,
    headers: list[tuple[str, bytes | None]] | None = None,
) -> tuple[Any, ...]:
    given = None if headers is None else [(k, None if v is None else bytearray(v)) for k, v in headers]
    return "raw", 0, offset, key and bytearray(key), value and bytearray(value), streams.utc(append_ms), given


def decoded(spark: SparkSession, records: list[tuple[Any, ...]], schemas: Mapping[int, str] = SCHEMAS) -> Any:
    """(observations by offset, rejects by (offset, field))."""
    raw = spark.createDataFrame(records, RAW)
    observations, rejects = decode.decode(raw, WEATHER, schemas)
    return (
        {r["raw_offset"]: r.asDict() for r in observations.collect()},
        {(r["offset"], r["field"]): r.asDict() for r in rejects.collect()},
    )


LEAD = WEATHER.lead_ms
FAULTS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "empty value": ("bad_framing", record(0, b"")),
    "no value": ("bad_framing", record(0, None)),
    "four bytes": ("bad_framing", record(0, b"\x00\x00\x00\x00")),
    "plain JSON": ("bad_framing", record(0, b'{"station_id": "a"}')),
    "id nobody registered": ("unknown_schema", record(0, prefix(99) + encoded()[5:])),
    "id above 2^31": ("unknown_schema", record(0, b"\x00\xff\xff\xff\xff" + encoded()[5:])),
    "no bytes after the id": ("undecodable", record(0, prefix(7))),
    "cut short": ("undecodable", record(0, encoded(temperature=1.0)[:-1])),
    "a byte too many": ("undecodable", record(0, encoded() + b"\x00")),
    "a string of two gigabytes": ("undecodable", record(0, prefix(7) + b"\xfe\xff\xff\xff\x0f" + bytes(20))),
    "a string of negative length": ("undecodable", record(0, prefix(7) + b"\x01" + bytes(20))),
    "union branch that is not there": ("undecodable", record(0, encoded()[:-1] + b"\x06")),
    "key that is not UTF-8": (
        "undecodable",
        record(0, encoded(station="é").replace(b"\xc3\xa9", b"\xc3\x28"), b"\xc3\x28"),
    ),
    "time beyond all clocks": ("undecodable", record(0, encoded(time_ms=-(2**63) + 1))),
    "time before year 1": ("undecodable", record(0, encoded(time_ms=decode.TIME_MIN_MS - 1))),
    "empty key": ("missing_key", record(0, encoded(station=""), b"")),
    "no record key": ("missing_key", record(0, encoded(), None)),
    "another record key": ("missing_key", record(0, encoded(), b"b")),
    "null time": ("missing_time", record(0, encoded(10, time_ms=None))),
    "ahead of the append time": ("time_jump", record(0, encoded(time_ms=T + LEAD + 1))),
    "ahead of its own clock": (
        "time_jump",
        record(0, encoded(time_ms=T), headers=[("clock", str(T - LEAD - 1).encode())]),
    ),
    "as far ahead as its own clock": (
        "time_jump",
        record(0, encoded(time_ms=T + 2 * LEAD + 1), headers=[("clock", str(T + 2 * LEAD + 1).encode())]),
    ),
    "year 9999 by a clock of the year 9999": (
        "time_jump",
        record(0, encoded(time_ms=decode.TIME_MAX_MS), headers=[("clock", str(decode.TIME_MAX_MS).encode())]),
    ),
    "year 10000 by a clock of year 1": (
        "time_jump",
        record(0, encoded(time_ms=decode.TIME_MAX_MS + 1), headers=[("clock", str(decode.TIME_MIN_MS).encode())]),
    ),
    "last time there is, by a clock of year 1": (
        "undecodable",
        record(0, encoded(10, time_ms=2**63 - 1), headers=[("clock", str(decode.TIME_MIN_MS).encode())]),
    ),
    "ten years ahead, clock unreadable": (
        "time_jump",
        record(0, encoded(time_ms=T + 315_360_000_000), headers=[("clock", b"soon")]),
    ),
    "ten years ahead, clock without end": (
        "time_jump",
        record(0, encoded(time_ms=T + 315_360_000_000), headers=[("clock", b"9" * 18)]),
    ),
}


def test_every_fault_is_rejected_with_its_reason_and_its_bytes(spark: SparkSession) -> None:
    records = [(row[0], row[1], i, *row[3:]) for i, (_, row) in enumerate(FAULTS.values())]
    observations, rejects = decoded(spark, records)
    assert observations == {}
    named = dict(zip(FAULTS, range(len(FAULTS)), strict=True))
    assert {name: rejects[at, None]["reason"] for name, at in named.items()} == {n: r for n, (r, _) in FAULTS.items()}
    for row in records:
        reject = rejects[row[2], None]
        assert (reject["topic"], reject["partition"], reject["key"], reject["value"]) == (
            row[0],
            row[1],
            row[3],
            row[4],
        )
        assert reject["detail"] and reject["rejected_time"] is not None
    assert rejects[named["id nobody registered"], None]["schema_id"] == 99
    assert rejects[named["empty value"], None]["station_id"] == "a"


def test_every_reason_of_the_schema_is_tested_or_another_jobs() -> None:
    fields = json.loads(WEATHER.schemas["rejects"])["fields"]
    symbols = next(f["type"]["symbols"] for f in fields if f["name"] == "reason")
    assert {reason for reason, _ in FAULTS.values()} | {"out_of_range", "unscorable"} == set(symbols)


def test_no_observation_leads_its_clock_and_no_clock_the_brokers(spark: SparkSession) -> None:
    """Every mixture of times, clocks and append times, against the rule said plainly and against the oracle."""
    around = [T + shift + by for shift in (0, LEAD, 2 * LEAD, -LEAD, 50 * 365 * 86_400_000) for by in (-1, 0, 1)]
    times = [0, *around, decode.TIME_MAX_MS]
    clocks = [None, decode.TIME_MIN_MS, *around, decode.TIME_MAX_MS]
    mixed = list(product(times, clocks, (T, T + LEAD, T - LEAD)))
    said: list[list[tuple[str, bytes | None]] | None] = [
        None if clock is None else [("clock", b"%d" % clock)] for _, clock, _ in mixed
    ]
    records = [
        record(i, encoded(time_ms=time), append_ms=append, headers=said[i]) for i, (time, _, append) in enumerate(mixed)
    ]
    observations, rejects = decoded(spark, records)
    for i, (time, clock, append) in enumerate(mixed):
        good = time <= min(append + LEAD, append if clock is None else clock) + LEAD
        assert (i in observations, (i, None) in rejects) == (good, not good), (time, clock, append)
        assert good or rejects[i, None]["reason"] == "time_jump"
    read = oracle.reader(WEATHER, dict(SCHEMAS))
    for i, (_, _, append) in enumerate(mixed):
        seen = read(oracle.Record(0, i, append, b"a", bytes(records[i][4]), tuple(said[i] or ())))
        assert (seen is not None) == (i in observations)


def test_good_records_of_every_writer_are_observations(spark: SparkSession) -> None:
    observations, rejects = decoded(
        spark,
        [
            record(0, encoded(temperature=20.5, precipitation=0.2)),
            record(1, encoded(8, temperature=20.5, precipitation=0.2, uv_index=3.0)),
            record(2, encoded(9, temperature=20.5)),
            record(3, encoded(10, temperature=20.5, precipitation=0.2)),
            record(4, encoded(time_ms=T + LEAD)),
            record(5, encoded(time_ms=T + LEAD, station="é"), "é".encode(), headers=[("clock", str(T).encode())]),
            record(6, encoded(time_ms=-1)),
        ],
    )
    assert rejects == {}
    assert [observations[i]["temperature"] for i in range(4)] == [20.5] * 4
    assert [observations[i]["precipitation"] for i in range(4)] == [0.2, 0.2, None, 0.2]
    assert observations[0].keys() == observations[1].keys()
    assert streams.epoch_ms(observations[6]["event_time"]) == -1
    assert observations[5]["station_id"] == "é"


def test_a_value_out_of_range_is_null_and_a_reject_of_its_own(spark: SparkSession) -> None:
    nan, inf = float("nan"), float("inf")
    values = {"temperature": 60.1, "humidity": nan, "pressure": inf, "wind_speed": 120.0, "wind_direction": -0.1}
    observations, rejects = decoded(spark, [record(3, encoded(**values)), record(4, encoded(temperature=-90.0))])
    assert observations[3]["wind_speed"] == 120.0 and observations[4]["temperature"] == -90.0
    wrong = ["temperature", "humidity", "pressure", "wind_direction"]
    assert [observations[3][name] for name in wrong] == [None] * 4
    assert set(rejects) == {(3, name) for name in wrong}
    assert all(r["reason"] == "out_of_range" and r["value"] == encoded(**values) for r in rejects.values())
    assert rejects[3, "temperature"]["detail"] == "temperature 60.1 is outside [-90.0, 60.0] degC"


def test_headers_are_kept_and_a_repeated_one_does_not_end_the_query(spark: SparkSession) -> None:
    headers = [("source", b"s"), ("clock", str(T).encode()), ("source", b"t"), ("empty", None)]
    _, rejects = decoded(spark, [record(1, b"", headers=headers)])
    assert rejects[1, None]["headers"] == {"source": b"s", "clock": str(T).encode(), "empty": b""}


def test_no_known_writer_rejects_everything(spark: SparkSession) -> None:
    observations, rejects = decoded(spark, [record(0, encoded())], {})
    assert observations == {} and rejects[0, None]["reason"] == "unknown_schema"


def test_a_writer_whose_key_is_no_text_is_refused_at_the_start(spark: SparkSession) -> None:
    numbered = OBSERVATION | {"fields": [{"name": "station_id", "type": "long"}, *OBSERVATION["fields"][1:]]}
    with pytest.raises(ValueError, match="station_id"):
        decoded(spark, [], {7: json.dumps(numbered)})


def test_bytes_are_decoded_once(spark: SparkSession) -> None:
    """Spark pushes filters below projections and repeats what they name: decoding twice halves the throughput."""
    cut = {"spark.sql.maxPlanStringLength": "10000000", "spark.sql.debug.maxToStringFields": "10000"}
    before = {key: spark.conf.get(key) for key in cut}
    for key, value in cut.items():
        spark.conf.set(key, value)
    for frame in decode.decode(spark.createDataFrame([], RAW), WEATHER, {7: SCHEMAS[7]}):
        plan = frame._jdf.queryExecution().optimizedPlan().toString()
        assert plan.count("from_avro(") == 1
    for key, value in before.items():
        spark.conf.set(key, value)


STAGED = "station_id string, timestamp timestamp, offset bigint, clock bigint, " + ", ".join(
    f"{f.name} double" for f in WEATHER.measured
)


def test_staged_rows_are_judged_by_the_same_rules(spark: SparkSession) -> None:
    rest = [None] * (len(WEATHER.measured) - 1)
    rows = [
        ("a", streams.utc(T), 0, T, 20.0, *rest),
        ("a", streams.utc(T), 1, T, 99.0, *rest),
        ("", streams.utc(T), 2, T, 20.0, *rest),
        ("a", None, 3, T, 20.0, *rest),
        ("a", streams.utc(T + LEAD + 1), 4, T, 20.0, *rest),
        ("a", streams.utc(T + LEAD + 1), 5, None, 20.0, *rest),
    ]
    observations, rejects = decode.decode_staged(spark.createDataFrame(rows, STAGED), WEATHER, "day.avro")
    kept = {r["raw_offset"]: r for r in observations.collect()}
    refused = {(r["offset"], r["field"]): r for r in rejects.collect()}
    assert sorted(kept) == [0, 1, 5] and kept[1]["temperature"] is None
    assert {at: r["reason"] for at, r in refused.items()} == {
        (1, "temperature"): "out_of_range",
        (2, None): "missing_key",
        (3, None): "missing_time",
        (4, None): "time_jump",
    }
    assert {r["topic"] for r in refused.values()} == {"day.avro"}
    without = spark.createDataFrame(rows, STAGED).drop("clock")
    assert decode.decode_staged(without, WEATHER, "day.avro")[0].count() == 4


def test_another_domains_contract_decodes(spark: SparkSession) -> None:
    contract = METERS
    schema = json.loads(contract.schemas["observation"])
    out = bytes_io.BytesIO()
    nothing = {f["name"]: None for f in schema["fields"]}
    fastavro.schemaless_writer(
        out, fastavro.parse_schema(schema), nothing | {contract.key: "m", contract.event_time: T}
    )
    raw = spark.createDataFrame([record(0, prefix(3) + out.getvalue(), b"m")], RAW)
    observations, _ = decode.decode(raw, contract, {3: contract.schemas["observation"]})
    assert [r[contract.key] for r in observations.collect()] == ["m"]
