"""How long an entity is remembered after its last row, in its partition's time (partition.py).

An entity that is silent for longer than the history is deep, and behind that longer than anything looks back (a
neighbour's lag, a promise), is evicted. Nothing of its ring is then within reach of its own next row, nor of a
neighbour's: its inputs are those of a stranger whether it is remembered or not, and only what its bands had learnt is
lost. Event time alone: a replay of the same rows evicts at the same rows.
"""

from __future__ import annotations

from ray_jobs.generated.contract import Contract
from ray_jobs.state.asof import rule_of


def silence_ms(contract: Contract) -> int:
    """History depth, and behind it the longest that anything looks back: a neighbour's longest lag as of a row, or the
    longest horizon and its lateness.
    """
    rule = rule_of(contract)
    neighbours = rule.delay_ms + (max(contract.neighbour_lags, default=0) + 1) * contract.step_ms
    promises = max(contract.horizons_ms, default=0) + contract.lateness_ms
    return contract.depth_ms + max(neighbours, promises)


class Silence:
    """Cells decide: from the newest one of an entity, and rounded up to the end of one."""

    def __init__(self, contract: Contract) -> None:
        self._cell_ms = contract.cell_ms
        self._cells = -(-silence_ms(contract) // contract.cell_ms)

    def until(self, newest: int) -> int:
        """The first time at which an entity with this newest cell is silent for too long."""
        return (newest + self._cells + 1) * self._cell_ms + 1

    def newest(self, time_ms: int) -> int:
        """The other way round: an entity is silent for too long when its newest cell is this one or an earlier one."""
        return (time_ms - 1) // self._cell_ms - self._cells - 1
