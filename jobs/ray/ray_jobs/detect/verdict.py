"""What a detector says of a window: the verdict, and the findings it rests on. Data and its grades only."""

from __future__ import annotations

from typing import Any, NamedTuple

# Bands of the score where rules alone judged, and of the surprise where something learnt did: lower ends, inclusive.
WARNING_SCORE, CRITICAL_SCORE = 0.75, 1.0
WARNING_SURPRISE, CRITICAL_SURPRISE = 5.0, 8.0


class Finding(NamedTuple):
    """One check that fired. `check` is a symbol of anomaly_check, `field` what it looked at, empty for all of them.

    `value`, `expected`, `lower` and `upper` (inclusive, None where open) are in `unit`; `surprise` is -log10 of the
    probability of the like, None from a rule. `agreed` and `disagreed` name neighbours that moved likewise or did not.
    """

    check: str
    field: str
    unit: str | None = None
    value: float | None = None
    expected: float | None = None
    lower: float | None = None
    upper: float | None = None
    surprise: float | None = None
    agreed: tuple[str, ...] = ()
    disagreed: tuple[str, ...] = ()


class Verdict(NamedTuple):
    """`score` 0..1; `type` is a symbol of anomaly_type or None; `evidence` one sentence a finding, `findings` what each
    is made of. `surprise`: -log10 p of the window, None where rules alone judged.
    """

    is_anomaly: bool
    score: float
    type: str | None
    evidence: tuple[str, ...]
    surprise: float | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def level(self) -> str | None:
        """A symbol of severity_level; None when usual."""
        if not self.is_anomaly:
            return None
        return level_of(self.score, self.surprise)


CLEAR = Verdict(False, 0.0, None, ())


def level_of(score: float, surprise: float | None) -> str:
    value = score if surprise is None else surprise
    warning, critical = (WARNING_SCORE, CRITICAL_SCORE) if surprise is None else (WARNING_SURPRISE, CRITICAL_SURPRISE)
    return "critical" if value >= critical else "warning" if value >= warning else "info"


def findings_record(findings: tuple[Finding, ...]) -> list[dict[str, Any]]:
    """As the records of predictions and anomalies have them."""
    return [f._asdict() | {"agreed": list(f.agreed), "disagreed": list(f.disagreed)} for f in findings]
