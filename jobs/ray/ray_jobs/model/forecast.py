"""The stage that asks an arm's model for its forecasts of a batch, all rows at once."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
from ray_jobs.kit.io import BadRecord
from ray_jobs.ledger.conformal import Forecast
from ray_jobs.ledger.forecasts import FORECASTS, Forecasts
from ray_jobs.model.champion import Scores
from ray_jobs.state.batch import Applied, Batch, Part
from ray_jobs.state.stage import Stage, States

# By arm: the models that a batch is forecast with.
MODELS: Part[Mapping[str, Scores]] = Part("models")


class ForecastStage(Stage):
    """Of one arm. `rejects`: a row that its model chokes on is a reject; of other arms it merely has no forecast, since
    a row is one reject at most.
    """

    def __init__(self, arm: str, rejects: bool = True) -> None:
        self._arm = arm
        self._rejects = rejects

    def step(self, batch: Batch, states: States) -> None:
        model = (MODELS.of(batch) or {}).get(self._arm)
        if model is None or not batch.applied:
            return
        began = time.perf_counter()
        rows, made = self._scored_rows(batch, model)
        batch.out.predict_ms += (time.perf_counter() - began) * 1000.0
        forecasts = Forecasts(model.version, model.train_from_ms, model.train_to_ms, model.scales, rows, made)
        FORECASTS.put(batch, (FORECASTS.of(batch) or {}) | {self._arm: forecasts})

    def _scored_rows(self, batch: Batch, model: Scores) -> tuple[list[int], Forecast | None]:
        """The rows that the model takes, and its forecasts of them."""
        applied = batch.applied
        try:
            return list(range(len(applied))), _forecast(applied, model)
        except Exception:
            # One row the model chokes on must not stop the others: find it by scoring each alone.
            good: list[int] = []
            for at, one in enumerate(applied):
                try:
                    _forecast([one], model)
                    good.append(at)
                except Exception as error:
                    if self._rejects:
                        batch.reject(one.incoming, BadRecord("unscorable", f"{type(error).__name__}: {error}"))
            return good, _forecast([applied[at] for at in good], model) if good else None


def _forecast(applied: list[Applied], model: Scores) -> Forecast:
    stations = [one.station for one in applied]
    t_ms = np.array([one.row["window_end"] for one in applied], dtype=np.int64)
    inputs = np.array([one.inputs for one in applied], dtype=np.float64)
    return model.forecast(stations, t_ms, inputs)
