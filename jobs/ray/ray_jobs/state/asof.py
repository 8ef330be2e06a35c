"""Which cells may say what another station measured by a time: the rule of `as_of`, see fold/neighbours.py."""

from __future__ import annotations

from typing import NamedTuple

from ray_jobs.generated.contract import Contract


class Rule(NamedTuple):
    """The rule of `as_of` as cell numbers: of cells `span(t)`, newest first."""

    cell_ms: int
    delay_ms: int
    step_ms: int

    def span(self, t_ms: int) -> tuple[int, int]:
        """First cell (inclusive) and the one after the last, counting down."""
        limit = t_ms - self.delay_ms
        return limit // self.cell_ms - 1, (limit - self.step_ms) // self.cell_ms - 1


def rule_of(contract: Contract) -> Rule:
    return Rule(contract.cell_ms, contract.window_ms + contract.lateness_ms, contract.step_ms)
