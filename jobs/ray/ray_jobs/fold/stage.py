"""The first stage: decodes each row, refuses what cannot be true, folds the rest into its station's ring, and leaves
the cells that changed for the history. It makes the states, and drops those of stations that have fallen silent
(state/silence.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from ray_jobs.fold import fold
from ray_jobs.fold.fold import Fold, Step
from ray_jobs.fold.neighbours import NOBODY, Near, Rings
from ray_jobs.generated.contract import Contract
from ray_jobs.kit.io import BadRecord
from ray_jobs.state import ring
from ray_jobs.state.batch import Applied, Batch, HistoryChange, Incoming
from ray_jobs.state.partition import NEVER, Partition
from ray_jobs.state.ring import Cell
from ray_jobs.state.silence import Silence
from ray_jobs.state.stage import Alarm, Stage, States, Tick, Witness
from ray_jobs.state.strays import STRAYS

LATEST = "the last one that a record of its append time can speak of"
# Cells that a tick forgets, those of the longest silent first; the others follow with the next micro-batch. Counted by
# the tick and not by the transaction, which would depend on where batches are cut.
CELLS_PER_TICK = 40_000


class FoldStage(Stage):
    """`fold` and `others` may be replaced between batches; `others` knows the stations of the partitions that are not
    held here. `alarms` are other stages' wishes to be ticked.
    """

    def __init__(
        self,
        contract: Contract,
        decode: Callable[[bytes | None], dict[str, Any]],
        witnesses: Sequence[Witness] = (),
        alarms: Sequence[Alarm] = (),
    ) -> None:
        self.fold = Fold(contract)
        self.others: Near = NOBODY
        self._contract = contract
        self._decode = decode
        self._witnesses = witnesses
        self._silence = Silence(contract)
        self._alarms = tuple(alarms)

    def step(self, batch: Batch, states: States) -> None:
        out, contract = batch.out, self._contract
        near = Rings(contract, states, self.others)
        # By partition, station and slot of the ring: the last cell of each key counts.
        cells: dict[tuple[int, str, int], Cell] = {}
        for incoming in islice(batch.incoming, batch.covered, None):
            try:
                row = self._decode(incoming.value)
                stations = states.get(incoming.partition)
                if stations is None:
                    stations = states[incoming.partition] = Partition()
                if row["processing_time"] != stations.micro_batch and self._rings(batch, incoming, row, stations):
                    break
                step = self._fold(incoming, row, stations, near)
            except BadRecord as bad:
                self._cover(batch, incoming)
                batch.reject(incoming, bad)
                continue
            self._cover(batch, incoming)
            if step.status == fold.SKIPPED:
                out.skipped += 1
            elif step.status == fold.EXPIRED:
                out.expired += 1
            elif step.cell is not None:
                station, cell = row[contract.entity_key], step.cell
                cells[incoming.partition, station, cell.cell % contract.ring_cells] = cell
                one = Applied(incoming, row, station, step.state, step.inputs, step.completeness, cell, step.earlier)
                batch.applied.append(one)
                for witness in self._witnesses:
                    witness.note(batch, one)
        for (partition, station, _), cell in cells.items():
            name = ring.cell_key(station, cell.cell, contract.ring_cells)
            batch.changes.append(HistoryChange(partition, name, ring.to_record(contract.entity_key, station, cell)))

    def tick(self, batch: Batch, tick: Tick) -> None:
        """Drops the stations that are silent for too long, the longest silent first."""
        batch.ticked.add(tick.partition)
        stations, newest = tick.stations, self._silence.newest(tick.time_ms)
        silent = sorted((state.newest, name) for name, state in stations.items() if state.newest <= newest)
        cells = 0
        for _, station in silent:
            if cells >= CELLS_PER_TICK:
                break
            state = tick.evicted[station] = stations.pop(station)
            cells += len(state.cells)
            keys = [ring.cell_key(station, slot, self._contract.ring_cells) for slot in state.cells]
            keys += sorted(STRAYS.of(state) or ())
            batch.changes += [HistoryChange(tick.partition, key, None) for key in keys]
            batch.out.evicted += 1
        stations.alarm_ms = self._alarm(stations)

    def end(self, batch: Batch, states: States) -> None:
        """Behind the last row of a transaction: writes down the clock of a partition in which a restore could not tell
        it from the states, since somebody may be silent or the micro-batch at hand reaches far.
        """
        for partition in sorted(batch.ticked | batch.out.next_offsets.keys()):
            stations = states.get(partition)
            if stations is None:
                continue
            if stations.time_ms >= stations.alarm_ms:
                stations.alarm_ms = self._alarm(stations)
            reached = stations.time_ms - stations.settled_ms
            if stations.time_ms >= stations.alarm_ms or reached > self._contract.depth_ms:
                record = ring.clock_record(self._contract.entity_key, partition, stations.clock)
                batch.changes.append(HistoryChange(partition, ring.clock_key(partition), record))

    def _cover(self, batch: Batch, incoming: Incoming) -> None:
        batch.covered += 1
        batch.out.rows += 1
        batch.out.next_offsets[incoming.partition] = incoming.offset + 1

    def _rings(self, batch: Batch, incoming: Incoming, row: dict[str, Any], stations: Partition) -> bool:
        """At the first row of a micro-batch: whether a stage wants a tick before it."""
        settled = stations.settled_ms
        stations.turn(row["processing_time"])
        if settled < stations.alarm_ms:
            return False
        # Rows that came since it was set may have put it off.
        stations.alarm_ms = self._alarm(stations)
        if settled < stations.alarm_ms:
            return False
        batch.rang = incoming.partition, settled
        return True

    def _alarm(self, stations: Partition) -> int:
        """When a stage wants a tick, when nothing more comes of anybody."""
        if not stations:
            return NEVER
        silent = self._silence.until(min([state.newest for state in stations.values()]))
        return min([silent, *(alarm(state) for alarm in self._alarms for state in stations.values())])

    def _fold(self, incoming: Incoming, row: dict[str, Any], stations: Partition, near: Near) -> Step:
        contract = self._contract
        station = row[contract.entity_key]
        if not station:
            raise BadRecord("missing_key", f"{contract.entity_key} is empty")
        latest = ring.latest_end(contract, incoming.append_time)
        if row["window_end"] > latest:
            raise BadRecord("time_jump", f"window_end {row['window_end']} is after {latest}, {LATEST}")
        row["feature_partition"] = incoming.partition
        row["feature_offset"] = incoming.offset
        known = stations.get(station)
        state = known or self.fold.new_state()
        try:
            step = self.fold.step(state, row, near)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BadRecord("unscorable", f"{type(error).__name__}: {error}") from error
        if known is None:
            stations[station] = state
            alarms = (alarm(state) for alarm in self._alarms)
            stations.alarm_ms = min(stations.alarm_ms, self._silence.until(state.newest), *alarms)
        if step.cell is not None:
            stations.applied(row["window_end"])
        return step
