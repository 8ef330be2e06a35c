"""A linear forecast of each station from its own and its neighbours' anomalies: one of the columns the heads split on.

Heads serve all stations and learn what holds everywhere; where a front comes from, and how long it takes, is each
station's own and nearly linear. samples.py fits one of these a station, a model's manifest carries the numbers,
design.py evaluates them. Everything is in spreads of its station's anomaly. Pure numpy; knows no names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from ray_jobs.model.baseline import Floats
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

# A residual beyond this many spreads counts in proportion to its size, not to its square: errors are judged by their
# mean, and a sensor's faults must not steer a station's coefficients.
ROBUST_SPREADS = 0.1
PASSES = 2
# No input and no truth counts as further from its climatology than this: faults must not steer a least square.
CLIP_SPREADS = 4.0
# The heads learn on forecasts of blocks of time that the coefficients have not seen, or they would trust them too much.
BLOCKS = 4
# Fewer rows than this for each coefficient, and a station has no linear forecast.
ROWS_PER_COEFFICIENT = 3
DIGITS = 6


@dataclass(frozen=True)
class Linear:
    """`coefficients` [table, target, horizon, input]; NaN where a table has none. A station's table has the number of
    its row in the baseline.
    """

    coefficients: Floats

    def forecast(self, tables: NDArray[np.int64], z: Floats) -> Floats:
        """Anomaly at t + h in spreads. `tables` [n] (-1: none), `z` [n, input] -> [n, target, horizon]."""
        out = np.full((len(z), *self.coefficients.shape[1:3]), np.nan)
        for table in np.unique(tables):
            if 0 <= table < len(self.coefficients):
                rows = tables == table
                # One row at a time and all at once must give the same digits; a matrix product's order of sums depends
                # on its size.
                out[rows] = np.einsum("np,thp->nth", z[rows], self.coefficients[table])
        return out

    def to_json(self) -> dict[str, Any]:
        return {
            "shape": list(self.coefficients.shape),
            "coefficients": [None if np.isnan(x) else float(x) for x in self.coefficients.reshape(-1)],
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> Linear:
        flat = np.array([np.nan if x is None else x for x in value["coefficients"]], dtype=np.float64)
        return Linear(flat.reshape(value["shape"]))


class Fitted(NamedTuple):
    """One station's tables: first one for each block of time, fitted without it, then the one of all rows. `table` [n]
    says which of them a row of the fit may use.
    """

    linear: Linear
    table: NDArray[np.int64]


def fit(z: Floats, y: Floats, penalty: Floats) -> Fitted:
    """Ridge regression of each target and horizon for the least mean error (least squares, reweighted twice).

    `z` [n, input] without NaN, its first column 1; `y` [n, target, horizon] anomalies in spreads, NaN without a truth;
    `penalty` [input], a row, in squared spreads; rows ascend in time. A target uses the rows that have its truth at all
    horizons. What a row weighs follows from its own block alone.
    """
    n, width = z.shape
    targets, horizons = y.shape[1:]
    block = np.minimum(np.arange(n) * BLOCKS // max(n, 1), BLOCKS - 1)
    tables = np.full((BLOCKS + 1, targets, horizons, width), np.nan)
    # Single precision halves the time; the penalty is far above its rounding.
    narrow = z.astype(np.float32)
    clipped = np.clip(y, -CLIP_SPREADS, CLIP_SPREADS).astype(np.float32)
    with threadpool_limits(limits=1, user_api="blas"):
        for k in range(targets):
            there = ~np.isnan(y[:, k]).any(axis=1)
            parts = [(narrow[rows], clipped[rows, k]) for rows in (there & (block == b) for b in range(BLOCKS))]
            counts = np.array([len(rows) for rows, _ in parts])
            if counts.sum() - counts.max() < ROWS_PER_COEFFICIENT * width:
                continue
            plain = [_Normal.of(rows, truth, np.ones(len(rows), dtype=np.float32)) for rows, truth in parts]
            for j in range(horizons):
                found = [part.only(j) for part in plain]
                for _ in range(PASSES):
                    for b, (rows, truth) in enumerate(parts):
                        own = found[b].solve(penalty).astype(np.float32)
                        off = np.abs(rows @ own - truth[:, j]) / np.float32(ROBUST_SPREADS)
                        found[b] = _Normal.of(rows, truth[:, j], 1.0 / np.maximum(off, np.float32(1.0)))
                for left_out in range(BLOCKS + 1):
                    kept = [part for b, part in enumerate(found) if b != left_out]
                    tables[left_out, k, j] = _Normal.sum(kept).solve(penalty)
    return Fitted(Linear(tables.round(DIGITS)), block.astype(np.int64))


class _Normal(NamedTuple):
    """Normal equations of weighted rows: `gram` [input, input], `product` [input] or [input, horizon], `weight`."""

    gram: Floats
    product: Floats
    weight: float

    @staticmethod
    def of(rows: NDArray[np.float32], truth: NDArray[np.float32], weights: NDArray[np.float32]) -> _Normal:
        root = np.sqrt(weights)[:, None] * rows
        gram = (root.T @ root).astype(np.float64)
        shares = weights[:, None] * rows
        return _Normal(gram, (shares.T @ truth).astype(np.float64), float(weights.sum(dtype=np.float64)))

    @staticmethod
    def sum(parts: list[_Normal]) -> _Normal:
        return _Normal(
            np.sum([p.gram for p in parts], axis=0),
            np.sum([p.product for p in parts], axis=0),
            sum(p.weight for p in parts),
        )

    def only(self, horizon: int) -> _Normal:
        return self._replace(product=self.product[:, horizon])

    def solve(self, penalty: Floats) -> Floats:
        return np.asarray(np.linalg.solve(self.gram + np.diag(penalty * self.weight + 1e-9), self.product))
