"""Sliding windows the slow, obvious way: what windows.py is judged by. Knows no Spark and shares no code with it."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

Observation = dict[str, Any]  # key, event_time (epoch ms), fields, raw_partition, raw_offset, append_time (epoch ms)
Row = dict[str, Any]


def in_range(value: float | None, bounds: tuple[float, float] | None) -> bool:
    return value is not None and math.isfinite(value) and (bounds is None or bounds[0] <= value <= bounds[1])


def first_of_each_time(observations: list[Observation], key: str) -> list[Observation]:
    """Of two records with the same key and time the lowest offset wins."""
    kept: dict[tuple[str, int], Observation] = {}
    for o in sorted(observations, key=lambda o: o["raw_offset"]):
        kept.setdefault((o[key], o["event_time"]), o)
    return list(kept.values())


def feature_rows(observations: list[Observation], contract: Any) -> dict[tuple[str, int], Row]:
    """Every published row by (key, window_end). Start inclusive, end exclusive."""
    held: dict[tuple[str, int], list[Observation]] = {}
    for o in observations:
        end = (o["event_time"] // contract.slide_ms + 1) * contract.slide_ms
        while end - contract.window_ms <= o["event_time"]:
            held.setdefault((o[contract.key], end), []).append(o)
            end += contract.slide_ms
    return {
        at: row(at, inside, contract)
        for at, inside in held.items()
        if max(o["event_time"] for o in inside) >= at[1] - contract.slide_ms
    }


def row(at: tuple[str, int], inside: list[Observation], contract: Any) -> Row:
    result: Row = {
        contract.key: at[0],
        "window_start": at[1] - contract.window_ms,
        "window_end": at[1],
        "revision": max(o["raw_offset"] for o in inside),
        "first_offset": min(o["raw_offset"] for o in inside),
        "raw_partition": inside[0]["raw_partition"],
        "measurement_count": len(inside),
        "max_event_time": max(o["event_time"] for o in inside),
        "raw_append_time": max(o["append_time"] for o in inside),
    }
    for feature in contract.features:
        bounds = contract.field(feature.field).range
        seen = [(o["event_time"], o[feature.field]) for o in inside if in_range(o[feature.field], bounds)]
        result[f"{feature.field}_count"] = len(seen)
        result[feature.column] = KINDS[feature.kind]([t for t, _ in seen], [v for _, v in seen]) if seen else None
    return result


def std(_: list[int], values: list[float]) -> float | None:
    if len(values) < 2:
        return None
    exact = [Fraction(v) for v in values]
    mean = sum(exact) / len(exact)
    return math.sqrt(sum((v - mean) ** 2 for v in exact) / (len(exact) - 1))


def rate(times: list[int], values: list[float]) -> float | None:
    if len(set(times)) < 2:
        return None
    mean_t, mean_v = Fraction(sum(times), len(times)), sum(Fraction(v) for v in values) / len(values)
    slope = sum((t - mean_t) * (Fraction(v) - mean_v) for t, v in zip(times, values, strict=True)) / sum(
        (t - mean_t) ** 2 for t in times
    )
    return float(slope * 3_600_000)


def resultant(_: list[int], values: list[float]) -> float:
    east, north = vector(values)
    return min(1.0, math.hypot(east, north) / len(values))


def circular_mean(times: list[int], values: list[float]) -> float | None:
    east, north = vector(values)
    return None if resultant(times, values) < 1e-6 else math.degrees(math.atan2(east, north)) % 360.0 % 360.0


def vector(values: list[float]) -> tuple[float, float]:
    angles = [math.radians(v) for v in values]
    return math.fsum(map(math.sin, angles)), math.fsum(map(math.cos, angles))


KINDS: dict[str, Any] = {
    "mean": lambda _, values: math.fsum(values) / len(values),
    "std": std,
    "min": lambda _, values: min(values),
    "max": lambda _, values: max(values),
    "sum": lambda _, values: math.fsum(values),
    "rate": rate,
    "circular_mean": circular_mean,
    "resultant": resultant,
}


def same(column: str, got: Any, wanted: Any) -> bool:
    """Counts, offsets, times, min and max exactly; the rest within 1e-9 * max(1, |b|), directions around the circle."""
    if got is None or wanted is None or not isinstance(wanted, float):
        return bool(got == wanted)
    if column.endswith(("_min", "_max")):
        return bool(got == wanted)
    difference = abs(got - wanted)
    if column.endswith("_circular_mean"):
        difference = min(difference, 360.0 - difference)
    return bool(difference <= 1e-9 * max(1.0, abs(wanted)))


def differences(got: dict[tuple[str, int], Row], wanted: dict[tuple[str, int], Row]) -> list[str]:
    """One line for each missing row, extra row and wrong value; empty when all is right."""
    wrong = [f"missing {at}" for at in wanted.keys() - got.keys()] + [
        f"extra {at}" for at in got.keys() - wanted.keys()
    ]
    for at in wanted.keys() & got.keys():
        for column, value in wanted[at].items():
            if not same(column, got[at][column], value):
                wrong.append(f"{at} {column}: got {got[at][column]!r}, wanted {value!r}")
    return sorted(wrong)
