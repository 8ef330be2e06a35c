"""What a judged run heard of its neighbours: read from its predictions, checked against the features, given to a fold.

When a station hears of another depends on how the partitions of the feature topic interleave, which Kafka does not
record and a kill may change. Every prediction therefore carries what was heard in its `inputs`. A run without kills
that is to be compared hears the same; all else follows from the order within each partition. Test support only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ray_jobs.fold.fold import Fold, Step
from ray_jobs.fold.neighbours import NOBODY, Near, Neighbours, seats
from ray_jobs.generated.contract import Contract
from ray_jobs.kit.time import HOUR_MS
from ray_jobs.state.asof import rule_of
from ray_jobs.state.ring import StationState

Record = dict[str, Any]


class Heard(Neighbours):
    """The inputs that a committed prediction of the row at `place` (partition, offset) has; NaN for any other row."""

    def __init__(self, contract: Contract, inputs: Mapping[tuple[int, int], list[float]]) -> None:
        super().__init__(contract)
        self._inputs = inputs
        self.place = (-1, -1)

    def at(self, station: str, t_ms: int, near: Near) -> list[float]:
        return self._inputs.get(self.place) or [math.nan] * len(self.names)


class HeardFold(Fold):
    """The fold of a run without kills that hears what the run of these predictions heard."""

    def __init__(self, contract: Contract, predictions: Iterable[Record]) -> None:
        super().__init__(contract)
        self._heard = Heard(contract, {place_of(p): p["inputs"][self.own_inputs :] for p in predictions})
        self.neighbours = self._heard

    def step(self, state: StationState, row: Mapping[str, Any], near: Near = NOBODY) -> Step:
        self._heard.place = (row["feature_partition"], row["feature_offset"])
        return super().step(state, row, near)


def place_of(prediction: Record) -> tuple[int, int]:
    """The feature record that a prediction covers."""
    provenance = prediction["provenance"]
    return provenance["feature_partition"], provenance["feature_offset"]


def rows_of(contract: Contract, features: Iterable[Record]) -> set[tuple[Any, ...]]:
    """What can be heard: (station, window_end, value of each target); every version of a window."""
    targets = [contract.target_column(t) for t in contract.targets]
    return {(f[contract.key], f["window_end"], *(repr(_known(f[c])) for c in targets)) for f in features}


def heard(contract: Contract, fold: Fold, prediction: Record) -> Iterator[tuple[str, int, tuple[Any, ...]]]:
    """What one prediction heard: (name of its age, earliest time asked about, the row as in `rows_of`)."""
    station, t = prediction[contract.key], prediction["timestamp"]
    said = dict(zip(fold.input_names[fold.own_inputs :], prediction["inputs"][fold.own_inputs :], strict=True))
    targets = [contract.target_column(x) for x in contract.targets]
    places = [(s, rank) for s in contract.sectors for rank in range(1, contract.per_sector + 1)]
    for (sector, rank), other in zip(places, seats(contract, station), strict=True):
        for lag in (0, *contract.neighbour_lags):
            name = f"{sector}_{rank}" + (f"_lag_{lag}" if lag else "")
            age_h = said[f"{name}_age_h"]
            values = tuple(said[f"{c}_{name}"] for c in targets)
            if math.isnan(age_h) and all(map(math.isnan, values)):
                continue
            end = -1 if math.isnan(age_h) else t - round(age_h * HOUR_MS)
            yield f"{name}_age_h", t - lag * contract.step_ms, (other, end, *map(repr, values))


def wrong_heard(contract: Contract, predictions: Iterable[Record], rows: set[tuple[Any, ...]]) -> Iterator[str]:
    """Whatever was heard is a row that the neighbour's seat holder had, in a cell the as-of rule allows."""
    fold, rule = Fold(contract), rule_of(contract)
    for prediction in predictions:
        for name, asked_ms, row in heard(contract, fold, prediction):
            first, end = rule.span(asked_ms)
            if row not in rows:
                yield f"prediction {prediction['id']} {name}: nobody said {row}"
            elif not end < (row[1] - 1) // contract.cell_ms <= first:
                yield f"prediction {prediction['id']} {name}: {row} is not as of {asked_ms}"


def _known(value: float | None) -> float:
    return math.nan if value is None else float(value)
