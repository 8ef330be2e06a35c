"""Detection before the forecast: what needs no model. Today the range rule and the step rule (rules.py)."""

from __future__ import annotations

from ray_jobs.detect.rules import METHOD, Rules, Verdict
from ray_jobs.generated.contract import Contract
from ray_jobs.state.batch import Batch, Part
from ray_jobs.state.stage import Stage, States

# By detector, in the order in which they judged: a verdict for each applied row.
FINDINGS: Part[dict[str, list[Verdict]]] = Part("findings")


class RulesStage(Stage):
    def __init__(self, contract: Contract) -> None:
        self._rules = Rules(contract)

    def step(self, batch: Batch, states: States) -> None:
        judge = self._rules.judge
        verdicts = [
            judge(one.row, one.inputs, None, 0)
            if one.earlier is None
            else judge(one.row, one.inputs, one.earlier.values, one.row["window_end"] - one.earlier.window_end)
            for one in batch.applied
        ]
        FINDINGS.put(batch, (FINDINGS.of(batch) or {}) | {METHOD: verdicts})
