"""The first stage: decodes each row, refuses what cannot be true, folds the rest into its station's ring, and leaves
the cells that changed for the history.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ray_jobs.fold import fold
from ray_jobs.fold.fold import Fold, Step
from ray_jobs.fold.neighbours import NOBODY, Near, Rings
from ray_jobs.generated.contract import Contract
from ray_jobs.kit.io import BadRecord, Decoder
from ray_jobs.state import ring
from ray_jobs.state.batch import Applied, Batch, Change, Incoming
from ray_jobs.state.ring import Cell
from ray_jobs.state.stage import States, Witness

LATEST = "the last one that a record of its append time can speak of"


class FoldStage:
    """`fold` and `others` may be replaced between batches; `others` knows the stations of the partitions that are not
    held here.
    """

    def __init__(
        self, contract: Contract, decode: Decoder, witnesses: Sequence[Witness] = (), others: Near = NOBODY
    ) -> None:
        self.fold = Fold(contract)
        self.others = others
        self._contract = contract
        self._decode = decode
        self._witnesses = witnesses

    def step(self, batch: Batch, states: States) -> None:
        out, contract = batch.out, self._contract
        near = Rings(contract, states, self.others)
        # By partition, station and slot of the ring: the last cell of each key counts.
        cells: dict[tuple[int, str, int], Cell] = {}
        for incoming in batch.incoming:
            out.rows += 1
            out.next_offsets[incoming.partition] = incoming.offset + 1
            try:
                row = self._decode(incoming.value)
                step = self._fold(incoming, row, states, near)
            except BadRecord as bad:
                batch.reject(incoming, bad)
                continue
            if step.status == fold.SKIPPED:
                out.skipped += 1
            elif step.status == fold.EXPIRED:
                out.expired += 1
            elif step.cell is not None:
                station, cell = row[contract.key], step.cell
                cells[incoming.partition, station, cell.cell % contract.ring_cells] = cell
                one = Applied(incoming, row, station, step.state, step.inputs, step.completeness, cell, step.earlier)
                batch.applied.append(one)
                for witness in self._witnesses:
                    witness.note(batch, one)
        for (partition, station, _), cell in cells.items():
            name = ring.key_of(station, cell.cell, contract.ring_cells)
            batch.changes.append(Change(partition, name, ring.to_record(contract.key, station, cell)))

    def _fold(self, incoming: Incoming, row: dict[str, Any], states: States, near: Near) -> Step:
        contract = self._contract
        station = row[contract.key]
        if not station:
            raise BadRecord("missing_key", f"{contract.key} is empty")
        latest = ring.latest_end(contract, incoming.append_time)
        if row["window_end"] > latest:
            raise BadRecord("time_jump", f"window_end {row['window_end']} is after {latest}, {LATEST}")
        row["feature_partition"] = incoming.partition
        row["feature_offset"] = incoming.offset
        stations = states.setdefault(incoming.partition, {})
        state = stations.get(station) or self.fold.new_state()
        try:
            step = self.fold.step(state, row, near)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BadRecord("unscorable", f"{type(error).__name__}: {error}") from error
        stations[station] = state
        return step
