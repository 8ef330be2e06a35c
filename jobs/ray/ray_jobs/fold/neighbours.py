"""What the fold reads of the stations around one: their targets as-of t - D, by sector and rank, in the actor and in
training alike.

The contract says who stands around whom; this module turns a time into inputs, and knows three places to look: the
rings of the actor's own partitions, the global table of the others (history.py), and the rows of a feature table. All
three answer `as_of` by the same rule, over whole cells:

  as_of(station, t)   the newest row of the newest cell that has a row and whose end e satisfies
                      t - D - step < e <= t - D,   D = window + lateness

A cell that ended D ago can no longer change within the lateness, so the answer does not depend on which of two
stations' rows came first. Times are UTC epoch ms. Knows no model, and no climatology: levels stay levels here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

from ray_jobs.generated.contract import Contract
from ray_jobs.kit.time import HOUR_MS
from ray_jobs.state.asof import rule_of
from ray_jobs.state.ring import Cell, StationState


class Near(Protocol):
    """Where to look up other stations."""

    def as_of(self, station: str, t_ms: int) -> Cell | None: ...


class Nobody:
    """No other station is known: a seed, or rows whose inputs nobody wants."""

    def as_of(self, station: str, t_ms: int) -> Cell | None:
        return None


NOBODY = Nobody()


class Neighbours:
    """The inputs of one contract, in this order: sector, rank, lag (0 and the contract's `neighbour_lags`), and of each
    the targets' values and their age.

    `<target column>_<sector>_<rank>` and, k steps earlier, `…_lag_<k>`; `<sector>_<rank>_age_h` and `…_lag_<k>_age_h`
    are t minus the row's own window_end. NaN where nobody stands or nothing was heard.
    """

    def __init__(self, contract: Contract) -> None:
        targets = [contract.target_column(t) for t in contract.targets]
        units = {f.column: f.unit for f in contract.features}
        self._positions = tuple(contract.history_values.index(c) for c in targets)
        self._backs = tuple(lag * contract.step_ms for lag in (0, *contract.neighbour_lags))
        names: list[str] = []
        for sector in contract.sectors:
            for rank in range(1, contract.per_sector + 1):
                for lag in ("", *(f"_lag_{k}" for k in contract.neighbour_lags)):
                    names += [f"{column}_{sector}_{rank}{lag}" for column in targets]
                    names.append(f"{sector}_{rank}{lag}_age_h")
        self.names = tuple(names)
        self.units = tuple([*(units[c] for c in targets), "h"] * (len(names) // (len(targets) + 1)))
        self._missing = (math.nan,) * (len(targets) + 1)
        self._nobody = self._missing * len(self._backs)
        self._seats: dict[str, tuple[str | None, ...]] = {
            station: tuple(seats(contract, station)) for station in contract.neighbours
        }
        self._empty = [math.nan] * len(names)

    def at(self, station: str, t_ms: int, near: Near) -> list[float]:
        """The inputs of a station's row with window_end `t_ms`."""
        seated = self._seats.get(station)
        if seated is None or near is NOBODY:
            return self._empty.copy()
        out: list[float] = []
        positions = self._positions
        for other in seated:
            if other is None:
                out += self._nobody
                continue
            for back in self._backs:
                cell = near.as_of(other, t_ms - back)
                if cell is None:
                    out += self._missing
                else:
                    values = cell.values
                    out += [values[i] for i in positions]
                    out.append((t_ms - cell.window_end) / HOUR_MS)
        return out


def seats(contract: Contract, station: str) -> list[str | None]:
    """Who sits in each sector and rank, None where nobody does. Empty in a contract without neighbours."""
    by_seat = {(n.sector, n.rank): n.station for n in contract.neighbours.get(station, ())}
    return [by_seat.get((s, rank)) for s in contract.sectors for rank in range(1, contract.per_sector + 1)]


class Rings:
    """The actor's own stations, as the fold has them now, and `others` for the rest.

    Own rings come first: they are ahead of what the actor reads back, and make its inputs a function of the order of
    its rows. `states` is partition -> station -> state, looked at anew each time.
    """

    def __init__(self, contract: Contract, states: Mapping[int, Mapping[str, StationState]], others: Near) -> None:
        self._rule = rule_of(contract)
        self._ring = contract.ring_cells
        self._states = states
        self.others = others

    def as_of(self, station: str, t_ms: int) -> Cell | None:
        for stations in self._states.values():
            state = stations.get(station)
            if state is not None:
                cells, ring = state.cells, self._ring
                first, end = self._rule.span(t_ms)
                for number in range(first, end, -1):
                    found = cells.get(number % ring)
                    if found is not None and found.cell == number:
                        return found
                return None
        return self.others.as_of(station, t_ms)
