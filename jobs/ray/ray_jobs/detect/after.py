"""Detection after the forecasts have been settled: one verdict a row out of what all detectors found of it."""

from __future__ import annotations

from typing import NamedTuple

from ray_jobs.detect.before import FINDINGS
from ray_jobs.detect.rules import Verdict
from ray_jobs.state.batch import Batch, Part
from ray_jobs.state.stage import Stage, States


class Judgement(NamedTuple):
    """`method` names the detectors that judged, joined by +; `verdicts` has one of each applied row."""

    method: str
    verdicts: list[Verdict]


VERDICTS: Part[Judgement] = Part("verdicts")


class VerdictStage(Stage):
    def step(self, batch: Batch, states: States) -> None:
        findings = FINDINGS.of(batch)
        if findings:
            of_rows = zip(*findings.values(), strict=True)
            VERDICTS.put(batch, Judgement("+".join(findings), [joined(found) for found in of_rows]))


def joined(found: tuple[Verdict, ...]) -> Verdict:
    """What several detectors say of one row: the highest score with its type (the first of equals), an anomaly when one
    of them says so, and all their evidence.
    """
    if len(found) == 1:
        return found[0]
    worst = max(found, key=lambda verdict: (verdict.is_anomaly, verdict.score))
    return worst._replace(evidence=tuple(sentence for verdict in found for sentence in verdict.evidence))
