"""Reading weather-history back: the state of one partition after a restart, and a read-only view of all partitions.

A restore rebuilds exactly the state that the last committed transaction left, since cells, cursor and group offset
commit together. Both classes take records in offset order and do no input or output; worker.py feeds them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ray_jobs.generated.contract import Contract
from ray_jobs.state import ring
from ray_jobs.state.asof import rule_of
from ray_jobs.state.changelog import kind_of
from ray_jobs.state.ring import CELL, CURSOR, Cell, StationState

OWN_KINDS = frozenset({CELL, CURSOR})


class Records(Protocol):
    """How a stage beside the fold brings back what it remembers of the stations of one partition."""

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of history records that are this stage's."""
        ...

    def take(self, station: str, record: dict[str, Any]) -> None: ...

    def settle(self, state_of: Callable[[str], StationState]) -> None:
        """Puts into the states what the records so far say; `state_of` makes the state of a station that has none."""
        ...


class Restoration:
    """The state of one partition, built from its history records: cells and cursor here, other kinds by the stages
    that wrote them.

    Errors: ValueError when two stages claim one kind.
    """

    def __init__(self, contract: Contract, partition: int, stages: Sequence[Records] = ()) -> None:
        self._contract = contract
        self._stages = stages
        self._owners: dict[str, Records] = {}
        for stage in stages:
            claimed = stage.kinds & self._owners.keys() | stage.kinds & OWN_KINDS
            if claimed:
                raise ValueError(f"two stages restore history records of kind {', '.join(sorted(claimed))}")
            self._owners |= dict.fromkeys(stage.kinds, stage)
        self._states: dict[str, StationState] = {}
        self.partition = partition
        self.cursor: int | None = None
        self.records = 0

    def take(self, record: dict[str, Any]) -> None:
        """Kinds that this version does not know are left for the one that wrote them."""
        self.records += 1
        kind = kind_of(record)
        if kind == CURSOR:
            self.cursor = record["next_offset"]
            return
        station = record[self._contract.key]
        if kind == CELL:
            self._state_of(station).put(ring.from_record(record), self._contract.ring_cells)
        elif kind in self._owners:
            self._owners[kind].take(station, record)

    @property
    def states(self) -> dict[str, StationState]:
        """What the records so far say of each station."""
        for stage in self._stages:
            stage.settle(self._state_of)
        return self._states

    def _state_of(self, station: str) -> StationState:
        state = self._states.get(station)
        if state is None:
            state = self._states[station] = StationState()
        return state

    def complete(self, committed: int | None) -> bool:
        """Whether the records read so far are those of the group's committed offset.

        Edges: without a committed offset the history is complete at its end: it is empty, a seed, or (offsets that the
        broker has forgotten) it has a cursor, which then says where to go on.
        """
        return committed is None or self.cursor == committed

    def start(self, committed: int | None) -> int | None:
        """The feature offset to go on from; None for the beginning."""
        return self.cursor if committed is None else committed


class GlobalTable:
    """The newest cells of every station in every partition, for neighbours, and how far each partition was read.

    Keeps as many cells behind each station's newest as `as_of` reaches back for the longest lag, and an hour or more
    for readers that lag behind the writers.
    """

    def __init__(self, contract: Contract, partitions: int) -> None:
        self._key = contract.key
        self._rule = rule_of(contract)
        back_ms = 2 * self._rule.delay_ms + (max(contract.neighbour_lags, default=0) + 2) * contract.step_ms
        self._kept = back_ms // contract.cell_ms + 2
        self._cells: dict[str, dict[int, Cell]] = {}
        self._offsets = [0] * partitions

    def take(self, partition: int, offset: int, record: dict[str, Any] | None) -> None:
        self._offsets[partition] = offset + 1
        if record is None or kind_of(record) != CELL:
            return
        cell = ring.from_record(record)
        cells = self._cells.setdefault(record[self._key], {})
        slot = cell.cell % self._kept
        held = cells.get(slot)
        if held is None or held.cell <= cell.cell:
            cells[slot] = cell

    @property
    def offsets(self) -> list[int]:
        """By partition: the offset after the last record taken."""
        return list(self._offsets)

    @property
    def stations(self) -> int:
        return len(self._cells)

    def as_of(self, station: str, t_ms: int) -> Cell | None:
        """The station's newest row that can no longer change, by the rule of asof.py; None when there is none."""
        cells = self._cells.get(station)
        if cells is None:
            return None
        first, end = self._rule.span(t_ms)
        for number in range(first, end, -1):
            found = cells.get(number % self._kept)
            if found is not None and found.cell == number:
                return found
        return None
