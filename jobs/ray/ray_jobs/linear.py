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
from ray_jobs.baseline import Floats
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

# Ridge penalty a row, in squared spreads. Between 1e-3 and 3e-3 nothing moved by 0.2 % on 2016.
PENALTY = 3e-3
# No input and no truth counts as further from its climatology than this: faults must not steer a least square.
CLIP_SPREADS = 4.0
# The heads learn on forecasts of blocks of time that the coefficients have not seen, or they would trust them too much.
BLOCKS = 4
# Fewer rows than this for each coefficient, and a station has no linear forecast.
ROWS_PER_COEFFICIENT = 5
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


def fit(z: Floats, y: Floats) -> Fitted:
    """Ridge least squares of each target and horizon.

    `z` [n, input] without NaN, its first column 1; `y` [n, target, horizon] anomalies in spreads, NaN without a truth;
    rows ascend in time. A target uses the rows that have its truth at all horizons.
    """
    n, width = z.shape
    targets, horizons = y.shape[1:]
    block = np.minimum(np.arange(n) * BLOCKS // max(n, 1), BLOCKS - 1)
    tables = np.full((BLOCKS + 1, targets, horizons, width), np.nan)
    clipped = np.clip(y, -CLIP_SPREADS, CLIP_SPREADS)
    penalty = np.full(width, PENALTY)
    penalty[0] = 0.0
    with threadpool_limits(limits=1, user_api="blas"):
        for k in range(targets):
            use = ~np.isnan(y[:, k]).any(axis=1)
            grams = np.zeros((BLOCKS, width, width))
            products = np.zeros((BLOCKS, width, horizons))
            counts = np.zeros(BLOCKS)
            for b in range(BLOCKS):
                rows = use & (block == b)
                counts[b] = rows.sum()
                grams[b] = z[rows].T @ z[rows]
                products[b] = z[rows].T @ clipped[rows, k]
            for left_out in range(BLOCKS + 1):
                kept = np.arange(BLOCKS) != left_out
                count = counts[kept].sum()
                if count < ROWS_PER_COEFFICIENT * width:
                    continue
                gram = grams[kept].sum(axis=0) + np.diag(penalty * count + 1e-9)
                tables[left_out, k] = np.linalg.solve(gram, products[kept].sum(axis=0)).T
    return Fitted(Linear(tables.round(DIGITS)), block.astype(np.int64))
