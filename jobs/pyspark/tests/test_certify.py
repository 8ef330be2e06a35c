"""The certificate: passes on a stream as it should be, and fails, each time, for each planted fault.

The faults of the code go into windows.py's own tables, so that stream and backfill share them, as they share the code:
only the oracle can tell.
"""

from __future__ import annotations

import hashlib
import io as bytes_io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from spark_jobs.certify import certificate, certify, comparison, levels, oracle
from spark_jobs.certify.oracle import Record
from spark_jobs.generated.contract import Contract
from spark_jobs.generated.job import JobError
from spark_jobs.generated.params import CertifyParams, KafkaAccess
from spark_jobs.kit import kafka
from spark_jobs.kit.frame import prefix
from spark_jobs.windows import decode, plans, windows
from tests import streams
from tests.contracts import METERS, WEATHER

T = streams.START_MS
MINUTE = 60_000
RAW = (
    "topic string, partition int, offset bigint, key binary, value binary, timestamp timestamp, "
    "headers array<struct<key: string, value: binary>>"
)
KELVIN = WEATHER.schemas["observation"].replace('"unit":"degC"', '"unit":"K"')
SCHEMAS = {7: WEATHER.schemas["observation"], 8: KELVIN}
FEATURES_ID = 9


@dataclass
class Sent:
    """Records of four stations, a minute apart, with what a test changes. `offset` counts over both partitions."""

    records: list[Record] = field(default_factory=list)

    def add(
        self,
        station: int,
        time_ms: int,
        reading: dict[str, float | None],
        schema_id: int = 7,
        clock_ms: int | None = None,
    ) -> None:
        out = bytes_io.BytesIO()
        key = f"s{station}"
        values = {f.name: reading.get(f.name) for f in WEATHER.measured}
        schema = fastavro.parse_schema(json.loads(SCHEMAS[schema_id]))
        fastavro.schemaless_writer(out, schema, {"station_id": key, "timestamp": time_ms} | values)
        offset, clock = len(self.records), str(time_ms if clock_ms is None else clock_ms).encode()
        value = prefix(schema_id) + out.getvalue()
        self.records.append(Record(station % 2, offset, T + offset, key.encode(), value, (("clock", clock),)))


def reading(station: int, minute: int) -> dict[str, float | None]:
    """Quiet weather: a temperature that drifts, a northerly wind, and gaps."""
    return {
        "temperature": 26 + math.sin(minute / 20) + station / 10,
        "humidity": None if minute % 4 == station else 80 - minute / 10,
        "wind_speed": 3.0 + 0.1 * (minute % 3),
        "wind_direction": (350.0 + 7 * minute) % 25 if minute % 2 else 355.0,
        "precipitation": 0.2 if minute % 5 == 0 else 0.0,
    }


def minutes(count: int = 60, change: Callable[[int, dict[str, float | None]], int | None] | None = None) -> Sent:
    """`change` may alter a reading of a minute and say the schema id it is written with."""
    sent = Sent()
    for minute in range(count):
        for station in range(4):
            said = reading(station, minute)
            schema_id = change(minute, said) if change else None
            sent.add(station, T + minute * MINUTE + station * 1_000, said, schema_id or 7)
    return sent


def frame(spark: SparkSession, sent: Sent) -> DataFrame:
    rows = [
        ("raw", r.partition, r.offset, bytearray(r.key or b""), bytearray(r.value or b""), streams.utc(r.append_ms),
         [(name, bytearray(value or b"")) for name, value in r.headers])
        for r in sent.records
    ]  # fmt: skip
    return spark.createDataFrame(rows, RAW)


def params(folder: Path, sent: Sent, **changed: Any) -> CertifyParams:
    ends = {str(p): 1 + max(r.offset for r in sent.records if r.partition == p) for p in (0, 1)} if sent.records else {}
    whole: dict[str, Any] = {
        "namespace": "",
        "job": "weather-certify",
        "submission": "test",
        "fingerprint": WEATHER.fingerprint,
        "kafka": KafkaAccess("127.0.0.1:1", {}, None),
        "progress_topic": None,
        "progress_schema_id": 1,
        "raw_topic": "raw",
        "features_topic": "features",
        "starting_offsets": json.dumps({"raw": {"0": 0, "1": 0}}),
        "ending_offsets": json.dumps({"raw": ends or {"0": 0}}),
        "raw_schemas": {"7": SCHEMAS[7]},
        "writer_schemas": {str(i): s for i, s in SCHEMAS.items()},
        "features_schemas": {str(FEATURES_ID): WEATHER.schemas["features"]},
        "from_ms": None,
        "to_ms": None,
        "sample": 10_000,
        "seed": 1,
        "file_name": None,
        "file_sha256": None,
        "covers_from_ms": None,
        "covers_to_ms": None,
        "certificates_path": str(folder),
        "shuffle_partitions": 1,
    }
    return CertifyParams(**(whole | changed))


def computed(spark: SparkSession, sent: Sent, folder: Path, contract: Contract = WEATHER) -> DataFrame:
    """What backfill, and by the same code the stream, make of the records' observations."""
    read = oracle.reader(contract, SCHEMAS)
    observations = streams.frame(spark, contract, [o for r in sent.records if (o := read(r))])
    return plans.in_table(observations, contract, params(folder, sent))


def judge(spark: SparkSession, sent: Sent, folder: Path, contract: Contract = WEATHER) -> dict[str, Any]:
    """The certificate over everything that was sent, stream and backfill by the same code."""
    rows = certify.collected(computed(spark, sent, folder, contract), contract)
    scanned = comparison.scan(sent.records, contract, SCHEMAS, lambda at, partition: True)
    compared = comparison.compare(rows, rows, scanned, lambda row: False, contract)
    return certify.certificate(contract, params(folder, sent), scanned, compared, len(rows), 0, ({}, {0: 1, 1: 1}))


# The faults of the code: each is one change of a table or a function of windows.py.


def linear_mean_of_an_angle(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(windows.PARTS, "circular_mean", ("mean",))
    patch.setitem(windows.FEATURES, "circular_mean", lambda field: F.col(f"{field}_mean"))


def nulls_filled_with_0(patch: pytest.MonkeyPatch) -> None:
    honest = windows.aggregate
    patch.setattr(windows, "aggregate", lambda o, c: honest(o.fillna(0.0, [f.name for f in c.measured]), c))


def window_off_by_one_slide(patch: pytest.MonkeyPatch) -> None:
    honest = windows.aggregate

    def moved(observations: DataFrame, contract: Contract) -> DataFrame:
        later = F.timestamp_millis(F.unix_millis("event_time") + contract.slide_ms)
        return honest(observations.withColumn("event_time", later), contract)

    patch.setattr(windows, "aggregate", moved)


def std_of_one_as_0(patch: pytest.MonkeyPatch) -> None:
    std = windows.FEATURES["std"]
    patch.setitem(windows.FEATURES, "std", lambda f: F.when(F.col(f"{f}_count") > 0, F.coalesce(std(f), F.lit(0.0))))


FAULTS = {
    linear_mean_of_an_angle: "wind_direction_circular_mean",
    nulls_filled_with_0: "humidity_count",
    window_off_by_one_slide: None,
    std_of_one_as_0: "temperature_std",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
def test_fault_of_the_code_fails(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[[pytest.MonkeyPatch], None]
) -> None:
    fault(monkeypatch)
    made = judge(spark, minutes(12), tmp_path)
    assert made["verdict"] == "failed"
    assert made["counts"]["different"] > 0 and made["first_differences"]
    column = FAULTS[fault]
    assert column is None or any(column in shown["columns"] for shown in made["first_differences"])


@pytest.mark.parametrize("duplicates", ["source", "engine"])
def test_duplicates_counted_fails(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, duplicates: str
) -> None:
    """A source that sends twice against its promise, and code that does not drop what it should."""
    sent, contract = minutes(12), replace(WEATHER, duplicates=duplicates)
    again = reading(1, 5) | {"temperature": 20.0}
    sent.add(1, T + 5 * MINUTE + 1_000, again)
    if duplicates == "engine":
        assert judge(spark, sent, tmp_path, contract)["verdict"] == "passed"
        monkeypatch.setattr(windows, "first_in_table", lambda observations, contract: observations)
    made = judge(spark, sent, tmp_path, contract)
    assert made["verdict"] == "failed"
    (first, *_) = made["first_differences"]
    assert first["columns"]["measurement_count"]["stream"] == first["columns"]["measurement_count"]["oracle"] + 1
    assert ("each once" in " ".join(made["reasons"])) == (duplicates == "source")


def test_unit_that_changes_in_mid_topic_fails_and_both_units_are_named(spark: SparkSession, tmp_path: Path) -> None:
    def kelvin(minute: int, said: dict[str, float | None]) -> int | None:
        if minute < 30:
            return None
        said["temperature"] = (said["temperature"] or 0) + 273.15
        return 8

    made = judge(spark, minutes(60, kelvin), tmp_path)
    assert made["verdict"] == "failed"
    assert any("schema 8 writes temperature in K, the contract has degC: 120 records" in r for r in made["reasons"])
    assert [s["records"] for s in made["schemas"]] == [120, 120]


@pytest.mark.slow
@pytest.mark.parametrize(("unit", "scale", "offset"), [("degF", 1.8, 32.0), ("K", 1.0, 273.15)])
def test_unit_that_changes_silently_fails_and_both_units_are_named(
    tmp_path: Path, unit: str, scale: float, offset: float
) -> None:
    def silent(minute: int, said: dict[str, float | None]) -> int | None:
        if minute >= 33:
            said["temperature"] = (said["temperature"] or 0) * scale + offset
        return None

    sent = minutes(60, silent)
    scanned = comparison.scan(sent.records, WEATHER, SCHEMAS, lambda at, partition: False)
    compared = comparison.Compared(windows=1, equal=1)
    made = certify.certificate(WEATHER, params(tmp_path, sent), scanned, compared, 1, 0, ({}, {0: 1}))
    assert made["verdict"] == "failed"
    assert any(r.startswith("temperature jumps") and f"as if in {unit} instead of degC" in r for r in made["reasons"])


def test_all_in_another_unit_is_a_mass_out_of_range(tmp_path: Path) -> None:
    def kelvin(minute: int, said: dict[str, float | None]) -> int | None:
        said["temperature"] = (said["temperature"] or 0) + 273.15
        return None

    scanned = comparison.scan(minutes(20, kelvin).records, WEATHER, SCHEMAS, lambda at, partition: False)
    assert levels.outside(scanned.series, WEATHER) == {"temperature": 1.0}


def test_one_station_that_jumps_or_weather_that_turns_is_no_change_of_unit() -> None:
    def front(minute: int, said: dict[str, float | None]) -> int | None:
        said["temperature"] = (said["temperature"] or 0) - 6 / (1 + math.exp(-(minute - 30) / 2))
        said["wind_speed"] = 3.0 * (1 + minute / 30)
        return None

    sent = minutes(60, front)
    series = comparison.scan(sent.records, WEATHER, SCHEMAS, lambda at, partition: False).series
    width = 2 + len(WEATHER.measured)
    for i in range(30, len(series["s1"]) // width):
        series["s1"][i * width + 2] += 20
    assert levels.changes(series, WEATHER) == []


# The whole job over frames in the place of topics.


def topics(monkeypatch: pytest.MonkeyPatch, raw: DataFrame, published: DataFrame) -> None:
    monkeypatch.setattr(kafka, "read_range", lambda *asked: raw if "raw" in asked else published)


def topic(spark: SparkSession, rows: list[oracle.Row], first_offset: int = 0) -> DataFrame:
    """Feature rows as the stream writes them, in one partition, all of one micro-batch."""
    schema = fastavro.parse_schema(json.loads(oracle.plain(WEATHER.schemas["features"])))
    values = []
    for i, row in enumerate(rows):
        out = bytes_io.BytesIO()
        fastavro.schemaless_writer(out, schema, row | {"plan_epoch": 1, "processing_time": T})
        values.append((0, first_offset + i, bytearray(prefix(FEATURES_ID) + out.getvalue())))
    return spark.createDataFrame(values, "partition int, offset bigint, value binary")


def test_the_stream_passes_and_its_certificate_is_the_same_each_time(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = minutes(20)
    # Three versions of some rows: the last one within the range counts.
    last = list(rows_of(sent).values())
    versions = [*rows_of(Sent(sent.records[:50])).values(), *last]
    raw, run = frame(spark, sent), params(tmp_path, sent, sample=40)
    sent.add(0, T + 19 * MINUTE + 30_000, reading(0, 21))
    topics(monkeypatch, raw, topic(spark, [*versions, *rows_of(sent).values()]))
    made = certify.certify(spark, WEATHER, run)
    assert made["reasons"] == [] and made["verdict"] == "passed"
    counts = made["counts"]
    assert (counts["records"], counts["sampled"], counts["equal"]) == (80, 40, 40) and counts["windows"] == 80
    assert (made["range"]["from_ms"], made["range"]["to_ms"]) == (T, T + 19 * MINUTE + 3_000 + WEATHER.window_ms)
    name = certificate.store(str(tmp_path / "c"), made)
    stored = (tmp_path / "c" / f"{name}.json").read_bytes()
    assert hashlib.sha256(stored).hexdigest() == name
    assert certificate.store(str(tmp_path / "c"), certify.certify(spark, WEATHER, run)) == name
    assert [p.name for p in (tmp_path / "c").iterdir()] == [f"{name}.json"]
    certificate.note(str(tmp_path / "c"), "weather-certify-1", name)
    assert (tmp_path / "c" / "runs" / "weather-certify-1").read_text() == name
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == [f"{name}.json", "runs"]


def test_windows_that_the_range_cannot_show_whole_are_left_out(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = minutes(90)
    rows = list(rows_of(sent).values())
    kept = Sent([r for r in sent.records if r.offset >= 40])
    topics(monkeypatch, frame(spark, kept), topic(spark, rows))
    run = params(tmp_path, kept, starting_offsets=json.dumps({"raw": {"0": 40, "1": 41}}))
    made = certify.certify(spark, WEATHER, run)
    assert made["verdict"] == "passed"
    # Minute 10 and the lead a station may have: what begins after it is whole.
    assert 0 < made["counts"]["sampled"] == made["counts"]["windows"] < 4 * 20

    # The topic lost the oldest micro-batch: its rows are not missing.
    newest = [row for row in rows if row["revision"] > 200]
    topics(monkeypatch, frame(spark, sent), topic(spark, newest, first_offset=5))
    assert certify.expired_up_to(
        certify.stream_rows(kafka.read_range(), WEATHER, {FEATURES_ID: WEATHER.schemas["features"]})[0],
        kafka.read_range(),
        WEATHER,
    ) == {p: max(row["revision"] for row in newest if row["raw_partition"] == p) for p in (0, 1)}
    monkeypatch.setattr(certify, "expired_up_to", lambda rows, published, contract: {0: 200, 1: 200})
    made = certify.certify(spark, WEATHER, params(tmp_path, sent))
    assert made["verdict"] == "passed" and made["counts"]["windows"] > 100


def test_a_range_without_records_or_rows_says_what_to_do(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(JobError, match="no records there; submit the features job") as caught:
        certify.certify(spark, WEATHER, params(tmp_path, Sent()))
    assert caught.value.code == "config_invalid"
    sent = minutes(3)
    topics(monkeypatch, frame(spark, sent), topic(spark, []))
    with pytest.raises(JobError, match='"features" holds no row of it'):
        certify.certify(spark, WEATHER, params(tmp_path, sent))


# The pure judge.


def rows_of(sent: Sent, without: tuple[int, ...] = ()) -> dict[comparison.At, oracle.Row]:
    read = oracle.reader(WEATHER, SCHEMAS)
    seen = [o for r in sent.records if r.offset not in without and (o := read(r))]
    return oracle.feature_rows(seen, WEATHER)


@pytest.mark.slow
def test_windows_that_lack_only_late_records_are_counted_apart() -> None:
    sent = minutes(30)
    sent.add(1, T + 12 * MINUTE + 30_000, reading(1, 12), clock_ms=T + 30 * MINUTE)
    in_time = len(sent.records)
    sent.add(1, T + 25 * MINUTE + 30_000, reading(1, 25), clock_ms=T + 30 * MINUTE)
    whole, late = rows_of(sent), sent.records[in_time - 1].offset
    scanned = comparison.scan(sent.records, WEATHER, SCHEMAS, lambda at, partition: True)
    assert scanned.late == {(1, late)}

    def judge(stream: dict[comparison.At, oracle.Row]) -> comparison.Compared:
        return comparison.compare(stream, whole, scanned, lambda row: False, WEATHER)

    apart = judge(rows_of(sent, without=(late,)))
    assert apart.different == 0 and apart.late > 0 and apart.late + apart.equal == apart.windows
    # A record that was not late is missing: no excuse. Nor is a wrong number beside a late record.
    assert judge(rows_of(sent, without=(late, in_time))).different > 0
    wrong = rows_of(sent, without=(late,))
    at = ("s1", T + 15 * MINUTE)
    wrong[at] = wrong[at] | {"temperature_mean": 0.0}
    assert judge(wrong).different == 1
    # A row that is not there, and one too many.
    missing = judge({at: row for at, row in whole.items() if at != ("s2", T + 10 * MINUTE)})
    assert [shown["columns"] for shown in missing.first] == [{"row": {"stream": False, "batch": True, "oracle": True}}]
    assert judge(whole | {("s9", T): whole[at]}).by_side == {"stream": 1}


def test_rank_is_the_same_as_a_column_and_another_for_another_seed(spark: SparkSession) -> None:
    at = ("s-é", T)
    row = spark.createDataFrame([(at[0], streams.utc(T))], "station_id string, window_end timestamp")
    (got,) = row.select(certify.rank(3, WEATHER).alias("rank")).collect()
    assert got["rank"] == comparison.rank(3, at) != comparison.rank(4, at)


def test_oracle_reads_raw_records_as_decode_does(spark: SparkSession) -> None:
    good = minutes(1).records[0]
    assert good.value is not None
    records = [
        good,
        replace(good, value=None),
        replace(good, value=b"\x00"),
        replace(good, value=good.value[:-1]),
        replace(good, value=good.value + b"\x00"),
        replace(good, value=prefix(99) + good.value[5:]),
        replace(good, key=None),
        replace(good, key=b"other"),
        replace(good, headers=(("clock", str(T - WEATHER.lead_ms).encode()),)),
        replace(good, headers=(("clock", str(T - WEATHER.lead_ms - 1).encode()), ("clock", b"0"))),
        replace(good, headers=(("clock", b"soon"),), append_ms=T),
        replace(good, headers=()),
    ]
    sent = Sent([replace(r, offset=i) for i, r in enumerate(records)])
    rows = [
        ("raw", r.partition, r.offset, r.key and bytearray(r.key), r.value and bytearray(r.value),
         streams.utc(r.append_ms), [(n, bytearray(v or b"")) for n, v in r.headers])
        for r in sent.records
    ]  # fmt: skip
    observations, _ = decode.decode(spark.createDataFrame(rows, RAW), WEATHER, SCHEMAS)
    read = oracle.reader(WEATHER, SCHEMAS)
    assert [r.offset for r in sent.records if read(r)] == sorted(r["raw_offset"] for r in observations.collect())


def test_a_jump_that_no_unit_explains_is_beyond_what_the_contract_calls_credible() -> None:
    assert all(len({unit.dimension for unit in units.values()}) == 1 for units in levels.DIMENSIONS)
    assert levels.has_others("degC") and not levels.has_others("A") and not levels.has_others(None)
    series: dict[str, list[float]] = {}
    for i in range(400):
        power = 2.0 if i < 200 else 60.0
        series.setdefault(f"m-{i % 4}", []).extend((i + 1.0, T + i * 1e4, 10.0, power + (i % 3) / 10, 230.0, 0.1))
    (change,) = levels.changes(series, METERS)
    assert change.field == "power" and change.unit is None and abs(change.arrival - 201) <= 8


def test_the_second_domain_is_certified_by_the_same_code(spark: SparkSession, tmp_path: Path) -> None:
    """Meters: another key, slide and unit, an angle, and repeats that the job drops."""
    schemas = {7: METERS.schemas["observation"]}
    schema = fastavro.parse_schema(json.loads(schemas[7]))
    sent = Sent()
    for n in range(60):
        out, time_ms = bytes_io.BytesIO(), T + n * 10_000
        said = {"phase": (350.0 + 3 * n) % 360, "power": n % 7 / 2, "voltage": 230.0 + n % 3, "energy": 0.5}
        fastavro.schemaless_writer(out, schema, {METERS.key: f"m-{n % 2}", METERS.event_time: time_ms} | said)
        value, headers = prefix(7) + out.getvalue(), (("clock", str(time_ms).encode()),)
        sent.records.append(Record(n % 2, n, T + n, f"m-{n % 2}".encode(), value, headers))
    read = oracle.reader(METERS, schemas)
    observations = streams.frame(spark, METERS, [o for r in sent.records if (o := read(r))])
    rows = certify.collected(plans.in_table(observations, METERS, params(tmp_path, sent)), METERS)

    def judged(stream: Any) -> dict[str, Any]:
        scanned = comparison.scan(sent.records, METERS, schemas, lambda at, partition: True)
        compared = comparison.compare(stream, rows, scanned, lambda row: False, METERS)
        return certify.certificate(METERS, params(tmp_path, sent), scanned, compared, len(rows), 0, ({}, {0: 1, 1: 1}))

    made = judged(rows)
    assert made["reasons"] == [] and made["verdict"] == "passed"
    assert made["counts"]["equal"] == made["counts"]["windows"] > 30
    at, row = next(iter(rows.items()))
    assert judged(rows | {at: row | {"power_mean": row["power_mean"] + 0.1}})["verdict"] == "failed"


def test_a_gap_of_hours_in_a_feed_by_the_minute_is_no_change_of_unit() -> None:
    """What Singapore's wind did between two pieces of the bundled days."""
    rng = np.random.default_rng(3)
    at = [f.name for f in WEATHER.measured].index("wind_speed")

    def network(gap_ms: int, repeats: int = 1) -> dict[str, list[float]]:
        series: dict[str, list[float]] = {f"s{i}": [] for i in range(6)}
        for arrival in np.repeat(np.arange(240), repeats).tolist():
            for i, name in enumerate(series):
                values = np.full(len(WEATHER.measured), np.nan)
                values[at] = (3.34 if arrival < 120 else 1.39) + 0.05 * rng.standard_normal()
                time = T + arrival * 60_000 + (gap_ms if arrival >= 120 else 0)
                series[name] += [len(series[name]) // (2 + len(values)) * 6 + i + 1, time, *values]
        return series

    assert levels.changes(network(4 * 3_600_000), WEATHER) == []
    for repeats in (1, 3):
        (found,) = levels.changes(network(0, repeats), WEATHER)
        assert (found.field, found.unit, found.stations) == ("wind_speed", "mph", 6)
