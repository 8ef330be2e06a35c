"""The cities' tables: a naive oracle to 1e-9, read from JSON Lines, published as versions that switch at once."""

from __future__ import annotations

import json
import math
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from spark_jobs.generated.city_contract import CONTRACT as CITY
from spark_jobs.generated.job import JobError
from spark_jobs.queries import city
from spark_jobs.results import fill, lines
from spark_jobs.results.versions import VersionSink
from tests.test_results import params

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
DAY = int(datetime(2026, 11, 30, tzinfo=UTC).timestamp() * 1000)
CITIES = ["dubai", "london", "tokyo"]
NAMES = [field.name for field in CITY.fields]

Line = dict[str, Any]


def made_up(seed: int, count: int, days: int = 2) -> list[Line]:
    """Records of some days, with nulls, repeats of a time, and now and then a value far off."""
    chance = random.Random(seed)
    rows = []
    for _ in range(count):
        row: Line = dict.fromkeys(NAMES)
        far = 80 if chance.random() < 0.02 else 0
        row |= {
            "city": chance.choice(CITIES),
            "timestamp": DAY + chance.randrange(days * DAY_MS),
            "temperature": None if chance.random() < 0.1 else chance.gauss(15, 5) + far,
            "humidity": None if chance.random() < 0.1 else min(100.0, abs(chance.gauss(60, 10))),
            "pressure": chance.gauss(1013, 4) - far,
            "wind_speed": abs(chance.gauss(4, 1)) + far / 2,
            "simulated": chance.random() < 0.5,
        }
        rows.append(row)
    return rows


def keep(root: Path, rows: list[Line]) -> None:
    """As ts/lines lays them out."""
    for row in rows:
        hour = datetime.fromtimestamp(row["timestamp"] / 1000, UTC)
        folder = root / hour.strftime("raw/year=%Y/month=%m/day=%d")
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / hour.strftime("weather_%H00.jsonl")).open("a") as file:
            file.write(json.dumps(row) + "\n")


def values(rows: list[Line], name: str) -> list[float]:
    return [row[name] for row in rows if row[name] is not None]


def mean(numbers: list[float]) -> float | None:
    return math.fsum(numbers) / len(numbers) if numbers else None


def deviation(numbers: list[float]) -> float | None:
    if len(numbers) < 2:
        return None
    middle = math.fsum(numbers) / len(numbers)
    return math.sqrt(math.fsum((one - middle) ** 2 for one in numbers) / (len(numbers) - 1))


def grouped(rows: list[Line], *names: str) -> dict[tuple[Any, ...], list[Line]]:
    found: dict[tuple[Any, ...], list[Line]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in names), []).append(row)
    return dict(sorted(found.items()))


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def oracle(rows: list[Line]) -> dict[str, list[tuple[Any, ...]]]:
    """The three tables, from their words alone."""
    rows = [row | {"hour": row["timestamp"] // HOUR_MS * HOUR_MS} for row in rows]
    statistics = []
    for (name,), its in grouped(rows, "city").items():
        degrees = values(its, "temperature")
        ends = (min(degrees), max(degrees)) if degrees else (None, None)
        counts = sum(row["simulated"] is True for row in its)
        row = (name, len(its), mean(degrees), *ends, deviation(degrees), mean(values(its, "humidity")), counts)
        statistics.append(row)
    trends = [
        (name, at(hour), len(its), *(mean(values(its, what)) for what in ("temperature", "humidity", "wind_speed")))
        for (name, hour), its in grouped(rows, "city", "hour").items()
    ]
    far = []
    for (name,), its in grouped(rows, "city").items():
        for field in city.JUDGED:
            known = values(its, field)
            middle, std = mean(known), deviation(known)
            if middle is None or not std:
                continue
            for row in its:
                value = row[field]
                if value is not None and abs(value - middle) > 3 * std:
                    far.append((name, at(row["timestamp"]), field, value, middle, std, (value - middle) / std))
    far.sort(key=lambda row: (row[1], row[0], row[2]))
    return {"city_statistics": statistics, "hourly_trends": trends, "anomalies": far}


def collected(frame: DataFrame) -> list[tuple[Any, ...]]:
    """Times aware of their zone: Spark hands them on in this process's."""
    return [
        tuple(value.astimezone(UTC) if isinstance(value, datetime) else value for value in row)
        for row in frame.collect()
    ]


def same(found: list[tuple[Any, ...]], wanted: list[tuple[Any, ...]]) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert len(one) == len(other)
        for value, expected in zip(one, other, strict=True):
            if isinstance(expected, float):
                assert value == pytest.approx(expected, rel=1e-9, abs=1e-9)
            else:
                assert value == expected


@pytest.mark.parametrize("seed", [1, 2])
def test_the_tables_are_those_of_a_naive_oracle(spark: SparkSession, tmp_path: Path, seed: int) -> None:
    rows = made_up(seed, 600)
    keep(tmp_path, rows)
    wanted = oracle(rows)
    assert len(wanted["anomalies"]) > 5
    tables = city.analytics(lines.read(spark, CITY, str(tmp_path), DAY, DAY + 2 * DAY_MS))
    assert set(tables) == set(wanted)
    for name, frame in tables.items():
        same(collected(frame), wanted[name])


def test_few_values_have_no_deviation_and_nothing_is_far_off(spark: SparkSession, tmp_path: Path) -> None:
    keep(tmp_path, [dict.fromkeys(NAMES) | {"city": "dubai", "timestamp": DAY, "temperature": 30.0}])
    tables = city.analytics(lines.read(spark, CITY, str(tmp_path), DAY, DAY + 1))
    assert collected(tables["city_statistics"]) == [("dubai", 1, 30.0, 30.0, 30.0, None, None, 0)]
    assert collected(tables["anomalies"]) == []


def test_days_are_those_a_range_touches() -> None:
    assert lines.day_folders(DAY, DAY + DAY_MS) == ["raw/year=2026/month=11/day=30"]
    assert lines.day_folders(DAY - 1, DAY + DAY_MS + 1) == [
        "raw/year=2026/month=11/day=29",
        "raw/year=2026/month=11/day=30",
        "raw/year=2026/month=12/day=01",
    ]
    assert lines.day_folders(DAY, DAY) == []


def test_yesterday_to_now() -> None:
    given = params(due_ms=DAY + 5 * HOUR_MS + 1, span_ms=DAY_MS, step_ms=60_000, from_midnight=True)
    assert fill.range_of(given) == (DAY - DAY_MS, DAY + 5 * HOUR_MS)


def run(spark: SparkSession, root: Path, submission: str, **others: Any) -> dict[str, float]:
    given = {
        "sink": "versions",
        "place": str(root / "analytics"),
        "lines_path": str(root),
        "function": "city.analytics",
        "tables": ["city_statistics", "hourly_trends", "anomalies"],
        "submission": submission,
        "due_ms": DAY + DAY_MS + 3 * HOUR_MS,
        "span_ms": DAY_MS,
        "step_ms": 60_000,
        "from_midnight": True,
    } | others
    return fill.run_version(spark, CITY, params(**given), city.analytics)


def files_in(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*.jsonl")}


def test_a_run_is_one_version_and_the_one_before_stays_for_its_readers(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "analytics"
    sink = VersionSink(spark, str(place))
    assert sink.current() is None
    # No day has lines yet: tables without rows, and a version all the same.
    assert run(spark, tmp_path, "s-0")["observations"] == 0
    rows = made_up(3, 200)
    keep(tmp_path, rows)
    counts = run(spark, tmp_path, "s-1")
    inside = [row for row in rows if row["timestamp"] < DAY + DAY_MS + 3 * HOUR_MS]
    assert counts["observations"] == len(inside) and counts["city_statistics_rows"] == 3
    said = sink.current()
    assert said is not None and said["version"] == "s-1" and said["to_ms"] - said["from_ms"] == DAY_MS + 3 * HOUR_MS
    table = [json.loads(line) for line in (place / "city_statistics/s-1.jsonl").read_text().splitlines()]
    wanted = oracle(inside)["city_statistics"]
    same([tuple(row.values()) for row in table], wanted)
    # A run that dies before it counts changes nothing that is read.
    with monkeypatch.context() as patch:
        patch.setattr(VersionSink, "_switch", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(spark, tmp_path, "s-2")
    assert sink.current() == said
    run(spark, tmp_path, "s-3")
    tables = ["anomalies", "city_statistics", "hourly_trends"]
    assert files_in(place) == {f"{name}/{version}.jsonl" for name in tables for version in ("s-1", "s-3")}


def test_a_function_that_returns_other_tables_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="expected it to return trends"):
        run(spark, tmp_path, "s", tables=["trends"])
