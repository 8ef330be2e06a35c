"""From raw records to feature rows the slow, obvious way: what decode.py and windows.py are judged by.

Used by the certificate and by the tests. Knows no Spark, shares no code with what it judges and is never made quick:
its worth is that it is read in one go and believed.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import fastavro

Observation = dict[str, Any]  # key, event_time (epoch ms), fields, raw_partition, raw_offset, append_time (epoch ms)
Row = dict[str, Any]

YEAR_1_MS, YEAR_9999_MS = -62_135_596_800_000, 253_402_300_799_999


@dataclass(frozen=True)
class Record:
    """One record of the raw topic as Kafka has it; `append_ms` is when the broker took it, epoch ms."""

    partition: int
    offset: int
    append_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


def reader(contract: Any, schemas: dict[int, str]) -> Callable[[Record], Observation | None]:
    """Turns a record into an observation, or into None where it must be refused as a whole.

    `schemas` holds the Avro JSON of every writer by registry id. Values stay as they were written: what is outside its
    range is left out by `row`.
    """
    # Times as the plain numbers that were written.
    writers = {schema_id: fastavro.parse_schema(json.loads(plain(s))) for schema_id, s in schemas.items()}

    def read(record: Record) -> Observation | None:
        value = record.value or b""
        schema = writers.get(int.from_bytes(value[1:5], "big")) if value[:1] == b"\x00" and len(value) >= 5 else None
        if schema is None:
            return None
        body = io.BytesIO(value[5:])
        try:
            said: Any = fastavro.schemaless_reader(body, schema, None)
        except Exception:
            return None
        key, time = said.get(contract.key), said.get(contract.event_time)
        if body.read(1) != b"" or not key or record.key != key.encode() or time is None:
            return None
        at_ms = clock_ms(record, contract)
        if not time >= YEAR_1_MS or time - (record.append_ms if at_ms is None else at_ms) > contract.lead_ms:
            return None
        if any(a.required and not is_accepted(a, said.get(name)) for name, a in contract.attributes):
            return None
        words = {name: said.get(name) if is_accepted(a, said.get(name)) else None for name, a in contract.attributes}
        values = {f.name: None if said.get(f.name) is None else float(said[f.name]) for f in contract.measured}
        where = {"raw_partition": record.partition, "raw_offset": record.offset, "append_time": record.append_ms}
        return {contract.key: key, "event_time": time, **values, **words, **where}

    return read


def plain(schema: str) -> str:
    """The schema with its times as the numbers that were written."""
    return re.sub(r'"logicalType"\s*:\s*"(?:timestamp-millis|date)"', '"unit":"ms"', schema)


def clock_ms(record: Record, contract: Any) -> int | None:
    """The source's own clock, from the first header of that name; None where it says none.

    It leads the broker's by what a record may lead its clock, whatever it says.
    """
    text = next((value for name, value in record.headers if name == "clock"), None)
    if text is None or not re.fullmatch(rb"\s*[+-]?[0-9]{1,18}\s*", text):
        return None
    clock = int(text)
    return min(clock, record.append_ms + contract.lead_ms) if YEAR_1_MS <= clock <= YEAR_9999_MS else None


def is_accepted(attribute: Any, value: Any) -> bool:
    """A value that is not there is accepted where it is not required; a date is its days since 1970-01-01."""
    if value is None:
        return not attribute.required
    if attribute.kind == "boolean":
        return isinstance(value, bool)
    if attribute.kind == "enum":
        return value in attribute.symbols
    if attribute.kind == "string":
        fits = isinstance(value, str) and len(value) <= attribute.max_length
        return fits and (attribute.pattern is None or re.fullmatch(attribute.pattern, value) is not None)
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and attribute.range[0] <= value <= attribute.range[1]


def in_range(value: float | None, bounds: tuple[float, float] | None) -> bool:
    return value is not None and math.isfinite(value) and (bounds is None or bounds[0] <= value <= bounds[1])


def first_of_each_time(observations: Iterable[Observation], key: str) -> list[Observation]:
    """Of two records with the same key and time the lowest offset wins."""
    kept: dict[tuple[str, int], Observation] = {}
    for o in sorted(observations, key=lambda o: o["raw_offset"]):
        kept.setdefault((o[key], o["event_time"]), o)
    return list(kept.values())


def ends(event_time: int, contract: Any) -> list[int]:
    """The ends of the windows that hold a time. Start inclusive, end exclusive."""
    found = []
    end = (event_time // contract.slide_ms + 1) * contract.slide_ms
    while end - contract.window_ms <= event_time:
        found.append(end)
        end += contract.slide_ms
    return found


def feature_rows(observations: list[Observation], contract: Any) -> dict[tuple[str, int], Row]:
    """Every published row by (key, window_end)."""
    held: dict[tuple[str, int], list[Observation]] = {}
    for o in observations:
        for end in ends(o["event_time"], contract):
            held.setdefault((o[contract.key], end), []).append(o)
    rows = {at: published(at, inside, contract) for at, inside in held.items()}
    return {at: one for at, one in rows.items() if one is not None}


def published(at: tuple[str, int], inside: list[Observation], contract: Any) -> Row | None:
    """The row of a window with these observations; None where none of them lies in its last slide."""
    if all(o["event_time"] < at[1] - contract.slide_ms for o in inside):
        return None
    return row(at, inside, contract)


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
