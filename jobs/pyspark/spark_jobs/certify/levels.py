"""Finds a unit that changed without a word: values of the whole network that jump at once, as nothing real does.

Looks at raw values in order of arrival, as written, also those outside their range. Pure: numpy in, findings out.
A change is reported where the network's stations agree on it and either another unit of the same dimension explains
it, or their values leave their range together, or it is beyond what the contract calls credible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spark_jobs.generated.contract import Contract, Field
from spark_jobs.generated.units import UNITS, Unit

Floats = NDArray[np.float64]

# Units that a network may come to send in each other's place unseen. One with the same values under another word, like
# mbar, explains no jump; angles have no level that could jump.
DIMENSIONS: Sequence[Mapping[str, Unit]] = tuple(
    {word: UNITS[word] for word in words.split()}
    for words in (
        "degC K degF",
        "hPa Pa kPa mmHg inHg",
        "m/s km/h kn mph ft/s",
        "mm cm in ft m km",
        "% 1",
        "kW W MW",
        "V mV kV",
    )
)

# Values on either side of a moment whose median is a station's level there, and the fewest that make one.
NEAR, FEWEST = 5, 3
# Levels further apart in event time than this, or than so many of the station's usual intervals, are not compared: a
# gap hides what happened in it. Within hours, a whole network's wind may fall as if it were in mph.
GAP_MS = 6 * 3_600_000.0
GAP_INTERVALS = 6.0
# Fewer stations are no network: one of them may be moved or mended.
STATIONS = 3
# How many times the usual change of the network's levels one must be, where another unit explains it and where none
# does. Measured, on three days of Singapore by the minute and two years of US cities by the hour: natural changes reach
# 7 times the median one, and no other unit explains one above 2 times.
UNUSUAL, UNUSUAL_ALONE = 5.0, 10.0
# A unit explains a change when it leaves at most this share of it.
EXPLAINED = 0.25
# Share of all values of a field outside its range from which on nothing was measured in the contract's unit.
MASS = 0.5


@dataclass(frozen=True)
class LevelChange:
    """A jump of one field over the network. `arrival` numbers the record before which it happened, from 1.

    `unit`: the one the values after it (or before it, when they came back) seem to be in; None where none explains it.
    """

    field: str
    arrival: int
    time_ms: int
    stations: int
    before: float
    after: float
    unit: str | None
    out_of_range: bool

    def describe(self, unit: str | None) -> str:
        """One sentence; `unit` is the contract's."""
        why = (
            f"as if in {self.unit} instead of {unit}"
            if self.unit
            else "out of its range"
            if self.out_of_range
            else f"beyond what is credible in {unit}"
        )
        when = datetime.fromtimestamp(self.time_ms / 1000, UTC).isoformat(timespec="seconds")
        return (
            f"{self.field} jumps from {self.before:g} to {self.after:g} at {self.stations} stations at once "
            f"(about {when}, {self.arrival:,}th record), {why}"
        )


def tables_of(series: Mapping[str, Sequence[float]], contract: Contract) -> list[Floats]:
    """Each station's series (see comparison.Scanned) as [record, (arrival, time, values ...)], stations by name."""
    width = 2 + len(contract.measured)
    return [np.asarray(series[name], dtype=np.float64).reshape(-1, width) for name in sorted(series)]


def changes(series: Mapping[str, Sequence[float]], contract: Contract) -> list[LevelChange]:
    """The largest jump of each field, in contract order."""
    tables = tables_of(series, contract)
    if len(tables) < STATIONS:
        return []
    found = []
    for i, field in enumerate(contract.measured):
        if field.role == "measurement":
            change = change_of(field, [t[~np.isnan(t[:, 2 + i])][:, [0, 1, 2 + i]] for t in tables], contract)
            if change is not None:
                found.append(change)
    return found


def outside(series: Mapping[str, Sequence[float]], contract: Contract) -> dict[str, float]:
    """Share of a field's values outside its range, for fields where that is most of them."""
    found: dict[str, float] = {}
    tables = tables_of(series, contract)
    for i, field in enumerate(contract.measured):
        values = np.concatenate([table[:, 2 + i] for table in tables]) if tables else np.array([])
        values = values[~np.isnan(values)]
        share = float(np.mean(~in_range(values, field))) if len(values) else 0.0
        if share > MASS:
            found[field.name] = share
    return found


def change_of(field: Field, stations: list[Floats], contract: Contract) -> LevelChange | None:
    stations = [rows for rows in stations if len(rows) >= 2 * FEWEST]
    if len(stations) < STATIONS:
        return None
    arrivals = np.sort(np.concatenate([rows[:, 0] for rows in stations]))
    # One moment a round of the network: with medians of five, a moment one record off shows the change as well.
    moments = arrivals[:: len(stations)]
    pairs = [levels(rows, moments) for rows in stations]
    before = np.stack([b for b, _ in pairs])
    after = np.stack([a for _, a in pairs])
    known = np.sum(~np.isnan(before), axis=0)
    enough = known >= max(STATIONS, (len(stations) + 1) // 2)
    if not enough.any():
        return None
    before, after, moments = before[:, enough], after[:, enough], moments[enough]
    size = median_of(np.abs(after - before))
    low, high = field.range or (-np.inf, np.inf)
    # A hundredth of the range keeps a field that hardly moves (no rain) from being judged by its last digit.
    floor = (high - low) / 100 if np.isfinite(high - low) else 0.0
    usual = float(np.median(size))
    natural = max(floor, UNUSUAL * usual)
    gone = (in_range(before, field) & ~in_range(after, field)).astype(float)
    left = median_of(np.where(np.isnan(before), np.nan, gone)) > 0.5
    credible = next((s.change for s in contract.steps if s.field == field.name), (high - low) / 4)
    agreed = np.abs(np.nanmean(np.sign(after - before), axis=0)) > 0.6
    best = np.full(len(moments), np.inf)
    name = np.full(len(moments), None, dtype=object)
    for unit, each in remains(field, before, after):
        rest = median_of(each)
        # What is left must be a change as any other: a large factor makes nearly all of a jump from a small value.
        better = (rest < best) & (rest < np.minimum(EXPLAINED * size, natural))
        best, name = np.where(better, rest, best), np.where(better, unit, name)
    explained = (size > natural) & np.isfinite(best)
    hit = explained | ((size > max(floor, UNUSUAL_ALONE * usual)) & (left | (agreed & (size > credible))))
    if not hit.any():
        return None
    at = int(np.argmax(np.where(explained if explained.any() else hit, size, -np.inf)))
    times = [rows[np.searchsorted(rows[:, 0], moments[at])][1] for rows in stations if rows[-1, 0] >= moments[at]]
    return LevelChange(
        field.name,
        int(moments[at]),
        int(min(times)),
        int(np.sum(~np.isnan(before[:, at]))),
        float(np.nanmedian(before[:, at])),
        float(np.nanmedian(after[:, at])),
        name[at],
        bool(left[at]),
    )


def levels(rows: Floats, moments: Floats) -> tuple[Floats, Floats]:
    """Medians of a station's values just before and from each moment on; NaN where there are too few or a gap."""
    order, time, value = rows[:, 0], rows[:, 1], rows[:, 2]
    count = len(value)
    padded = np.concatenate([np.full(NEAR, np.nan), value, np.full(NEAR, np.nan)])
    spans = np.lib.stride_tricks.sliding_window_view(padded, NEAR)
    few = np.sum(~np.isnan(spans), axis=1) < FEWEST
    medians = np.full(len(spans), np.nan)
    medians[~few] = np.nanmedian(spans[~few], axis=1)
    at = np.searchsorted(order, moments)
    before, after = medians[at], medians[np.minimum(at + NEAR, len(medians) - 1)]
    first = np.clip(at - FEWEST, 0, count - 1)
    last = np.clip(at + FEWEST - 1, 0, count - 1)
    steps = np.abs(np.diff(time))
    # Repeats are no interval: a feed that sends each record twice has the one of its times.
    steps = steps[steps > 0]
    gap_ms = min(GAP_MS, GAP_INTERVALS * float(np.median(steps))) if len(steps) else GAP_MS
    bad = np.isnan(before) | np.isnan(after) | (np.abs(time[last] - time[first]) > gap_ms * FEWEST)
    return np.where(bad, np.nan, before), np.where(bad, np.nan, after)


def has_others(unit: str | None) -> bool:
    """Whether other units of its dimension are known."""
    return any(unit in dimension for dimension in DIMENSIONS)


def remains(field: Field, before: Floats, after: Floats) -> list[tuple[str, Floats]]:
    """What is left of the change when the values after it, or before it, are read in another unit."""
    units: Mapping[str, Unit] = next((d for d in DIMENSIONS if field.unit in d), {})
    if field.unit is None or not units:
        return []
    _, scale, offset = units[field.unit]

    def as_contract(values: Floats, unit: str) -> Floats:
        _, other_scale, other_offset = units[unit]
        return np.asarray((values * other_scale + other_offset - offset) / scale)

    return [
        (unit, rest)
        for unit in units
        if unit != field.unit
        for rest in (np.abs(as_contract(after, unit) - before), np.abs(after - as_contract(before, unit)))
    ]


def median_of(values: Any) -> Floats:
    """Over the stations, of those that are known. -> [moment]"""
    return np.asarray(np.nanmedian(values, axis=0))


def in_range(values: Floats, field: Field) -> NDArray[np.bool_]:
    low, high = field.range or (-np.inf, np.inf)
    return np.asarray((values >= low) & (values <= high))
