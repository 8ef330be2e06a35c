"""The one feature logic after the windows: fold(state, row) -> (state, inputs).

The actor runs it on the stream, training runs it over the backfilled table in order; the same sequence of rows gives
the same inputs. Pure but for the state it is handed, which it changes in place and gives back. Does no input or output
and knows no model.

A row is a plain mapping with the fields of a feature record; times are UTC epoch ms as int, a missing value is None or
NaN. A row that came from Kafka also carries its place there, `feature_partition` and `feature_offset`; one from a table
has none and counts as -1.

Lags are as-of: lag k is the newest row with t - (k + 1) * step < window_end <= t - k * step (start exclusive, end
inclusive) among the newest row of each cell, so a station that reports every minute and one that reports every hour
look alike. The input vector is
  <column>                  the row's own features, in contract order
  <value>_lag_<k>           each history value of lag k; angles stay degrees
  lag_<k>_age_h             t minus the lag's own window_end
  <value>_mean_<n>h         mean of a history value over n hours, see means.py
  day_sin day_cos year_sin year_cos      phase of the UTC day and of the mean Gregorian year at t
  latitude longitude elevation_m         of the station, NaN where unknown
  <column>_<sector>_<rank> …             what other stations measured a little earlier, see neighbours.py
The names are the model's contract, the order is only this list's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from ray_jobs.fold.neighbours import NOBODY, Near, Neighbours
from ray_jobs.generated.contract import Contract
from ray_jobs.kit.time import HOUR_MS
from ray_jobs.state import ring
from ray_jobs.state.means import Means
from ray_jobs.state.ring import NO_VERSION, Cell, StationState

_DAY = 2 * math.pi / 86_400_000
_YEAR = 2 * math.pi / (365.2425 * 86_400_000)

APPLIED = "applied"
SKIPPED = "skipped"
EXPIRED = "expired"


class Step(NamedTuple):
    """What one row did.

    `status`: applied; skipped when its version is not newer than the one applied for its window_end; expired when its
    cell has left the ring. `inputs` (NaN = missing) and `completeness` (share of lags present, 0..1) mean something for
    applied rows only. `cell` is the cell as it now stands, to be written to the history; None unless applied. `earlier`
    is the newest row that a step rule may compare this one with: at most the longest `within_ms` of the contract's
    steps older (inclusive), as the ring stood before this row; None when there is none.
    """

    state: StationState
    inputs: list[float]
    status: str
    completeness: float
    cell: Cell | None
    earlier: Cell | None


class Fold:
    """The fold of one contract. Holds constants only: every station's memory is in its StationState."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self._slots = ring.slots(contract)
        self._columns = tuple(f.column for f in contract.features)
        units = {f.column: f.unit for f in contract.features}
        absent = [v for v in contract.history_values if v not in units]
        if absent:
            raise ValueError(f"history values {', '.join(absent)} are not features")
        if any(k * contract.step_ms < contract.cell_ms for k in contract.lags):
            raise ValueError("a lag shorter than a cell could look into its own cell")
        positions = {name: i for i, name in enumerate(self._columns)}
        # How far back the earlier row may lie; 0 when no rule needs it.
        self._within_ms = max((step.within_ms for step in contract.steps), default=0)
        names: list[str] = list(self._columns)
        of_units: list[str] = [units[c] for c in self._columns]
        for lag in contract.lags:
            names += [f"{value}_lag_{lag}" for value in contract.history_values] + [f"lag_{lag}_age_h"]
            of_units += [units[value] for value in contract.history_values] + ["h"]
        self._means = Means(contract)
        names += self._means.names
        of_units += [units[value] for value in self._means.values]
        names += ["day_sin", "day_cos", "year_sin", "year_cos", "latitude", "longitude", "elevation_m"]
        of_units += ["1", "1", "1", "1", "deg", "deg", "m"]
        # How many inputs come from the station's own rows: these alone follow from its rows' order.
        self.own_inputs = len(names)
        self.neighbours = Neighbours(contract)
        names += self.neighbours.names
        of_units += self.neighbours.units
        self.input_names: tuple[str, ...] = tuple(names)
        self.input_units: tuple[str, ...] = tuple(of_units)

        self._kept = tuple(positions[value] for value in contract.history_values)
        self._lags_ms = tuple(lag * contract.step_ms for lag in contract.lags)
        self._missing = (math.nan,) * (len(contract.history_values) + 1)
        self._places = {
            name: tuple(math.nan if x is None else float(x) for x in (s.latitude, s.longitude, s.elevation_m))
            for name, s in contract.stations.items()
        }

    def new_state(self) -> StationState:
        return StationState()

    def step(self, state: StationState, row: Mapping[str, Any], near: Near = NOBODY) -> Step:
        """Applies one row of the state's station; `near` is asked for its neighbours and is not changed.

        Errors: KeyError, TypeError or ValueError for a row that is no feature record of this contract; the state is
        then unchanged.
        """
        contract = self.contract
        cell_ms, ring_cells, step_ms = contract.cell_ms, contract.ring_cells, contract.step_ms
        t: int = row["window_end"]
        if t % contract.slide_ms:
            raise ValueError(f"window_end {t} is not a multiple of the slide {contract.slide_ms}")
        cells = state.cells
        number = (t - 1) // cell_ms
        floor = max(state.newest, number) - ring_cells
        if number <= floor:
            return Step(state, [], EXPIRED, 0.0, None, None)
        plan_epoch: int = row["plan_epoch"]
        revision: int = row["revision"]
        version = ring.version(plan_epoch, revision)
        slot = number % ring_cells
        held = cells.get(slot)
        within = (t - number * cell_ms - 1) // contract.slide_ms
        if held is not None and held.cell == number:
            if version <= held.versions[within]:
                return Step(state, [], SKIPPED, 0.0, None, None)
            versions = (*held.versions[:within], version, *held.versions[within + 1 :])
        else:
            held = None
            versions = (NO_VERSION,) * within + (version,) + (NO_VERSION,) * (self._slots - within - 1)

        nan = math.nan
        inputs: list[float] = [nan if (x := row[column]) is None else x for column in self._columns]
        values = tuple([inputs[i] for i in self._kept])

        present = 0
        for lag_ms in self._lags_ms:
            newest = t - lag_ms
            oldest = newest - step_ms
            n = (newest - 1) // cell_ms
            last = oldest // cell_ms
            if last <= floor:
                last = floor + 1
            while n >= last:
                found = cells.get(n % ring_cells)
                if found is not None and found.cell == n and oldest < found.window_end <= newest:
                    inputs += found.values
                    inputs.append((t - found.window_end) / HOUR_MS)
                    present += 1
                    break
                n -= 1
            else:
                inputs += self._missing
        inputs += self._means.at(state, number, values)
        day, year = _DAY * (t % 86_400_000), _YEAR * t
        inputs += (math.sin(day), math.cos(day), math.sin(year), math.cos(year))
        inputs += self._places.get(row[contract.entity_key], (nan, nan, nan))
        inputs += self.neighbours.at(row[contract.entity_key], t, near)

        earlier = self._earlier(cells, held, t, number, floor)
        if held is not None and t < held.window_end:
            cell = held._replace(versions=versions)
        else:
            partition, offset = row.get("feature_partition", -1), row.get("feature_offset", -1)
            cell = Cell(number, t, plan_epoch, revision, partition, offset, versions, values)
            self._means.replaced(state, held, cell)
        cells[slot] = cell
        if number > state.newest:
            state.newest = number
        share = present / len(self._lags_ms) if self._lags_ms else 1.0
        return Step(state, inputs, APPLIED, share, cell, earlier)

    def _earlier(self, cells: dict[int, Cell], held: Cell | None, t: int, number: int, floor: int) -> Cell | None:
        """The newest row with t - within <= window_end < t among the newest row of each cell, as it stood before this
        row.
        """
        if held is not None and held.window_end < t:
            return held if t - held.window_end <= self._within_ms else None
        contract = self.contract
        oldest = t - self._within_ms
        last = max((oldest - 1) // contract.cell_ms, floor + 1)
        n = number - 1
        while n >= last:
            found = cells.get(n % contract.ring_cells)
            if found is not None and found.cell == n:
                return found if found.window_end >= oldest else None
            n -= 1
        return None
