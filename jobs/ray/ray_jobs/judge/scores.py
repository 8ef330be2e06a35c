"""How forecasts are judged: errors, intervals, what truth may not count, and how sure a score is.

Pure numpy over arrays of pairs (a forecast and its truth): reads nothing, knows no model, no contract and no table.
evaluate.py brings the pairs. A function says what it takes; a metric's name ends in its unit where it has one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

KELVIN_OF_0_DEGC = 273.15
# A run of points on one line counts as interpolated when chance makes it in fewer than this share of places.
CHANCE = 0.02
# Grids a series may be written on, coarsest first, in its own unit.
GRIDS = (10.0, 5.0, 1.0, 0.5, 0.1, 0.05, 0.01, 0.005, 0.001)
# Share of values that have to stand on a grid: the interpolated ones do not.
ON_GRID = 0.5


def unit_word(unit: str | None) -> str:
    """A unit as part of a metric's name: MLflow allows no percent sign there."""
    return (unit or "1").replace("%", "pct").replace("/", "_per_")


def bands_of(levels: Sequence[float]) -> list[tuple[int, int, int]]:
    """(nominal coverage in %, position of the lower level, of the upper) of each pair q, 1 - q; narrowest first."""
    count = len(levels)
    pairs = [(i, count - 1 - i) for i in range(count // 2) if math.isclose(levels[i] + levels[count - 1 - i], 1.0)]
    return [(round(100 * (levels[high] - levels[low])), low, high) for low, high in reversed(pairs)]


def pinball(truth: Floats, said: Floats, levels: Floats) -> Floats:
    """Quantile loss of each pair, the mean over its levels. [n], [n, level], [level] -> [n]."""
    off = truth[:, None] - said
    return np.asarray(np.mean(np.maximum(levels * off, (levels - 1) * off), axis=1))


def winkler(truth: Floats, low: Floats, high: Floats, coverage: float) -> Floats:
    """Interval score of each pair: the width, and 2 / (1 - coverage) times how far the truth lies outside. [n] -> [n].

    Source: Gneiting and Raftery 2007, equation 43. Edges: a truth on the edge is inside.
    """
    outside = np.maximum(low - truth, 0.0) + np.maximum(truth - high, 0.0)
    return np.asarray(high - low + 2.0 / (1.0 - coverage) * outside)


def mape_kelvin_pct(truth_degc: Floats, said_degc: Floats) -> float:
    """Mean absolute percentage error of temperatures in kelvin. Asked for, and not for decisions: it is small for any
    forecast, and in degC it would be whatever the truths near zero make of it.
    """
    return float(100 * np.mean(np.abs(said_degc - truth_degc) / (truth_degc + KELVIN_OF_0_DEGC)))


def summary(
    truth: Floats, said: Floats, levels: Sequence[float], others: Mapping[str, Floats], unit: str | None
) -> dict[str, float]:
    """Every metric of a set of pairs, by name; {"pairs": 0} for none.

    Shapes: `truth` [n], `said` [n, level] (quantiles; the level 0.5 is the forecast), `others` name -> [n], the
    forecasts to beat. Nothing may be NaN. A skill is 1 - MAE / MAE of the other: above 0 is better than it.
    """
    n = len(truth)
    if n == 0:
        return {"pairs": 0.0}
    word = unit_word(unit)
    middle = int(np.argmin(np.abs(np.asarray(levels) - 0.5)))
    error = said[:, middle] - truth
    mae = float(np.mean(np.abs(error)))
    out = {
        "pairs": float(n),
        f"mae_{word}": mae,
        f"rmse_{word}": float(np.sqrt(np.mean(error**2))),
        f"bias_{word}": float(np.mean(error)),
        f"pinball_{word}": float(np.mean(pinball(truth, said, np.asarray(levels, dtype=np.float64)))),
    }
    for name, other in others.items():
        theirs = float(np.mean(np.abs(other - truth)))
        out[f"{name}_mae_{word}"] = theirs
        out[f"skill_{name}"] = skill(mae, theirs)
    for percent, low, high in bands_of(levels):
        below, above = said[:, low], said[:, high]
        out[f"coverage_{percent}"] = float(np.mean((truth >= below) & (truth <= above)))
        out[f"width_{percent}_{word}"] = float(np.mean(above - below))
        out[f"winkler_{percent}_{word}"] = float(np.mean(winkler(truth, below, above, levels[high] - levels[low])))
    if unit == "degC":
        out["mape_kelvin_pct"] = mape_kelvin_pct(truth, said[:, middle])
    return out


def skill(mae: float, theirs: float) -> float:
    """1 - mae / theirs; NaN when the other never errs."""
    return 1.0 - mae / theirs if theirs > 0 else math.nan


def reliability(truth: Floats, said: Floats) -> Floats:
    """Share of truths at or below each quantile: what its level should be. [n], [n, level] -> [level]."""
    return np.asarray(np.mean(truth[:, None] <= said, axis=0))


def bootstrap(blocks: NDArray[np.int64], values: Floats, rounds: int, seed: int) -> Floats:
    """Sums of `values` over blocks drawn with replacement, as many as there are. [n], [n, m] -> [round, m].

    The pairs of one block go together: errors of one week are no independent draws. The same seed gives the same
    draws for the same blocks.
    """
    _, which = np.unique(blocks, return_inverse=True)
    count = int(which.max()) + 1 if len(which) else 0
    if count == 0:
        return np.zeros((rounds, values.shape[1]))
    sums = np.stack([np.bincount(which, weights=column, minlength=count) for column in values.T], axis=1)
    drawn = np.random.default_rng(seed).integers(0, count, size=(rounds, count))
    # How often each block was drawn, times its sums: the same as summing the drawn blocks, in one product.
    times = np.stack([np.bincount(draw, minlength=count) for draw in drawn]).astype(np.float64)
    return np.asarray(times @ sums)


def interval(values: Floats, coverage: float = 0.95) -> tuple[float, float]:
    """The central share of draws, NaN left out; NaN twice without any."""
    kept = values[np.isfinite(values)]
    if len(kept) == 0:
        return math.nan, math.nan
    tail = (1 - coverage) / 2
    return float(np.quantile(kept, tail)), float(np.quantile(kept, 1 - tail))


# What counts as truth


def interpolated(t_ms: Floats, values: Floats) -> Flags:
    """True for values that stand on the straight line through their neighbours more often than chance puts them there:
    a provider filled the gap through the future, and a model that knew would be scored on a ruler. [n], [n] -> [n].

    The ends of such a run were measured and stay. A level run is no interpolation but a frozen sensor, or calm. On a
    coarse grid three points on a line are common, so a run has to be the longer the coarser the grid is against the
    usual bend of the series: one point for temperatures in hundredths, two for humidity in whole per cent.
    Edges: neighbours have to be equally far in time; a gap or a NaN ends a run.
    """
    found = np.zeros(len(values), dtype=bool)
    if len(values) < 3:
        return found
    grid = grid_of(values)
    steps, times = np.diff(values), np.diff(t_ms)
    with np.errstate(invalid="ignore"):
        bend = np.where(times[1:] == times[:-1], np.diff(steps), np.nan)
        sizes = np.abs(bend[np.abs(bend) > grid / 10])
        if len(sizes) == 0:
            return found
        # The share of bends that round to none, were they normal around it.
        usual = 1.4826 * float(np.median(sizes))
        chance = min(0.95, grid / (math.sqrt(2 * math.pi) * usual))
        straight = (np.abs(bend) <= grid / 10) & (np.abs(steps[1:]) > grid / 10)
    needed = max(1, math.ceil(math.log(CHANCE) / math.log(chance)))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], straight, [False]]).astype(np.int8)))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start >= needed:
            found[start + 1 : end + 1] = True
    return found


def grid_of(values: Floats) -> float:
    """The coarsest grid that half of the values stand on; the finest one known when none does."""
    known = values[~np.isnan(values)]
    for grid in GRIDS:
        places = known / grid
        # 1e-5 of a step: a kelvin that became degC is off by its own rounding.
        if len(known) and float(np.mean(np.abs(places - np.round(places)) < 1e-5)) >= ON_GRID:
            return grid
    return GRIDS[-1]


def windows_in(starts_ms: Floats, ends_ms: Floats, spans: Sequence[tuple[int, int]]) -> Flags:
    """True for windows [start, end) that hold a time of one of the spans, which include both ends. [n], [n] -> [n]."""
    found = np.zeros(len(starts_ms), dtype=bool)
    for first, last in spans:
        found |= (ends_ms > first) & (starts_ms <= last)
    return found
