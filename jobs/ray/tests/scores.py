"""A model for tests: forecasts that say which row they were made from, so a mixed-up batch cannot pass. Test support
only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray_jobs.generated.contract import Contract
from ray_jobs.ledger.conformal import Forecast


class FakeModel:
    """The median of target k at horizon j is the middle of the target's range plus the sum of the known inputs,
    neighbours' too, plus k + j / 10; the outer heads are one unit either way, and so is the widest band; DAP is half a
    unit up.

    It has seen window ends up to `train_to_ms`. A row whose first input is 13 breaks it.
    """

    def __init__(self, contract: Contract, version: str, train_to_ms: int = 0) -> None:
        self._shape = (len(contract.targets), len(contract.horizons_h))
        self.middle = np.array([sum(contract.field(t).range or (0.0, 0.0)) / 2 for t in contract.targets])
        # The widest band is the heads' own.
        self.scales = np.broadcast_to(
            np.array(contract.bands) / contract.bands[-1], (*self._shape, len(contract.bands))
        )
        self.version = version
        self.train_from_ms = 0
        self.train_to_ms = train_to_ms

    def forecast(self, stations: list[str], t_ms: NDArray[np.int64], inputs: NDArray[np.float64]) -> Forecast:
        if np.any(inputs[:, 0] == 13.0):
            raise ValueError("thirteen")
        targets, horizons = self._shape
        offset = np.arange(targets)[:, None] + np.arange(horizons)[None, :] / 10
        known = np.nansum(inputs, axis=1)
        median = known[:, None, None] + self.middle[:, None] + offset
        out = np.stack([median - 1, median, median + 1], axis=3)
        out[[s == "unheard-of" for s in stations]] = np.nan
        return Forecast(out, median + 0.5)

    def spread(self, station: str, target: str) -> float:
        return 2.0


def load(contract: Contract, params: Any, current: str | None) -> FakeModel | None:
    """Stands in for infer.load_champion: the only version there is."""
    return None if current == "1" else FakeModel(contract, "1")
