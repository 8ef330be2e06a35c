"""windows.py against the oracle on random streams: as a table, and as a stream over checkpointed micro-batches."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from spark_jobs.certify import oracle
from spark_jobs.generated.contract import Contract
from spark_jobs.windows import features, plans, windows
from tests import streams
from tests.contracts import METERS, TRAMS, WEATHER

CONTRACTS = {"weather": WEATHER, "meters": METERS, "trams": TRAMS}
slow = settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def as_table(spark: SparkSession, contract: Contract, observations: list[oracle.Observation]) -> list[oracle.Row]:
    table = streams.frame(spark, contract, observations)
    once = windows.first_in_table(table, contract) if contract.duplicates == "engine" else table
    once = windows.followed(once, contract)
    return streams.rows(windows.feature_rows(once, contract, 0, F.current_timestamp()).collect(), contract)


def as_stream(
    spark: SparkSession, contract: Contract, batches: list[list[oracle.Observation]], restart_after: int | None = None
) -> tuple[list[list[oracle.Row]], list[dict[str, Any]]]:
    """(rows of each micro-batch as they would be written, progress events), one micro-batch for each list."""
    folder = Path(tempfile.mkdtemp(prefix="stream-"))
    source, staged = folder / "in", folder / "staged"
    source.mkdir()
    files = []
    for i, batch in enumerate(batches):
        streams.frame(spark, contract, batch).coalesce(1).write.parquet(str(staged / str(i)))
        written = next((staged / str(i)).glob("part-*.parquet"))
        os.utime(written, (1_000_000 + i, 1_000_000 + i))  # The source reads in order of age.
        files.append((written, source / f"{i:04d}.parquet"))
    written_rows: list[list[oracle.Row]] = []
    events: list[dict[str, Any]] = []

    def publish(batch: DataFrame, _: int) -> None:
        ordered = features.in_order(batch.withColumn("key", F.col(contract.entity_key).cast("binary")), 2)
        written_rows.append(streams.rows(ordered.drop("key").collect(), contract))

    def go() -> None:
        raw = spark.readStream.schema(streams.schema(contract)).option("maxFilesPerTrigger", 1).parquet(str(source))
        query = (
            plans.in_stream(raw, contract, 1)
            .writeStream.outputMode("update")
            .foreachBatch(publish)
            .trigger(availableNow=True)
            .option("checkpointLocation", str(folder / "checkpoint"))
            .start()
        )
        query.awaitTermination()
        events.extend(dict(p) for p in query.recentProgress if p["numInputRows"] > 0)

    cut = len(files) if restart_after is None else restart_after
    for part in (files[:cut], files[cut:]):
        for written, target in part:
            shutil.move(written, target)
        if part:
            go()
    shutil.rmtree(folder)
    return written_rows, events


def wanted(contract: Contract, observations: list[oracle.Observation]) -> dict[tuple[str, int], oracle.Row]:
    once = observations
    if contract.duplicates == "engine":
        once = oracle.first_of_each_time(observations, contract.key)
    return oracle.feature_rows(once, contract)


@pytest.mark.parametrize("name", CONTRACTS)
def test_table_equals_oracle(spark: SparkSession, name: str) -> None:
    contract = CONTRACTS[name]

    @slow
    @given(streams.arrivals(contract, keys=6, most=12))
    def check(observations: list[oracle.Observation]) -> None:
        got = streams.by_window(as_table(spark, contract, observations), contract)
        assert oracle.differences(got, wanted(contract, observations)) == []

    check()


def test_followed_leaves_out_what_nobody_publishes_and_no_more(spark: SparkSession) -> None:
    """Two observations a window apart, two within one, and two at the same time."""
    at = [0, WEATHER.window_ms, 10 * WEATHER.window_ms, 10 * WEATHER.window_ms + 2 * WEATHER.slide_ms]
    frame = spark.createDataFrame([("a", t) for t in [*at, at[-1]]], f"{WEATHER.key} string, t long")
    times = frame.withColumn("event_time", F.timestamp_millis("t")).drop("t")
    absent = ("raw_offset", "raw_partition", "append_time", *(f.name for f in WEATHER.measured))
    whole = times.select("*", *(F.lit(None).cast("double").alias(name) for name in absent))
    placed = windows.aggregate(windows.followed(whole, WEATHER), WEATHER).count()
    everything = windows.aggregate(whole, WEATHER)
    assert windows.published(everything, WEATHER).count() == 4
    assert 4 <= placed < everything.count() / 2


def test_table_keeps_the_lowest_offset_of_repeats(spark: SparkSession) -> None:
    contract = replace(WEATHER, duplicates="engine")

    @slow
    @given(streams.arrivals(contract, keys=3, most=8), st.data())
    def check(observations: list[oracle.Observation], data: st.DataObject) -> None:
        repeated = with_repeats(observations, data.draw)
        got = as_table(spark, contract, repeated[::-1])
        assert oracle.differences(streams.by_window(got, contract), wanted(contract, repeated)) == []
        assert len(got) == len(wanted(contract, repeated))

    check()


def with_repeats(observations: list[oracle.Observation], draw: Callable[[Any], Any]) -> list[oracle.Observation]:
    """Some observations once more, right after, with another reading and, as everywhere, a higher offset."""
    repeated: list[oracle.Observation] = []
    for o in observations:
        repeated.append(o)
        if draw(st.booleans()):
            repeated.append(o | {"temperature": 1.5, "line": "1"})
    return [o | {"raw_offset": 100 + i} for i, o in enumerate(repeated)]


@pytest.mark.parametrize(
    "contract",
    [WEATHER, replace(WEATHER, duplicates="engine"), TRAMS],
    ids=["source", "engine", "by an attribute"],
)
def test_last_version_in_the_stream_equals_the_table(spark: SparkSession, contract: Contract) -> None:
    """Late by up to the lateness, over several micro-batches and a restart: the last version is the oracle's row."""

    @settings(slow, max_examples=2)
    @given(streams.arrivals(contract, keys=6, most=10), st.data())
    def check(observations: list[oracle.Observation], data: st.DataObject) -> None:
        arrived = with_repeats(observations, data.draw) if contract.duplicates == "engine" else observations
        cuts = sorted(data.draw(st.lists(st.integers(0, len(arrived)), min_size=2, max_size=2)))
        batches = [arrived[a:b] for a, b in zip([0, *cuts], [*cuts, len(arrived)], strict=True)]
        batches = [batch for batch in batches if batch]
        published, _ = as_stream(spark, contract, batches, restart_after=2)
        in_time = [row for batch in published for row in batch]
        assert oracle.differences(streams.by_window(in_time, contract), wanted(contract, arrived)) == []
        for batch in published:
            assert_ordered(batch, contract)
        assert_versions_rise(in_time, contract)

    check()


def assert_ordered(batch: list[oracle.Row], contract: Contract) -> None:
    last: dict[str, int] = {}
    for row in batch:
        assert row["window_end"] > last.get(row[contract.entity_key], 0)
        last[row[contract.entity_key]] = row["window_end"]


def assert_versions_rise(published: list[oracle.Row], contract: Contract) -> None:
    last: dict[tuple[str, int], tuple[int, int]] = {}
    for row in published:
        at, version = (row[contract.entity_key], row["window_end"]), (row["plan_epoch"], row["revision"])
        assert version > last.get(at, (0, 0))
        last[at] = version


def plain(time_ms: int, offset: int, key: str = "a", **reading: float) -> oracle.Observation:
    nothing = {f.name: None for f in WEATHER.measured}
    beside = {"raw_partition": 0, "raw_offset": offset, "append_time": time_ms}
    return {"station_id": key, "event_time": time_ms} | nothing | reading | beside


def test_window_holds_its_start_and_not_its_end(spark: SparkSession) -> None:
    start = streams.START_MS
    inside, outside = plain(start, 1), plain(start + WEATHER.window_ms, 2)
    got = streams.by_window(as_table(spark, WEATHER, [inside, outside]), WEATHER)
    # The window [start, start + size) holds the first only and is not published: nothing in its last slide.
    assert ("a", start + WEATHER.window_ms) not in got
    assert sorted(end - start for _, end in got) == [60_000, 360_000]
    assert all(row["measurement_count"] == 1 for row in got.values())


def test_one_value_has_no_spread_and_one_time_no_slope(spark: SparkSession) -> None:
    at = streams.START_MS + 1_000
    tied = [plain(at, 1, temperature=1.0), plain(at, 2, temperature=2.0), plain(at, 3, humidity=50.0)]
    (row,) = as_table(spark, WEATHER, tied)
    assert (row["temperature_count"], row["temperature_mean"], row["temperature_rate"]) == (2, 1.5, None)
    assert (row["humidity_count"], row["humidity_std"], row["humidity_rate"]) == (1, None, None)
    assert (row["pressure_count"], row["pressure_mean"], row["precipitation_sum"]) == (0, None, None)
    assert (row["revision"], row["first_offset"], row["measurement_count"]) == (3, 1, 3)


def test_directions_are_averaged_around_the_circle(spark: SparkSession) -> None:
    at = streams.START_MS
    north = [plain(at, 1, "n", wind_direction=350.0), plain(at + 1, 2, "n", wind_direction=10.0)]
    opposite = [plain(at, 3, "o", wind_direction=90.0), plain(at + 1, 4, "o", wind_direction=270.0)]
    whole_turn = [plain(at, 5, "t", wind_direction=360.0)]
    got = {row["station_id"]: row for row in as_table(spark, WEATHER, north + opposite + whole_turn)}
    assert min(got["n"]["wind_direction_circular_mean"], 360 - got["n"]["wind_direction_circular_mean"]) < 1e-9
    assert got["o"]["wind_direction_circular_mean"] is None and got["o"]["wind_direction_resultant"] < 1e-6
    assert 0 <= got["t"]["wind_direction_circular_mean"] < 360
    assert 1 - 1e-12 < got["t"]["wind_direction_resultant"] <= 1


def test_later_than_the_lateness_is_dropped_and_counted(spark: SparkSession) -> None:
    start, late = streams.START_MS + 3_600_000, WEATHER.lateness_ms
    first = [plain(start, 1, temperature=1.0)]
    # Spark knows the watermark of a batch in the next one, and drops by it from the one after.
    batches = [
        first,
        [plain(start + 1, 2)],
        [plain(start - late, 3, "in-time"), plain(start - 2 * late, 4, "too-late")],
    ]
    batches.append([plain(start + 2, 5), plain(start - 3 * late, 6, "too-late")])
    published, events = as_stream(spark, WEATHER, batches)
    stations = {row["station_id"] for batch in published for row in batch}
    assert stations == {"a", "in-time"}
    assert sum(o["numRowsDroppedByWatermark"] for e in events for o in e["stateOperators"]) >= 2


def test_unknown_kind_is_refused_when_the_plan_is_built(spark: SparkSession) -> None:
    odd = replace(WEATHER, features=(replace(WEATHER.features[0], kind="median"),))
    with pytest.raises(KeyError, match="median"):
        windows.feature_rows(streams.frame(spark, odd, []), odd, 0, F.current_timestamp())


def test_oracle_can_fail() -> None:
    row = {"station_id": "a", "x_mean": 1.0, "x_min": 1.0, "x_count": 1}
    assert oracle.differences({("a", 1): row}, {("a", 1): row}) == []
    assert oracle.differences({("a", 1): row | {"x_mean": 1.0 + 2e-9}}, {("a", 1): row})
    assert oracle.differences({("a", 1): row | {"x_min": 1.0 + 1e-15}}, {("a", 1): row})
    assert oracle.differences({("a", 1): row | {"x_mean": None}}, {("a", 1): row})
    assert oracle.differences({}, {("a", 1): row}) == ["missing ('a', 1)"]
    assert oracle.differences({("a", 1): row}, {}) == ["extra ('a', 1)"]
