"""Reading weather-history back: the state of one partition after a restart, and a read-only view of all partitions.

A restore rebuilds exactly the state that the last committed transaction left, since cells, cursor and group offset
commit together. Both classes take records in offset order and do no input or output; worker.py feeds them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from ray_jobs.generated.contract import Contract
from ray_jobs.state import ring
from ray_jobs.state.asof import rule_of
from ray_jobs.state.changelog import kind_of, kind_of_key, read_key
from ray_jobs.state.partition import Partition
from ray_jobs.state.ring import CELL, CLOCK, CURSOR, Cell, StationState
from ray_jobs.state.strays import STRAYS

OWN_KINDS = frozenset({CELL, CURSOR, CLOCK})


class Records(Protocol):
    """How a stage beside the fold brings back what it remembers of the stations of one partition."""

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of history records that are this stage's."""
        ...

    def take(self, station: str, record: dict[str, Any]) -> bytes | None:
        """The key under which this stage writes such a record; None for one that it cannot read."""
        ...

    def forget(self, key: bytes) -> None:
        """What a tombstone under the key of one of its kinds forgets. Errors: ValueError for a key of another form."""
        ...

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
        # Keys that nobody here writes, and whose they are.
        self._strays: dict[bytes, str] = {}
        self.partition = partition
        self.cursor: int | None = None
        self._clock: bytes | None = None
        self.records = 0

    def take(self, record: dict[str, Any], key: bytes | None = None) -> None:
        """Kinds that this version does not know are left for the one that wrote them. `key`: the record's, None for the
        one under which it is written here.
        """
        self.records += 1
        kind = kind_of(record)
        if kind == CURSOR:
            self.cursor = record["next_offset"]
            return
        if kind == CLOCK:
            self._clock = record["payload"]
            return
        station = record[self._contract.entity_key]
        written: bytes | None = None
        if kind == CELL:
            cell = ring.from_record(record)
            self._state_of(station).put(cell, self._contract.ring_cells)
            written = ring.cell_key(station, cell.cell, self._contract.ring_cells)
        elif kind in self._owners:
            written = self._owners[kind].take(station, record)
        self._strays.pop(key or b"", None)
        if key != written:
            self.stray(key, station)

    def stray(self, key: bytes | None, station: str) -> None:
        """Remembers a key that nobody here writes until its station is evicted."""
        if key is not None:
            self._strays[key] = station

    def forget(self, key: bytes) -> None:
        """A tombstone. Stations are evicted as a whole: one whose last cell goes is a stranger from there on."""
        self.records += 1
        self._strays.pop(key, None)
        kind = kind_of_key(key)
        with suppress(ValueError):
            if kind == CELL:
                _, (slot,), name = read_key(key, 1)
                station = name or ""
                state = self._states.get(station)
                if state is not None and state.cells.pop(int(slot), None) is not None and not state.cells:
                    del self._states[station]
            elif kind in self._owners:
                self._owners[kind].forget(key)

    @property
    def states(self) -> Partition:
        """What the records so far say of each station."""
        for stage in self._stages:
            stage.settle(self._state_of)
        known = {name: state for name, state in self._states.items() if state.cells or state.memories}
        for key, station in self._strays.items():
            if station in known:
                STRAYS.put(known[station], (STRAYS.of(known[station]) or set()) | {key})
        partition = Partition(known)
        if self._clock is not None:
            partition.set_clock(self._clock)
        return partition

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
        self._key = contract.entity_key
        self._rule = rule_of(contract)
        back_ms = 2 * self._rule.delay_ms + (max(contract.neighbour_lags, default=0) + 2) * contract.step_ms
        self._kept = back_ms // contract.cell_ms + 2
        self._ring = contract.ring_cells
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

    def forget(self, partition: int, offset: int, key: bytes) -> None:
        """A tombstone: a station of which no cell is left is one never heard of."""
        self._offsets[partition] = offset + 1
        if kind_of_key(key) != CELL:
            return
        with suppress(ValueError):
            _, (slot,), name = read_key(key, 1)
            station = name or ""
            cells = self._cells.get(station, {})
            for place in [p for p, cell in cells.items() if cell.cell % self._ring == int(slot)]:
                del cells[place]
            if not cells:
                self._cells.pop(station, None)

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
