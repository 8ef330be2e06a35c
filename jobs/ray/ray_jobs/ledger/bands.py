"""The bands of a batch's rows as each station wears them at its row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray_jobs.ledger import conformal
from ray_jobs.ledger.conformal import Bounds
from ray_jobs.state.batch import Part

Floats = NDArray[np.float64]


class Bands:
    """Levels of the rows that one arm's model took, made as late as possible and many at once: the bands of a row
    depend on truths that rows before it brought, and those on what still earlier rows had said.
    """

    def __init__(self, heads: Floats, scales: Floats, bounds: Bounds) -> None:
        self._heads, self._scales, self._bounds = heads, scales, bounds
        self._ratios: list[tuple[float, ...]] = []
        self._made: list[Any] = []
        self._arrays: list[Floats] = []

    def add(self, ratios: tuple[float, ...]) -> None:
        """The station's ratios at the next row."""
        self._ratios.append(ratios)

    def at(self, row: int) -> Any:
        """Levels of a row that was added, [target][horizon][level]."""
        if row >= len(self._made):
            rows = slice(len(self._made), len(self._ratios))
            ratios = np.array(self._ratios[rows]).reshape(-1, *self._scales.shape)
            scales = conformal.rising(self._scales * ratios)
            made = conformal.levels(self._heads[rows], scales, self._bounds)
            self._arrays.append(made)
            self._made += made.tolist()
        return self._made[row]

    def all(self) -> tuple[Floats, list[Any]]:
        """Levels of all rows that were added, as an array and as lists."""
        self.at(len(self._ratios) - 1)
        return np.concatenate(self._arrays), self._made


# By arm; of arms whose model took a row.
BANDS: Part[dict[str, Bands]] = Part("bands")
