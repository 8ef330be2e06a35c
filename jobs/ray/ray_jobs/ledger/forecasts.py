"""What the models of a batch said of its rows, arm by arm: made where a model is known (model/forecast.py), settled and
encoded where none is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from ray_jobs.ledger.conformal import Forecast
from ray_jobs.state.batch import Part


class Forecasts(NamedTuple):
    """Of one arm's model. `rows`: those of the batch's applied rows that the model took, ascending; `made` has a row
    for each, None when there are none. `scales` of its bands before any station adapts its own, [target, horizon,
    band]. The model has learnt from window ends in [train_from_ms, train_to_ms).
    """

    version: str
    train_from_ms: int
    train_to_ms: int
    scales: NDArray[np.float64]
    rows: list[int]
    made: Forecast | None

    def in_sample(self, window_end: int) -> bool:
        return self.train_from_ms <= window_end < self.train_to_ms


# By arm.
FORECASTS: Part[dict[str, Forecasts]] = Part("forecasts")
