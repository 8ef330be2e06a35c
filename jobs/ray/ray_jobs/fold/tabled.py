"""The stations around one, out of a feature table: for training and evaluation, by the rule of neighbours.py."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from ray_jobs.generated.contract import Contract
from ray_jobs.kit import table
from ray_jobs.state.asof import rule_of
from ray_jobs.state.ring import NO_VERSION, Cell


class Column(NamedTuple):
    """One station's cells. `newest[i]` is the row of `ends` and `values` for the newest cell up to `first + i`; -1
    before the first.
    """

    first: int
    newest: NDArray[np.int32]
    ends: NDArray[np.int64]
    values: NDArray[np.float64]


class Tabled:
    """Rows of a feature table by cell: arrays only, so that Ray's tasks read one copy in place."""

    def __init__(self, contract: Contract, columns: dict[str, Column]) -> None:
        self._rule = rule_of(contract)
        self._columns = columns

    def as_of(self, station: str, t_ms: int) -> Cell | None:
        column = self._columns.get(station)
        if column is None:
            return None
        first, end = self._rule.span(t_ms)
        at = min(first - column.first, len(column.newest) - 1)
        if at < 0:
            return None
        row = column.newest[at]
        window_end = int(column.ends[row])
        number = (window_end - 1) // self._rule.cell_ms
        if number <= end:
            return None
        return Cell(number, window_end, 0, 0, -1, -1, (NO_VERSION,), tuple(column.values[row].tolist()))


def column_of(contract: Contract, ends_ms: NDArray[np.int64], values: NDArray[np.float64]) -> Column:
    """A station's rows, ascending by window_end and version, as cells. [n], [n, history value]. At least one row."""
    cells = (ends_ms - 1) // contract.cell_ms
    last = np.concatenate([cells[1:] != cells[:-1], [True]])
    cells, ends, values = cells[last], ends_ms[last], values[last]
    first = int(cells[0])
    newest = np.full(int(cells[-1]) - first + 1, -1, dtype=np.int32)
    newest[cells - first] = np.arange(len(cells), dtype=np.int32)
    return Column(first, np.maximum.accumulate(newest), ends, values)


def neighbourhood(contract: Contract, path: str, version: int, from_ms: int, to_ms: int) -> Tabled:
    """The rows of all stations with window_end in [from_ms, to_ms), for the fold to look around in."""
    values = list(contract.history_values)
    wanted = [contract.entity_key, "window_end", "plan_epoch", "revision", *values]
    found = table.read(path, version, contract, wanted, from_ms, to_ms)
    columns = {}
    for station, rows in table.by_station(found, contract.entity_key):
        ends = rows["window_end"].to_numpy().astype(np.int64)
        columns[station] = column_of(contract, ends, np.stack([table.floats(rows, v) for v in values], axis=1))
    return Tabled(contract, columns)
