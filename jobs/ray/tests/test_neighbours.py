"""Neighbours: the three places to look agree with a naive as-of, whatever order the stations' rows came in."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray_jobs.fold.fold import APPLIED, Fold
from ray_jobs.fold.neighbours import NOBODY, Neighbours, Rings
from ray_jobs.fold.tabled import Tabled, column_of
from ray_jobs.generated.contract import Contract, Neighbour
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.state import ring
from ray_jobs.state.history import GlobalTable
from ray_jobs.state.ring import StationState
from tests.feature_rows import HOUR_MS, meters, row, same

STATIONS = ("a", "b", "c")
AROUND = {
    "a": (Neighbour("b", "north", 1, 10.0), Neighbour("c", "west", 1, 20.0)),
    "b": (Neighbour("a", "south", 1, 10.0),),
}
SMALL = replace(CONTRACT, per_sector=1, neighbour_lags=(2,), neighbours=AROUND)
DELAY_MS = CONTRACT.window_ms + CONTRACT.lateness_ms
T0 = 1_700_000_000_000 // HOUR_MS * HOUR_MS
MINUTE = 60_000


class Oracle:
    """Every row so far, looked at anew for every question."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[int, dict[str, Any]]] = {s: {} for s in STATIONS}

    def inputs(self, station: str, t: int) -> list[float]:
        seats = {(n.sector, n.rank): n.station for n in AROUND.get(station, ())}
        out: list[float] = []
        for sector in ("north", "east", "south", "west"):
            for back in (0, 2 * HOUR_MS):
                limit = t - back - DELAY_MS
                # A cell counts by its end: not after the limit, and less than a step before it.
                ends = self.rows.get(seats.get((sector, 1), ""), {})
                seen = [e for e in ends if limit - HOUR_MS < -(-e // 600_000) * 600_000 <= limit]
                if not seen:
                    out += [math.nan] * 4
                    continue
                found = ends[max(seen)]
                out += [found[f"{x}_mean"] for x in ("temperature", "humidity", "pressure")]
                out.append((t - found["window_end"]) / HOUR_MS)
        return out


@st.composite
def traffic(draw: st.DrawFn) -> list[tuple[int, dict[str, Any]]]:
    """(arrival, row) of three stations, in the order of arrival: each comes less than the delay after its window."""
    gap = st.sampled_from([1, 1, 2, 5, 9, 10, 11, 60, 61, 150])
    out: list[tuple[int, dict[str, Any]]] = []
    for station in STATIONS:
        t, revision = T0, 0
        for minutes, late in draw(st.lists(st.tuples(gap, st.integers(0, DELAY_MS // MINUTE - 1)), max_size=25)):
            t, revision = t + minutes * MINUTE, revision + 1
            values = {f"{x}_mean": float(draw(st.integers(-9, 9))) for x in ("temperature", "humidity", "pressure")}
            out.append((t + late * MINUTE, row(SMALL, station, t, 1, revision, values)))
    return sorted(out, key=lambda one: one[0])


@settings(max_examples=120, deadline=None)
@given(traffic(), st.integers(0, 10))
def test_stream_and_table_give_the_same_neighbours(events: list[tuple[int, dict[str, Any]]], behind: int) -> None:
    """The rings of an actor, a global table that is read `behind` rows late, and a table that has all rows, future ones
    too.
    """
    fold, oracle = Fold(SMALL), Oracle()
    names = Neighbours(SMALL).names
    states: dict[int, dict[str, StationState]] = {0: {}, 1: {}}
    followed = GlobalTable(SMALL, 1)
    waiting: list[dict[str, Any]] = []
    by_station = {
        s: sorted((r for _, r in events if r["station_id"] == s), key=lambda r: r["window_end"]) for s in STATIONS
    }
    tabled = Tabled(
        SMALL,
        {
            s: column_of(
                SMALL,
                np.array([r["window_end"] for r in rows]),
                np.array([[math.nan if r[v] is None else r[v] for v in SMALL.history_values] for r in rows]),
            )
            for s, rows in by_station.items()
            if rows
        },
    )
    arrivals = [arrival for arrival, _ in events]
    for i, (arrival, one) in enumerate(events):
        station = one["station_id"]
        home = states[len(station) % 2 if station != "c" else 0]
        state = home.setdefault(station, fold.new_state())
        step = fold.step(state, one, Rings(SMALL, states, NOBODY))
        assert step.status == APPLIED
        wanted = oracle.inputs(station, one["window_end"])
        assert same(step.inputs[-len(names) :], wanted)
        assert same(Neighbours(SMALL).at(station, one["window_end"], tabled), wanted)
        # What was committed within the last few rows is still on its way; what came before this minute is read.
        while waiting and (len(waiting) > behind or arrivals[i - len(waiting)] < arrival):
            followed.take(0, i, waiting.pop(0))
        if not waiting:
            assert same(Neighbours(SMALL).at(station, one["window_end"], followed), wanted)
        assert step.cell is not None
        waiting.append(ring.to_record("station_id", station, step.cell))
        oracle.rows[station][one["window_end"]] = one


def test_the_global_table_stands_in_for_partitions_that_are_held_elsewhere() -> None:
    fold, table = Fold(SMALL), GlobalTable(SMALL, 1)
    state = fold.new_state()
    cell = fold.step(state, row(SMALL, "b", T0, 1, 1, {"temperature_mean": 7.0})).cell
    assert cell is not None
    table.take(0, 0, ring.to_record("station_id", "b", cell))
    t = T0 + DELAY_MS
    at = fold.input_names.index("temperature_mean_north_1")
    for near in (Rings(SMALL, {}, table), Rings(SMALL, {3: {"b": state}}, NOBODY)):
        assert fold.step(fold.new_state(), row(SMALL, "a", t, 1, 1, {}), near).inputs[at] == 7.0
        early = fold.step(fold.new_state(), row(SMALL, "a", t - MINUTE, 1, 1, {}), near)
        assert math.isnan(early.inputs[at]), "a cell that ended less than the delay ago may still change"
    own_first = Rings(SMALL, {3: {"b": fold.new_state()}}, table)
    assert math.isnan(fold.step(fold.new_state(), row(SMALL, "a", t, 1, 1, {}), own_first).inputs[at])


@pytest.mark.parametrize("contract", [CONTRACT, meters()], ids=["weather", "no places"])
def test_names_units_and_values_go_together(contract: Contract) -> None:
    inputs = Neighbours(contract)
    per_seat = (len(contract.targets) + 1) * (1 + len(contract.neighbour_lags))
    assert len(inputs.names) == len(inputs.units) == len(set(inputs.names))
    assert len(inputs.names) == len(contract.sectors) * contract.per_sector * per_seat
    assert len(inputs.at("nowhere", T0, NOBODY)) == len(inputs.names)
    units = dict(zip(inputs.names, inputs.units, strict=True))
    if contract is CONTRACT:
        assert units["pressure_mean_west_1"] == "hPa" and units["north_2_age_h"] == "h"
        assert units["temperature_mean_east_1_lag_3"] == "degC"
