"""The forecasts a model has to beat, for one station at a time: persistence, the same hour yesterday, harmonic
climatology, damped anomaly persistence (DAP) and a ridge regression.

Used by evaluate.py beside the model, on the same pairs. Everything that is fitted is fitted on rows before `fit_to` and
nothing later. Each always has an answer, so that all are judged on the same pairs: where the value now is missing, the
newest one within a day stands in, else the climatology. Pure numpy; reads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from ray_jobs.kit.time import HOUR_MS
from ray_jobs.model import baseline as base_of
from ray_jobs.model.baseline import Baseline, Floats
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

NAMES = ("persistence", "yesterday", "climatology", "dap", "ridge")
# A value older than this is not the newest any more.
HELD_MS = 24 * HOUR_MS
# DAP holds no value that far from its climatology: the anomaly of a fault decays over days and would make the baseline
# easy to beat. Wider than the model's own limit (sectors.py), and kept when that is changed: a yardstick stays.
CREDIBLE_SPREADS = 6.0
RIDGE_LAGS_H = (0, 1, 2, 3, 6, 12, 24, 48)
RIDGE_TOLERANCE_MS = HOUR_MS // 2
# Of the rows: enough to keep nearly equal lags from swinging against each other.
RIDGE_SHARE = 1e-3


class Series(NamedTuple):
    """One station's rows: `t_ms` [n] ascending, `values` [n, target] with NaN where missing, its number in the
    baseline, degrees east.
    """

    t_ms: Floats
    values: Floats
    number: int
    longitude: float


def reference_forecasts(
    baseline: Baseline,
    series: Series,
    issued: NDArray[np.int64],
    fit_to: int,
    horizons_ms: Sequence[int],
    tolerance_ms: int,
) -> dict[str, Floats]:
    """What each says at the rows `issued` (indices into the series). -> name -> [issued, target, horizon].

    A forecast uses rows up to its own, and what was fitted on rows before `fit_to`.
    """
    anomaly = _anomalies(baseline, series)
    t_ms = series.t_ms[issued]
    later = [_climatology(baseline, series, t_ms + h) for h in horizons_ms]
    climatology = np.stack(later, axis=2)
    newest = _newest_within_a_day(series.t_ms, series.values)[issued]
    now = np.where(np.isnan(newest), _climatology(baseline, series, t_ms), newest)
    persistence = np.repeat(now[:, :, None], len(horizons_ms), axis=2)
    yesterday = persistence.copy()
    for j, horizon in enumerate(horizons_ms):
        then = t_ms + horizon - ((horizon - 1) // (24 * HOUR_MS) + 1) * 24 * HOUR_MS
        at = base_of.nearest(series.t_ms, then, tolerance_ms)
        # A nearest row may be the one after t: then it is not known yet.
        at = np.where(at <= issued, at, -1)
        found = np.where((at >= 0)[:, None], series.values[np.maximum(at, 0)], np.nan)
        yesterday[:, :, j] = np.where(np.isnan(found), yesterday[:, :, j], found)
    spread = baseline.spread_of(np.array([series.number]))[0]
    with np.errstate(invalid="ignore"):
        credible = np.where(np.abs(anomaly) <= CREDIBLE_SPREADS * spread, anomaly, np.nan)
    held = np.nan_to_num(_newest_within_a_day(series.t_ms, credible)[issued])
    dap = climatology + baseline.damping_of(np.array([series.number])) * held[:, :, None]
    ridge = climatology + _ridge(series.t_ms, credible, anomaly, issued, fit_to, horizons_ms, tolerance_ms)
    return dict(zip(NAMES, (persistence, yesterday, climatology, dap, ridge), strict=True))


def _climatology(baseline: Baseline, series: Series, t_ms: Floats) -> Floats:
    rows = np.full(len(t_ms), series.number)
    return baseline.climatology(rows, np.full(len(t_ms), series.longitude), t_ms)


def _anomalies(baseline: Baseline, series: Series) -> Floats:
    return series.values - _climatology(baseline, series, series.t_ms)


def _newest_within_a_day(t_ms: Floats, values: Floats) -> Floats:
    """The newest value up to each row, NaN when it is older than a day. [n], [n, m] -> [n, m]."""
    rows = np.arange(len(t_ms))[:, None]
    last = np.maximum.accumulate(np.where(np.isnan(values), -1, rows), axis=0)
    found = np.take_along_axis(values, np.maximum(last, 0), axis=0)
    age_ms = t_ms[:, None] - t_ms[np.maximum(last, 0)]
    return np.where((last >= 0) & (age_ms <= HELD_MS), found, np.nan)


def _ridge(
    t_ms: Floats,
    credible: Floats,
    anomaly: Floats,
    issued: NDArray[np.int64],
    fit_to: int,
    horizons_ms: Sequence[int],
    tolerance_ms: int,
) -> Floats:
    """The anomaly at t + h as a linear function of all targets' anomalies over the last two days, fitted on one row an
    hour. -> [issued, target, horizon]; zeros without anything to fit.
    """
    hour = t_ms // HOUR_MS
    fit = np.flatnonzero((t_ms < fit_to) & np.concatenate([[True], hour[1:] != hour[:-1]]))
    lagged = [_lagged(t_ms, credible, fit), _lagged(t_ms, credible, issued)]
    out = np.zeros((len(issued), credible.shape[1], len(horizons_ms)))
    faulty = np.stack([base_of.faulty(column) for column in anomaly.T], axis=1)
    clean = np.where(faulty, np.nan, anomaly)
    with threadpool_limits(limits=1, user_api="blas"):
        for j, horizon in enumerate(horizons_ms):
            at = base_of.nearest(t_ms, t_ms[fit] + horizon, tolerance_ms)
            known = (at >= 0) & (t_ms[np.maximum(at, 0)] < fit_to)
            truth = np.where(known[:, None], clean[np.maximum(at, 0)], np.nan)
            for k in range(credible.shape[1]):
                use = ~np.isnan(truth[:, k])
                if use.sum() < 10 * lagged[0].shape[1]:
                    continue
                a, y = lagged[0][use], truth[use, k]
                gram = a.T @ a
                penalty = RIDGE_SHARE * np.diag(gram)
                weights = np.linalg.solve(gram + np.diag(penalty + 1e-9), a.T @ y)
                out[:, k, j] = lagged[1] @ weights
    return out


def _lagged(t_ms: Floats, values: Floats, rows: NDArray[np.int64]) -> Floats:
    """A constant and each value at each lag before the rows; 0, which is the climatology, where there is none."""
    columns = [np.ones((len(rows), 1))]
    for lag in RIDGE_LAGS_H:
        at = base_of.nearest(t_ms, t_ms[rows] - lag * HOUR_MS, RIDGE_TOLERANCE_MS)
        at = np.where(at <= rows, at, -1)
        columns.append(np.where((at >= 0)[:, None], np.nan_to_num(values[np.maximum(at, 0)]), 0.0))
    return np.concatenate(columns, axis=1)
