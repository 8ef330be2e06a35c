"""From raw records to feature rows the slow, obvious way: what decode.py and windows.py are judged by.

Used by the certificate and by the tests. Knows no Spark, shares no code with what it judges and is never made quick:
its worth is that it is read in one go and believed.
"""

from __future__ import annotations

import io
import json
import math
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
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
    open_body = {"avro": avro_bodies, "json": json_bodies, "protobuf": protobuf_bodies}[contract.format](
        contract, schemas
    )

    def read(record: Record) -> Observation | None:
        said = open_body(record.value or b"")
        if said is None:
            return None
        key, time = said.get(contract.key), said.get(contract.event_time)
        if not key or record.key != key.encode() or time is None:
            return None
        at_ms = clock_ms(record, contract)
        if not time >= YEAR_1_MS or time - (record.append_ms if at_ms is None else at_ms) > contract.lead_ms:
            return None
        if any(a.required and not is_accepted(a, said.get(name)) for name, a in contract.attributes):
            return None
        words = {name: said.get(name) if is_accepted(a, said.get(name)) else None for name, a in contract.attributes}
        values = {f.name: None if said.get(f.name) is None else as_double(said[f.name]) for f in contract.measured}
        where = {"raw_partition": record.partition, "raw_offset": record.offset, "append_time": record.append_ms}
        return {contract.key: key, "event_time": time, **values, **words, **where}

    return read


def as_double(value: float) -> float:
    """A whole number that no double holds is infinite, as a longer fraction is."""
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


Body = Callable[[bytes], dict[str, Any] | None]


def written_by(value: bytes, schemas: dict[int, str]) -> int | None:
    """The id in the frame, if it is one of a writer."""
    schema_id = int.from_bytes(value[1:5], "big") if value[:1] == b"\x00" and len(value) >= 5 else None
    return schema_id if schema_id in schemas else None


def avro_bodies(contract: Any, schemas: dict[int, str]) -> Body:
    # Times as the plain numbers that were written.
    writers = {schema_id: fastavro.parse_schema(json.loads(plain(s))) for schema_id, s in schemas.items()}

    def opened(value: bytes) -> dict[str, Any] | None:
        schema_id = written_by(value, schemas)
        body = io.BytesIO(value[5:])
        try:
            said: Any = None if schema_id is None else fastavro.schemaless_reader(body, writers[schema_id], None)
        except Exception:
            return None
        return said if body.read(1) == b"" or schema_id is None else None

    return opened


def json_bodies(contract: Any, schemas: dict[int, str]) -> Body:
    """One object of the contract's fields, framed or not; 1 is no 1.0, and text is neither."""
    words: dict[str, tuple[type, ...]] = {"boolean": (bool,), "integer": (int,), "event_time": (int,)}
    words |= dict.fromkeys(("measurement", "circular"), (int, float))
    kinds = {f.name: f.attribute.kind if f.attribute else f.role for f in contract.fields}

    def opened(value: bytes) -> dict[str, Any] | None:
        if value[:1] == b"\x00":
            if written_by(value, schemas) is None:
                return None
            value = value[5:]
        try:
            said = json.loads(value.decode("utf-8"), parse_constant=lambda word: [word])
        except (ValueError, RecursionError):
            return None
        if not isinstance(said, dict):
            return None
        for field in contract.fields:
            seen = said.get(field.name)
            if seen is not None and type(seen) not in words.get(kinds[field.name], (str,)):
                return None
            if seen is not None and kinds[field.name] == "date":
                said[field.name] = day(seen)
                if said[field.name] is None:
                    return None
        return said

    return opened


def day(text: str) -> int | None:
    """Days since 1970-01-01; None for text that is no day as in 2024-02-29."""
    try:
        return (date.fromisoformat(text) - date(1970, 1, 1)).days if len(text) == 10 else None
    except ValueError:
        return None


def protobuf_bodies(contract: Any, schemas: dict[int, str]) -> Body:
    """Fields by their place in the contract, each of its own wire type."""
    names = [field.name for field in contract.fields]
    kinds = [field.attribute.kind if field.attribute else field.role for field in contract.fields]
    wire_types = [{"key": 2, "string": 2, "measurement": 1, "circular": 1}.get(kind, 0) for kind in kinds]

    def opened(value: bytes) -> dict[str, Any] | None:
        if written_by(value, schemas) is None:
            return None
        index = 1 if value[5:6] == b"\x00" else 2 if value[5:7] == b"\x02\x00" else None
        if index is None:
            return None
        said: dict[str, Any] = {}
        try:
            for number, wire_type, seen in wire_fields(value[5 + index :]):
                if 1 <= number <= len(names):
                    if wire_type != wire_types[number - 1]:
                        return None
                    said[names[number - 1]] = worth(contract.fields[number - 1], wire_type, seen)
        except ValueError:
            return None
        return said

    return opened


def worth(field: Any, wire_type: int, seen: Any) -> Any:
    """Text, a double, a symbol by its number from 1, yes or no, or a whole number in two's complement of 64 bits."""
    kind = field.attribute.kind if field.attribute else field.role
    if kind == "boolean":
        return seen != 0
    if kind == "enum":
        return field.attribute.symbols[seen - 1] if 1 <= seen <= len(field.attribute.symbols) else str(seen)
    if wire_type == 2:
        return seen.decode("utf-8")
    if wire_type == 1:
        return struct.unpack("<d", seen)[0]
    return seen - (1 << 64) if seen >= 1 << 63 else seen


def wire_fields(body: bytes | io.BytesIO, group: int | None = None) -> Iterator[tuple[int, int, Any]]:
    """(number, wire type, payload) of a message's fields, those of groups not among them. Raises ValueError."""
    rest = io.BytesIO(body) if isinstance(body, bytes) else body

    def take(count: int) -> bytes:
        found = rest.read(count) if count >= 0 else b""
        if count < 0 or len(found) < count:
            raise ValueError("cut short")
        return found

    def varint() -> int:
        value = 0
        for place in range(10):
            byte = take(1)[0]
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                return value & (1 << 64) - 1
        raise ValueError("longer than ten bytes")

    while group is not None or rest.tell() < len(rest.getvalue()):
        tag = varint() & 0xFFFF_FFFF
        number, wire_type = tag >> 3, tag & 7
        if number == 0:
            raise ValueError("no field has the number 0")
        if wire_type == 0:
            yield number, 0, varint()
        elif wire_type in (1, 5):
            yield number, wire_type, take(8 if wire_type == 1 else 4)
        elif wire_type == 2:
            length = varint() & 0xFFFF_FFFF
            yield number, 2, take(length - (1 << 32) if length >= 1 << 31 else length)
        elif wire_type == 3:
            for _ in wire_fields(rest, number):
                pass
            yield number, 3, None
        elif wire_type == 4 and number == group:
            return
        else:
            raise ValueError(f"no wire type {wire_type} here")


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


def whose(o: Observation, contract: Any) -> str:
    """What the windows that hold an observation are of: its key, or the value that windows are by, as text."""
    return str(o[contract.entity_key])


def ends(event_time: int, contract: Any) -> list[int]:
    """The ends of the windows that hold a time. Start inclusive, end exclusive."""
    found = []
    end = (event_time // contract.slide_ms + 1) * contract.slide_ms
    while end - contract.window_ms <= event_time:
        found.append(end)
        end += contract.slide_ms
    return found


def feature_rows(observations: list[Observation], contract: Any) -> dict[tuple[str, int], Row]:
    """Every published row by whose it is and window_end."""
    held: dict[tuple[str, int], list[Observation]] = {}
    for o in observations:
        for end in ends(o["event_time"], contract):
            held.setdefault((whose(o, contract), end), []).append(o)
    rows = {at: published(at, inside, contract) for at, inside in held.items()}
    return {at: one for at, one in rows.items() if one is not None}


def published(at: tuple[str, int], inside: list[Observation], contract: Any) -> Row | None:
    """The row of a window with these observations; None where none of them lies in its last slide."""
    if all(o["event_time"] < at[1] - contract.slide_ms for o in inside):
        return None
    return row(at, inside, contract)


def row(at: tuple[str, int], inside: list[Observation], contract: Any) -> Row:
    result: Row = {
        contract.entity_key: at[0],
        "window_start": at[1] - contract.window_ms,
        "window_end": at[1],
        **origin(inside, contract),
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


def origin(inside: list[Observation], contract: Any) -> Row:
    """The revision, and where the records lie: those of a group in several partitions, whose offsets say nothing of
    each other.
    """
    offsets = [o["raw_offset"] for o in inside]
    if contract.by is None:
        return {
            "revision": max(offsets),
            "first_offset": min(offsets),
            "raw_partition": inside[0]["raw_partition"],
        }
    ranges = []
    for partition in sorted({o["raw_partition"] for o in inside}):
        own = [o["raw_offset"] for o in inside if o["raw_partition"] == partition]
        ranges.append((partition, min(own), max(own)))
    return {"revision": len(inside), "grouped_by": contract.by, "raw_ranges": ranges}


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
