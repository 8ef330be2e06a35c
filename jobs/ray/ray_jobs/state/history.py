"""Reading weather-history back: the state of one partition after a restart, and a read-only view of all partitions.

A restore rebuilds exactly the state that the last committed transaction left, since cells, cursor and group offset
commit together. Both classes take records in offset order and do no input or output; worker.py feeds them.
"""

from __future__ import annotations

from typing import Any

from ray_jobs.fold.neighbours import rule_of
from ray_jobs.generated.contract import Contract
from ray_jobs.ledger.verify import Book, Pending
from ray_jobs.state import ring
from ray_jobs.state.ring import Cell, StationState


class Restoration:
    """The state of one partition, built from its history records."""

    def __init__(self, contract: Contract, partition: int) -> None:
        self._contract = contract
        self._book = Book(contract)
        self._states: dict[str, StationState] = {}
        self._pendings: dict[str, dict[int, Pending]] = {}
        self._calibrations: dict[str, bytes] = {}
        self._changed: set[str] = set()
        self.partition = partition
        self.cursor: int | None = None
        self.records = 0

    def take(self, record: dict[str, Any]) -> None:
        """Kinds that this version does not know are left for the one that wrote them."""
        self.records += 1
        if record["kind"] == "cursor":
            self.cursor = record["next_offset"]
            return
        station = record[self._contract.key]
        if record["kind"] == "cell":
            state = self._states.get(station)
            if state is None:
                state = self._states[station] = StationState()
            state.put(ring.from_record(record), self._contract.ring_cells)
        elif record["kind"] == "pending":
            pending = self._book.read_pending(record)
            if pending is not None:
                self._pendings.setdefault(station, {})[self._book.slot(pending.issued)] = pending
                self._changed.add(station)
        elif record["kind"] == "calibration":
            self._calibrations[station] = record["payload"]
            self._changed.add(station)

    @property
    def states(self) -> dict[str, StationState]:
        """What the records so far say of each station."""
        for station in self._changed:
            state = self._states.setdefault(station, StationState())
            state.ledger = self._book.restore(self._pendings.get(station, {}).values(), self._calibrations.get(station))
        self._changed.clear()
        return self._states

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
        if record is None or record["kind"] != "cell":
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
        """The station's newest row that can no longer change, by the rule of neighbours.py; None when there is none."""
        cells = self._cells.get(station)
        if cells is None:
            return None
        first, end = self._rule.span(t_ms)
        for number in range(first, end, -1):
            found = cells.get(number % self._kept)
            if found is not None and found.cell == number:
                return found
        return None
