"""What a forecast has to beat, and what every head stands on: harmonic climatology and damped anomaly persistence
(DAP).

Fitted by train.py from plain rows, carried as numbers in a model's manifest, evaluated by design.py for every forecast.
Pure numpy: reads nothing, knows no contract and no model. All times are UTC epoch ms.

  base(t, h) = clim_s(t + h) + a_s,h * (x(t) - clim_s(t))

A station that was not in the training data has no climatology of its own. It gets the network's daily and yearly
shape in its own solar time and a = 1: plain persistence that follows the day's cycle. Its level cancels, so none has
to be known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray_jobs.kit.time import HOUR_MS
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

Floats = NDArray[np.float64]

DAY_MS = 86_400_000.0
YEAR_MS = 365.2425 * DAY_MS
DAY_HARMONICS = 3
YEAR_HARMONICS = 2
# Keeps the normal equations solvable when a station misses whole seasons; at two years of hours it moves nothing by
# 0.01 K.
RIDGE_PER_ROW = 1e-4
# A residual beyond this many robust deviations is a fault (a pressure reported in another datum), not weather.
FAULT_DEVIATIONS = 8.0


@dataclass(frozen=True)
class Baseline:
    """Climatology, damping and spread of each known station.

    Shapes: `longitudes` [station], `coefficients` [station, target, harmonic], `damping` [station, target, horizon],
    `spread` [station, target] (standard deviation of the anomaly, faults left out, unit of the target).
    `longitudes` is degrees east; NaN counts as 0, which shifts the phase of the day and is learnt back by the fit.
    """

    stations: tuple[str, ...]
    longitudes: Floats
    coefficients: Floats
    damping: Floats
    spread: Floats

    def __post_init__(self) -> None:
        object.__setattr__(self, "_row", {name: i for i, name in enumerate(self.stations)})
        # The last row of each table stands for every station that is not known: the network's shape, and persistence.
        shape = np.nanmean(self.coefficients, axis=0, keepdims=True)
        persistence = np.ones((1, *self.damping.shape[1:]))
        object.__setattr__(self, "_coefficients", np.concatenate([self.coefficients, shape]))
        object.__setattr__(self, "_damping", np.concatenate([self.damping, persistence]))
        object.__setattr__(
            self, "_spread", np.concatenate([self.spread, np.nanmean(self.spread, axis=0, keepdims=True)])
        )

    @property
    def unknown(self) -> int:
        """The row index of every station that was not trained on."""
        return len(self.stations)

    def rows(self, stations: list[str]) -> NDArray[np.int64]:
        """Row index of each station, `unknown` for one that was not trained on. [n] -> [n]."""
        known: dict[str, int] = self._row  # type: ignore[attr-defined]
        return np.fromiter((known.get(s, self.unknown) for s in stations), dtype=np.int64, count=len(stations))

    def climatology(self, rows: NDArray[np.int64], longitudes: Floats, t_ms: Floats) -> Floats:
        """Expected value of each target. [n], [n], [n] -> [n, target]. For unknown stations only differences in time
        mean something.
        """
        table: Floats = self._coefficients  # type: ignore[attr-defined]
        return np.asarray(np.einsum("nk,ntk->nt", harmonics(t_ms, longitudes), table[rows]))

    def damping_of(self, rows: NDArray[np.int64]) -> Floats:
        """[n] -> [n, target, horizon]."""
        table: Floats = self._damping  # type: ignore[attr-defined]
        return table[rows]

    def spread_of(self, rows: NDArray[np.int64]) -> Floats:
        """Standard deviation of the anomaly; the network's mean for an unknown station. [n] -> [n, target]."""
        table: Floats = self._spread  # type: ignore[attr-defined]
        return table[rows]

    def without(self, station: str) -> Baseline:
        """As if the station had not been there to fit; of a single one the shape stays, since there is no other."""
        keep = np.array([name != station for name in self.stations])
        if keep.all():
            return self
        if not keep.any():
            return Baseline(("",), self.longitudes, self.coefficients, self.damping, self.spread)
        names = tuple(name for name in self.stations if name != station)
        return Baseline(names, self.longitudes[keep], self.coefficients[keep], self.damping[keep], self.spread[keep])

    def to_json(self) -> dict[str, Any]:
        return {
            "stations": list(self.stations),
            "longitudes": [None if np.isnan(x) else float(x) for x in self.longitudes],
            "coefficients": self.coefficients.tolist(),
            "damping": self.damping.tolist(),
            "spread": self.spread.tolist(),
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> Baseline:
        return Baseline(
            stations=tuple(value["stations"]),
            longitudes=np.array([np.nan if x is None else x for x in value["longitudes"]], dtype=np.float64),
            coefficients=np.array(value["coefficients"], dtype=np.float64),
            damping=np.array(value["damping"], dtype=np.float64),
            spread=np.array(value["spread"], dtype=np.float64),
        )


def harmonics(t_ms: Floats, longitudes: Floats) -> Floats:
    """Products of the year's and the day's harmonics in local solar time. [n], [n] (degrees east, NaN as 0) -> [n, 35].

    The first column is 1, the rest waves, so a row of zeros but the first is a constant.
    """
    day = _waves(2 * np.pi * (t_ms / DAY_MS + np.nan_to_num(longitudes) / 360.0), DAY_HARMONICS)
    year = _waves(2 * np.pi * t_ms / YEAR_MS, YEAR_HARMONICS)
    return (year[:, :, None] * day[:, None, :]).reshape(len(t_ms), -1)


def _waves(phase: Floats, count: int) -> Floats:
    columns = [np.ones_like(phase)]
    for k in range(1, count + 1):
        columns += [np.cos(k * phase), np.sin(k * phase)]
    return np.stack(columns, axis=1)


def fit(
    stations: tuple[str, ...],
    longitudes: Floats,
    series: list[tuple[Floats, Floats]],
    horizons_ms: Sequence[int],
    tolerance_ms: int,
) -> Baseline:
    """Fits climatology and damping of each station from its own rows.

    `series`: for each station the times [n], ascending, and the target values [n, target] with NaN where missing; the
    caller hands in only rows before its cut. Truth of t + h is the nearest row within `tolerance_ms`.
    Edges: a station without a value of a target gets the network's mean; under half a year of data the year's
    harmonics are left out, under a year only the first is kept, because waves that the data has not seen would swing
    freely beyond it.
    """
    # One thread: with more, the order of a sum and with it the last digit depends on the machine's cores, and so would
    # a model's digest; small systems gain nothing from them either.
    with threadpool_limits(limits=1, user_api="blas"):
        return _fit(stations, longitudes, series, horizons_ms, tolerance_ms)


def _fit(
    stations: tuple[str, ...],
    longitudes: Floats,
    series: list[tuple[Floats, Floats]],
    horizons_ms: Sequence[int],
    tolerance_ms: int,
) -> Baseline:
    target_count = series[0][1].shape[1]
    width = (2 * DAY_HARMONICS + 1) * (2 * YEAR_HARMONICS + 1)
    coefficients = np.full((len(stations), target_count, width), np.nan)
    damping = np.full((len(stations), target_count, len(horizons_ms)), np.nan)
    spread = np.full((len(stations), target_count), np.nan)
    for s, (t_ms, values) in enumerate(series):
        t_ms, values = _hourly(t_ms, values)
        if len(t_ms) == 0:
            continue
        waves = harmonics(t_ms, np.full(len(t_ms), longitudes[s]))
        allowed = _allowed_waves((t_ms[-1] - t_ms[0]) / YEAR_MS)
        truths = [nearest(t_ms, t_ms + h, tolerance_ms) for h in horizons_ms]
        for k in range(target_count):
            x = values[:, k]
            solved = _solve(waves, x, allowed)
            if solved is None:
                continue
            coefficients[s, k] = solved
            anomaly = x - waves @ solved
            anomaly[faulty(anomaly)] = np.nan
            spread[s, k] = np.nanstd(anomaly)
            for j, truth in enumerate(truths):
                later = np.where(truth >= 0, anomaly[np.maximum(truth, 0)], np.nan)
                both = ~np.isnan(anomaly) & ~np.isnan(later)
                power = float(np.sum(anomaly[both] ** 2))
                if both.sum() >= 48 and power > 0:
                    damping[s, k, j] = np.clip(np.sum(anomaly[both] * later[both]) / power, 0.0, 1.0)
    return Baseline(stations, longitudes, _fill(coefficients, 0.0), _fill(damping, 1.0), _fill(spread, 1.0))


def nearest(t_ms: Floats, wanted_ms: Floats, tolerance_ms: int) -> NDArray[np.int64]:
    """Index into `t_ms` (ascending) of the row nearest to each wanted time, -1 when none is within the tolerance
    (inclusive).

    A tie takes the earlier row.
    """
    if len(t_ms) == 0:
        return np.full(len(wanted_ms), -1, dtype=np.int64)
    after = np.searchsorted(t_ms, wanted_ms)
    left = np.clip(after - 1, 0, len(t_ms) - 1)
    right = np.clip(after, 0, len(t_ms) - 1)
    best = np.where(np.abs(t_ms[left] - wanted_ms) <= np.abs(t_ms[right] - wanted_ms), left, right)
    return np.where(np.abs(t_ms[best] - wanted_ms) <= tolerance_ms, best, -1).astype(np.int64)


def faulty(residual: Floats) -> NDArray[np.bool_]:
    """True where a residual is further from the median than any weather: beyond 8 robust deviations. NaN is not
    faulty. [n] -> [n].
    """
    middle = np.nanmedian(residual) if np.any(~np.isnan(residual)) else 0.0
    deviation = 1.4826 * np.nanmedian(np.abs(residual - middle)) if np.any(~np.isnan(residual)) else 0.0
    if deviation == 0:
        return np.zeros(len(residual), dtype=bool)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(residual - middle) > FAULT_DEVIATIONS * deviation)


def _hourly(t_ms: Floats, values: Floats) -> tuple[Floats, Floats]:
    """The first row of each hour: a one-minute table must not cost sixty times as much for the same waves."""
    if len(t_ms) == 0:
        return t_ms, values
    hour = t_ms // HOUR_MS
    first = np.concatenate([[True], hour[1:] != hour[:-1]])
    return t_ms[first], values[first]


def _allowed_waves(years: float) -> NDArray[np.bool_]:
    year_waves = 0 if years < 0.5 else 1 if years < 1.0 else YEAR_HARMONICS
    allowed = np.zeros((2 * YEAR_HARMONICS + 1, 2 * DAY_HARMONICS + 1), dtype=bool)
    allowed[: 2 * year_waves + 1] = True
    return allowed.reshape(-1)


def _solve(waves: Floats, x: Floats, allowed: NDArray[np.bool_]) -> Floats | None:
    """Ridge least squares in two passes, the second without the faults the first one shows. None when there is
    nothing to fit.
    """
    use = ~np.isnan(x)
    solved = np.zeros(waves.shape[1])
    for _ in range(2):
        if use.sum() < 2:
            return None
        a, y = waves[np.ix_(use, allowed)], x[use]
        level = float(np.median(y))
        gram = a.T @ a
        penalty = np.full(len(gram), RIDGE_PER_ROW * use.sum())
        penalty[0] = 0.0
        solved = np.zeros(waves.shape[1])
        solved[allowed] = np.linalg.solve(gram + np.diag(penalty), a.T @ (y - level))
        solved[0] += level
        use = ~np.isnan(x) & ~faulty(x - waves @ solved)
    return solved


def _fill(table: Floats, otherwise: float) -> Floats:
    """Stations without a value take the mean of those with one."""
    seen = ~np.isnan(table)
    count = seen.sum(axis=0)
    mean = np.where(count > 0, np.nansum(table, axis=0) / np.maximum(count, 1), otherwise)
    return np.where(seen, table, mean[None])
