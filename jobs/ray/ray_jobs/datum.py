"""Spans in which a whole network stood in another datum, found in the rows that a model is fitted on.

Weather differs over a continent: in a warm month some stations are far above their climatology, others below. Where
all of them stand off by the same amount, and by more than one station's weather, the feed has changed and not the
weather. (All 27 cities of the Kaggle set report 13.6 hPa too much from August 2014 to June 2015, a quarter of the fit:
their climatology comes out 3 hPa too high, and an anomaly seems to last for months.) Such spans are fitted as if they
stood where the newest month stands. Pure numpy: reads nothing, knows no contract. Times are UTC epoch ms.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from ray_jobs import baseline as base_of
from ray_jobs.baseline import Baseline, Floats

# Of fewer stations nobody can say whether all of them agree.
STATIONS = 8
# Three of each month of the year, so that two outvote the third: of two the climatology would take the middle, and both
# would stand off.
MONTHS = 36
# A span is off where its months' medians over the stations are off by a whole spread of one station's weather, and in
# one of them by this many interquartile ranges over the stations.
AGREEMENT = 3.0
# Less of a month than two days says nothing of it.
HOURS = 48
# A first climatology is drawn towards the other datum and finds its clearest months; the next finds the rest.
ROUNDS = 5
HOUR_MS = 3_600_000


class Shift(NamedTuple):
    """Values of a target (its number) stand `offset` (its unit) too high in [from_ms, to_ms), whole months."""

    target: int
    from_ms: int
    to_ms: int
    offset: float


Shifts = tuple[Shift, ...]
Series = list[tuple[Floats, Floats]]


def fit(
    stations: tuple[str, ...], longitudes: Floats, series: Series, horizons_ms: list[int], tolerance_ms: int
) -> tuple[Baseline, Shifts]:
    """The baseline of `series` in one datum, and what had to be taken out for it. Arguments as of baseline.fit."""
    known: Shifts = ()
    for _ in range(ROUNDS):
        clean = [(t_ms, without(t_ms, values, known)) for t_ms, values in series]
        baseline = base_of.fit(stations, longitudes, clean, horizons_ms, tolerance_ms)
        found = shifts(baseline, longitudes, series)
        if _same(found, known):
            break
        known = found
    return baseline, known


def without(t_ms: Floats, values: Floats, known: Shifts) -> Floats:
    """The values as if no datum had changed. [n], [n, target] -> [n, target]."""
    out = values.copy()
    for shift in known:
        out[(t_ms >= shift.from_ms) & (t_ms < shift.to_ms), shift.target] -= shift.offset
    return out


def shifts(baseline: Baseline, longitudes: Floats, series: Series) -> Shifts:
    """The spans of `series` that stand in another datum than its newest month, by target, ascending."""
    first, medians = _monthly(baseline, longitudes, series)
    out: list[Shift] = []
    for target in range(medians.shape[2]):
        spread = float(np.mean(baseline.spread_of(np.arange(len(series)))[:, target]))
        offsets = _offsets(medians[:, :, target], spread)
        # What is newest is what will be served.
        offsets -= offsets[-1] if len(offsets) else 0.0
        out += [
            Shift(target, _start_ms(first + a), _start_ms(first + b), float(offsets[a]))
            for a, b in _runs(offsets)
            if offsets[a] != 0.0
        ]
    return tuple(out)


def _monthly(baseline: Baseline, longitudes: Floats, series: Series) -> tuple[int, Floats]:
    """Number of the first month since 1970, and each station's median anomaly in each month. -> [month, station,
    target], NaN where there is too little.
    """
    of_rows = [_month(t_ms) for t_ms, _ in series]
    first = min((int(m.min()) for m in of_rows if len(m)), default=0)
    last = max((int(m.max()) for m in of_rows if len(m)), default=first - 1)
    targets = baseline.spread.shape[1]
    out = np.full((last - first + 1, len(series), targets), np.nan)
    for s, ((t_ms, values), months) in enumerate(zip(series, of_rows, strict=True)):
        anomaly = values - baseline.climatology(np.full(len(t_ms), s), np.full(len(t_ms), longitudes[s]), t_ms)
        for month in np.unique(months):
            rows = months == month
            there = anomaly[rows]
            hours = len(np.unique(t_ms[rows] // HOUR_MS))
            for k in range(targets):
                column = there[~np.isnan(there[:, k]), k]
                if hours >= HOURS and len(column) >= HOURS:
                    out[int(month) - first, s, k] = np.median(column)
    return first, out


def _offsets(medians: Floats, spread: float) -> Floats:
    """How far each month's network stands off, 0 where it does not; one number for months in a row. [month, station] ->
    [month]. A month that nobody knows enough of belongs to the one before it.
    """
    enough = np.sum(~np.isnan(medians), axis=1) >= STATIONS
    offsets = np.zeros(len(medians))
    if enough.sum() < MONTHS:
        return offsets
    low, middle, high = np.nanpercentile(medians[enough], [25, 50, 75], axis=1)
    off = np.zeros(len(middle), dtype=bool)
    # Months that are off draw the middle of all towards them: it is that of the others. Each turn adds one at least.
    for _ in range(len(middle)):
        distance = middle - np.median(middle[~off])
        far = np.where(np.abs(distance) > spread, np.sign(distance), 0.0)
        agreed = np.abs(distance) > AGREEMENT * (high - low)
        # In some month of a shift the weather itself differs too much: it counts with those beside it.
        more = off | np.concatenate([np.full(b - a, far[a] != 0 and agreed[a:b].any()) for a, b in _runs(far)])
        if more.all() or (more == off).all():
            break
        off = more
    distance = np.where(off, middle - np.median(middle[~off]), 0.0)
    for a, b in _runs(np.sign(distance)):
        distance[a:b] = np.median(distance[a:b])
    before = np.maximum.accumulate(np.where(enough, np.cumsum(enough) - 1, 0))
    return np.asarray(distance[before])


def _runs(values: Floats) -> list[tuple[int, int]]:
    """Spans [a, b) of equal values."""
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    return list(pairwise([0, *changes.tolist(), len(values)])) if len(values) else []


def _same(found: Shifts, known: Shifts) -> bool:
    """Whether the spans are the same and the offsets agree within a hundredth."""
    spans = [s[:3] for s in found] == [s[:3] for s in known]
    return spans and bool(np.allclose([s.offset for s in found], [s.offset for s in known], rtol=0.01, atol=0.0))


def _month(t_ms: Floats) -> NDArray[np.int64]:
    return np.asarray(t_ms.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64))


def _start_ms(month: int) -> int:
    return int(np.datetime64(month, "M").astype("datetime64[ms]").astype(np.int64))
