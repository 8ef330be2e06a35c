"""The range rule and the step rule: the anomaly verdict that explains itself, until learnt detectors join it.

Called for every row that the fold applied (before.py); pure. It sees one window and the newest earlier one, nothing
else.

Score, 0 to 1, is the largest of:
  step   |change of the window mean| / (2 * credible change), at most 1: 0.5 is the largest credible change
  range  1 when a window's extreme lies outside the contract's range;
         0.6 * share of the window's observations without a usable value, of a field that the station reported in the
         earlier row
A verdict is an anomaly above 0.5. Spark has already nulled values outside their range, so a window cannot tell a value
that was refused from one that was never sent: the evidence says both, weather-rejects holds the refused value itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ray_jobs.generated.contract import Contract

METHOD = "rules"
THRESHOLD = 0.5
# All observations without a usable value is an alarm, five in six is the border.
UNUSABLE_SCORE = 0.6


class Verdict(NamedTuple):
    """`score` 0..1; `type` is a symbol of anomaly_type or None; `evidence` one sentence a finding above the
    threshold.
    """

    is_anomaly: bool
    score: float
    type: str | None
    evidence: tuple[str, ...]


CLEAR = Verdict(False, 0.0, None, ())


class Rules:
    """The rules of one contract. `any` says whether it has one."""

    def __init__(self, contract: Contract) -> None:
        # The fold lays a row's own features out first, in contract order.
        positions = {feature.column: i for i, feature in enumerate(contract.features)}
        history = {column: i for i, column in enumerate(contract.history_values)}
        self._steps: list[tuple[str, str, int, int, float, int]] = []
        for step in contract.steps:
            column = f"{step.field}_mean"
            if column not in history or column not in positions:
                raise ValueError(f"step rule of {step.field} needs {column} among the features and the history values")
            unit = contract.field(step.field).unit or ""
            self._steps.append((step.field, unit, positions[column], history[column], step.change, step.within_ms))
        self._counts: list[tuple[str, str, str, int]] = []
        self._extremes: list[tuple[str, str, int, int, float, float]] = []
        for field in contract.measured:
            kinds = {f.kind: f.column for f in contract.features if f.field == field.name}
            if not kinds or field.range is None:
                continue
            low, high = field.range
            words = f"[{low:g}, {high:g}] {field.unit or ''}".rstrip()
            kept = next((c for c in kinds.values() if c in history), None)
            if kept is not None:
                self._counts.append((field.name, f"{field.name}_count", words, history[kept]))
            least, most = kinds.get("min", kinds.get("mean")), kinds.get("max", kinds.get("mean"))
            if least is not None and most is not None:
                self._extremes.append((field.name, words, positions[least], positions[most], low, high))
        self.any = bool(self._steps or self._counts or self._extremes)

    def judge(
        self,
        row: Mapping[str, Any],
        inputs: Sequence[float],
        earlier: Sequence[float] | None,
        earlier_age_ms: int,
    ) -> Verdict:
        """The verdict on one window.

        `inputs` starts with the row's feature columns; `earlier` holds the history values of the newest earlier row
        that a step rule may look at, None when there is none. Edges: a missing value on either side is not judged; a
        row exactly `within_ms` old is.
        """
        score = 0.0
        kind: str | None = None
        evidence: list[str] = []
        for name, words, least, most, low, high in self._extremes:
            if inputs[least] < low or inputs[most] > high:
                score, kind = 1.0, "range"
                evidence.append(f"{name} from {inputs[least]:g} to {inputs[most]:g} leaves {words}")
        if earlier is not None:
            for name, unit, position, held, change, within_ms in self._steps:
                ratio = abs(inputs[position] - earlier[held]) / change
                if ratio == ratio and earlier_age_ms <= within_ms:
                    if ratio > 1.0:
                        moved = inputs[position] - earlier[held]
                        minutes = earlier_age_ms / 60_000
                        evidence.append(
                            f"{name} changed by {moved:+.4g} {unit} in {minutes:g} min, credible is {change:g} {unit}"
                        )
                    if ratio > 2.0 * score:
                        score = min(1.0, ratio / 2.0)
                        kind = "step" if ratio > 1.0 else kind
            observations = row["measurement_count"]
            for name, column, words, held in self._counts:
                usable = row[column]
                if usable < observations and earlier[held] == earlier[held]:
                    share = UNUSABLE_SCORE * (observations - usable) / observations
                    if share > THRESHOLD:
                        evidence.append(
                            f"{name}: {observations - usable} of {observations} values missing or outside {words}"
                        )
                    if share > score:
                        score, kind = share, ("range" if share > THRESHOLD else kind)
        if score == 0.0:
            return CLEAR
        return Verdict(score > THRESHOLD, score, kind if score > THRESHOLD else None, tuple(evidence))
