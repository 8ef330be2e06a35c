"""Running means of a station's own history over the last hours, kept up to date cell by cell instead of summed anew for
each row.

Used by the fold for the inputs `<value>_mean_<n>h`. The sums are a cache of the ring: they are exact integers (values
in steps of 2^-20 of their unit), so it does not matter in which order cells came, and a restored station goes on with
the same numbers bit for bit. Knows nothing of lags, stations or Kafka.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ray_jobs.generated.contract import Contract
from ray_jobs.kit.time import HOUR_MS
from ray_jobs.state.ring import Cell, StationState
from ray_jobs.state.slots import Slot

SPANS_H = (24, 96, 240)
_SCALE = 1 << 20
# Further than this a jump is cheaper summed anew than walked cell by cell.
_WALK_CELLS = 200


class Sums:
    """Sums over the cells before `anchor` (exclusive), by span: `totals` and `counts` by value, `old_rows` over all
    values.
    """

    __slots__ = ("anchor", "counts", "old_rows", "totals")

    def __init__(self, anchor: int, spans: int, values: int) -> None:
        self.anchor = anchor
        self.totals = [[0] * values for _ in range(spans)]
        self.counts = [[0] * values for _ in range(spans)]
        self.old_rows = [0] * spans


SUMS: Slot[Sums] = Slot("sums", of_cells=True)


class Means:
    """The means of one contract: which values, over which spans of cells. Directions have no linear mean and are left
    out.
    """

    def __init__(self, contract: Contract) -> None:
        roles = {f.column: contract.field(f.field).role for f in contract.features}
        self._ring = contract.ring_cells
        self._kept = tuple(i for i, v in enumerate(contract.history_values) if roles[v] != "circular")
        hours = [h for h in SPANS_H if 2 * contract.cell_ms <= h * HOUR_MS <= contract.depth_ms]
        self._spans = tuple(h * HOUR_MS // contract.cell_ms for h in hours)
        self.names = tuple(f"{contract.history_values[i]}_mean_{h}h" for h in hours for i in self._kept)
        self.values = tuple(contract.history_values[i] for _ in hours for i in self._kept)

    def at(self, state: StationState, number: int, own: Sequence[float]) -> list[float]:
        """Means for a row in cell `number` whose history values are `own`; call it before the row's cell is put into
        the ring.

        A mean is over the newest row of each cell in (number - n, number), of n cells that make the span, and the row
        itself; cells that left the ring do not count. NaN when no value is there, or when no row lies in the older half
        of the span: a station that is young says so instead of calling its first hours a mean.
        """
        sums = SUMS.of(state)
        if number < state.newest:
            # A late row looks back from where it stands; the sums stay where the newest row left them.
            sums = self._summed(state, number, state.newest - self._ring)
        elif sums is None or number - sums.anchor > _WALK_CELLS:
            sums = self._summed(state, number, number - self._ring)
            SUMS.put(state, sums)
        elif number > sums.anchor:
            self._advance(sums, state.cells, number)
        out: list[float] = []
        mine = [(own[i], round(own[i] * _SCALE)) if own[i] == own[i] else None for i in self._kept]
        for span in range(len(self._spans)):
            if sums.old_rows[span] == 0:
                out += [math.nan] * len(mine)
                continue
            for total, count, value in zip(sums.totals[span], sums.counts[span], mine, strict=True):
                if value is not None:
                    out.append((total + value[1]) / ((count + 1) * _SCALE))
                else:
                    out.append(total / (count * _SCALE) if count else math.nan)
        return out

    def replaced(self, state: StationState, old: Cell | None, new: Cell) -> None:
        """Tells the sums that a cell before their anchor changed."""
        sums = SUMS.of(state)
        if sums is not None and new.cell < sums.anchor:
            if old is not None:
                self._count(sums, old, -1)
            self._count(sums, new, 1)

    def _summed(self, state: StationState, number: int, floor: int) -> Sums:
        sums = Sums(number, len(self._spans), len(self._kept))
        for cell in state.cells.values():
            if floor < cell.cell < number:
                self._count(sums, cell, 1)
        return sums

    def _count(self, sums: Sums, cell: Cell, sign: int) -> None:
        age = sums.anchor - cell.cell
        for span, cells in enumerate(self._spans):
            if age < cells:
                self._add(sums, span, cell, sign)
                if 2 * age >= cells:
                    sums.old_rows[span] += sign

    def _add(self, sums: Sums, span: int, cell: Cell, sign: int) -> None:
        totals, counts = sums.totals[span], sums.counts[span]
        for k, i in enumerate(self._kept):
            value = cell.values[i]
            if value == value:
                totals[k] += sign * round(value * _SCALE)
                counts[k] += sign

    def _advance(self, sums: Sums, cells: dict[int, Cell], number: int) -> None:
        ring, anchor = self._ring, sums.anchor
        for c in range(anchor, number):
            found = cells.get(c % ring)
            if found is not None and found.cell == c:
                for span, length in enumerate(self._spans):
                    if number - c < length:
                        self._add(sums, span, found, 1)
                        if 2 * (number - c) >= length:
                            sums.old_rows[span] += 1
        for span, length in enumerate(self._spans):
            for c in range(anchor - length + 1, min(number - length + 1, anchor)):
                found = cells.get(c % ring)
                if found is not None and found.cell == c:
                    self._add(sums, span, found, -1)
                    if 2 * (anchor - c) >= length:
                        sums.old_rows[span] -= 1
            # Those that stay and have just become old: their age was below half of the span and no longer is.
            half = -(-length // 2)
            for c in range(max(anchor - half + 1, number - length + 1), min(number - half + 1, anchor)):
                found = cells.get(c % ring)
                if found is not None and found.cell == c:
                    sums.old_rows[span] += 1
        sums.anchor = number
