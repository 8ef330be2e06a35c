"""Bands that hold what they say: from a model's quantile heads to central intervals, and their adaptation to each
station.

train.py fits a Calibration on rows no head has learnt from, heads.py carries it in the manifest, the actor scales every
station's bands by how often its own truths fell outside (verify.py keeps that state). Pure: numpy and plain floats, no
clock, no input or output.

With the heads l < m < u of one forecast, the score of a truth y is how many half-widths it lies from the median:
  r = (m - y) / (m - l) below the median, (y - m) / (u - m) above it.
A band with scale s is [m - s (m - l), m + s (u - m)]: it holds y exactly when r <= s. So one number makes a band, bands
with rising scales nest, and no quantile can cross another. s = 1 is the heads' own outer band.

What the quantity cannot be is cut off where levels leave this module and nowhere before: quantiles commute with a
clamp, so the heads may learn from what sensors said and their levels are still those of the clamped truth. A truth is
judged at the edge too, and there a band holds it as soon as it reaches the edge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from ray_jobs.generated.contract import Contract

Floats = NDArray[np.float64]

# Shares at which the quantiles of the scores are kept: every band that a pipeline may ask for lies on one of them.
GRID = np.linspace(0.0, 1.0, 201)
# A half-width is at least this share of the station's spread: two heads that meet would make every miss infinite.
FLOOR_SHARE = 0.02
# How far the truths of one row move the logarithm of a band's scale: each band by its own hit or miss, and all of the
# station by the mean over what the row judged. Chosen on the calibration split: docs/intervals.md.
OWN_RATE = 0.006
SHARED_RATE = 0.0375
# A station's scale stays within this factor of the model's: what lies beyond is a fault, not a calibration.
RATIO_MAX = 8.0


class Forecast(NamedTuple):
    """What a model says of a batch before bands are made of it, in each target's unit.

    `heads` [n, target, horizon, 3] (lowest head, median, highest; conformal.ordered) and `dap` [n, target, horizon],
    the damped anomaly persistence it starts from and has to beat. `usual` [n, target, horizon] is the climatology at
    the valid time, NaN for a station that the model was not trained on; None of a model that knows none.
    """

    heads: Floats
    dap: Floats
    usual: Floats | None = None


class Bounds(NamedTuple):
    """Lowest and highest value that each target can have, inclusive; infinite where nothing bounds it. Shape [target]
    each.
    """

    low: Floats
    high: Floats

    def clamp(self, values: Floats) -> Floats:
        """Values beyond an edge at that edge. Shape [n, target, ...] kept; NaN stays NaN."""
        low, high = self._beside(values)
        return np.asarray(np.clip(values, low, high))

    def beyond(self, values: Floats) -> NDArray[np.bool_]:
        """Which values `clamp` moves. Shape [n, target, ...] kept; NaN is none."""
        low, high = self._beside(values)
        return np.asarray((values < low) | (values > high))

    def _beside(self, values: Floats) -> tuple[Floats, Floats]:
        shape = (-1,) + (1,) * (values.ndim - 2)
        return self.low.reshape(shape), self.high.reshape(shape)


@dataclass(frozen=True)
class Calibration:
    """Quantiles of the scores on the calibration split, at each share of GRID. Shape [target, horizon, share]."""

    scores: Floats

    def scales(self, bands: tuple[float, ...]) -> Floats:
        """Scale of each band that held its share there. -> [target, horizon, band], rising with the band."""
        at = [int(np.argmin(np.abs(GRID - band))) for band in bands]
        return np.asarray(self.scores[..., at])

    def to_json(self) -> dict[str, Any]:
        return {"shares": GRID.round(3).tolist(), "scores": self.scores.tolist()}

    @staticmethod
    def from_json(value: dict[str, Any]) -> Calibration:
        """Errors: ValueError for quantiles at other shares."""
        if value["shares"] != GRID.round(3).tolist():
            raise ValueError("the calibration has other shares than this code")
        return Calibration(np.array(value["scores"], dtype=np.float64))


def fit(heads: Floats, truth: Floats, spread: Floats, bounds: Bounds) -> Calibration:
    """The quantiles of the scores, with the finite-sample correction (n + 1) / n of conformal prediction.

    Split conformalised quantile regression (Romano, Patterson, Candes 2019) with a relative score: the band of an
    uncertain forecast grows by more than that of a sure one.
    Shapes: `heads` [n, target, horizon, head], `truth` [n, target, horizon] (NaN where none), `spread` [n, target].
    Edges: a target and horizon without any truth keeps the heads' own band at every share.
    """
    scores = score(ordered(heads, spread), truth, bounds)
    out = np.ones((*truth.shape[1:], len(GRID)))
    for k in range(out.shape[0]):
        for j in range(out.shape[1]):
            seen = scores[:, k, j]
            seen = seen[~np.isnan(seen)]
            if len(seen):
                out[k, j] = np.quantile(seen, np.minimum(1.0, GRID * (1.0 + 1.0 / len(seen))))
    return Calibration(out)


def bounds_of(contract: Contract) -> Bounds:
    """What each target can be by the contract."""
    low, high = np.array([contract.field(t).bounds for t in contract.targets], dtype=np.float64).T
    return Bounds(low, high)


def taught(contract: Contract, heads: Floats, truth: Floats) -> Floats:
    """The truths that bands learn from, [n, target, horizon], NaN elsewhere: from one that stands where the target
    cannot come to stand, while its forecast stands where it can (pressure 180 hPa above it), they would learn how long
    faults last.
    """
    low, high = (end[:, None] for end in np.array([contract.datums_of(t) for t in contract.targets]).T)
    bounds = bounds_of(contract)
    with np.errstate(invalid="ignore"):
        inside = [(low <= x) & (x <= high) for x in map(bounds.clamp, (truth, heads[..., 1]))]
    return np.where(inside[1] & ~inside[0], np.nan, truth)


def ordered(heads: Floats, spread: Floats) -> Floats:
    """The lowest head, the median and the highest one, in order and with a floor under the half-widths.

    Shapes: [n, target, horizon, head], [n, target] -> [n, target, horizon, 3].
    """
    rising = np.sort(heads, axis=-1)
    middle = rising[..., rising.shape[-1] // 2]
    floor = FLOOR_SHARE * np.nan_to_num(spread)[:, :, None]
    low = np.minimum(rising[..., 0], middle - floor)
    high = np.maximum(rising[..., -1], middle + floor)
    return np.stack([low, middle, high], axis=-1)


def score(heads: Floats, truth: Floats, bounds: Bounds) -> Floats:
    """Distance of the truth from the median in half-widths, at least 0; NaN without a truth or a forecast. Shapes as
    `ordered`'s result and [n, target, horizon].

    Edges: a truth beyond the bounds is judged at its edge. There, it is no distance away from a median beyond the edge,
    since both are served as the edge.
    """
    truth = bounds.clamp(truth)
    low, middle, high = heads[..., 0], heads[..., 1], heads[..., 2]
    below = truth < middle
    width = np.where(below, middle - low, high - middle)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(bounds.clamp(middle) == truth, 0.0, np.abs(truth - middle) / width)


def levels(heads: Floats, scales: Floats, bounds: Bounds) -> Floats:
    """The ends of all bands and the median between them, ascending, within the bounds: a band that lies beyond an edge
    is the edge alone, and holds a truth there.

    Shapes: `heads` [n, target, horizon, 3], `scales` [n or 1, target, horizon, band] rising
    -> [n, target, horizon, 2 * band + 1]. NaN where there is no forecast.
    """
    middle = heads[..., 1:2]
    below = middle - scales[..., ::-1] * (middle - heads[..., 0:1])
    above = middle + scales * (heads[..., 2:3] - middle)
    return bounds.clamp(np.concatenate([below, middle, above], axis=-1))


def rising(scales: Floats) -> Floats:
    """Scales under which bands nest: a band is never narrower than one that promises less. Shape kept."""
    return np.maximum.accumulate(scales, axis=-1)


class Adaptation:
    """Adaptive conformal inference on the logarithm of a station's scales, for one contract's bands.

    A band that missed grows, one that held shrinks, so that over time each misses its own share and no more (Gibbs and
    Candes 2021; on the scale instead of the level, as the quantile tracking of Angelopoulos, Candes and Tibshirani
    2023, so that one step means the same everywhere). Half of what a station's forecasts tell of its errors is common
    to its targets and horizons; the shared step uses that, and lets the own one be slow.
    """

    def __init__(self, bands: tuple[float, ...]) -> None:
        self._bands = bands
        self._held = tuple(math.exp(-OWN_RATE * (1.0 - band)) for band in bands)
        self._missed = tuple(math.exp(OWN_RATE * band) for band in bands)
        self._expected = sum(1.0 - band for band in bands) / len(bands)

    def step(self, ratios: tuple[float, ...], judged: Sequence[tuple[int, tuple[bool, ...]]]) -> tuple[float, ...]:
        """The station's ratios after one row brought truths.

        `ratios` is flat [target, horizon, band]; `judged` holds the flat index of each target and horizon that got its
        truth and which bands held it.
        """
        if not judged:
            return ratios
        count = len(self._bands)
        misses = sum(count - sum(held) for _, held in judged) / (count * len(judged))
        shared = math.exp(SHARED_RATE * (misses - self._expected))
        out = [ratio * shared for ratio in ratios]
        for cell, held in judged:
            for b, inside in enumerate(held, cell * count):
                out[b] *= self._held[b - cell * count] if inside else self._missed[b - cell * count]
        return tuple([min(max(ratio, 1.0 / RATIO_MAX), RATIO_MAX) for ratio in out])
