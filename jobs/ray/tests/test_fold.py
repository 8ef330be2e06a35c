"""The fold against a naive as-of join, over random gaps, late rows, revisions, repeats, restarts and thinning."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray_jobs.fold.fold import APPLIED, EXPIRED, SKIPPED, Fold
from ray_jobs.generated.contract import Contract
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.state import ring
from ray_jobs.state.ring import StationState
from tests.feature_rows import HOUR_MS, Oracle, meters, row, same, streams

# A ring of five hours instead of ten days: the same code, and random streams run around it several times.
SHORT = replace(CONTRACT, lags=(1, 2, 4), depth_ms=5 * HOUR_MS, ring_cells=30)
# Means over 24 and 96 hours need a deeper ring; coarse cells keep the random streams going around it.
DEEP = replace(
    CONTRACT,
    lags=(1, 24),
    cell_ms=HOUR_MS,
    slide_ms=1_800_000,
    window_ms=HOUR_MS,
    depth_ms=100 * HOUR_MS,
    ring_cells=100,
)
OTHER = meters()
T0 = 1_700_000_000_000 // (6 * HOUR_MS) * 6 * HOUR_MS
T = "temperature_mean"


def values(**named: float | None) -> dict[str, float | None]:
    return dict(named)


def restored(contract: Contract, state: StationState) -> StationState:
    """The state as a restart rebuilds it: each cell through its record, in a scrambled order."""
    out = StationState()
    for cell in sorted(state.cells.values(), key=lambda c: c.cell * 7919 % 101):
        out.put(ring.from_record(ring.to_record(contract.key, "a", cell)), contract.ring_cells)
    return out


@pytest.mark.slow
@pytest.mark.parametrize("contract", [SHORT, DEEP, OTHER], ids=["weather", "deep", "other domain"])
def test_fold_equals_the_naive_as_of_join(contract: Contract) -> None:
    fold = Fold(contract)

    @settings(max_examples=300, deadline=None)
    @given(streams(contract, T0))
    def check(rows: list[dict[str, Any]]) -> None:
        oracle, state = Oracle(contract), fold.new_state()
        for one in rows:
            status, inputs = oracle.step(one)
            step = fold.step(state, one)
            assert step.status == status
            if inputs is not None:
                assert same(step.inputs[: len(inputs)], inputs)
                lags = [inputs[i] for i, name in enumerate(fold.input_names[: len(inputs)]) if name.endswith("_age_h")]
                assert step.completeness == sum(1 for x in lags if not math.isnan(x)) / len(contract.lags)

    check()


@pytest.mark.parametrize("contract", [SHORT, DEEP], ids=["short", "deep"])
def test_fold_restored_from_its_records_at_any_point_goes_on_exactly(contract: Contract) -> None:
    fold = Fold(contract)

    @settings(max_examples=150, deadline=None)
    @given(streams(contract, T0), st.sets(st.integers(0, 59)))
    def check(rows: list[dict[str, Any]], restarts: set[int]) -> None:
        straight, broken = fold.new_state(), fold.new_state()
        for i, one in enumerate(rows):
            if i in restarts:
                broken = restored(contract, broken)
            a, b = fold.step(straight, one), fold.step(broken, one)
            assert (a.status, a.completeness, repr(a.cell), repr(a.earlier)) == (
                b.status,
                b.completeness,
                repr(b.cell),
                repr(b.earlier),
            )
            assert same(a.inputs, b.inputs)
        ring_cells = contract.ring_cells
        assert repr(sorted(straight.live(ring_cells).items())) == repr(sorted(broken.live(ring_cells).items()))

    check()


@settings(max_examples=100, deadline=None)
@given(streams(SHORT, T0))
def test_changelog_holds_the_state(rows: list[dict[str, Any]]) -> None:
    """Compacting what each step says changed, by key, gives back the state."""
    fold, state, log = Fold(SHORT), Fold(SHORT).new_state(), {}
    for one in rows:
        step = fold.step(state, one)
        if step.cell is not None:
            log[ring.cell_key("a", step.cell.cell, SHORT.ring_cells)] = step.cell
    rebuilt = StationState()
    for cell in log.values():
        rebuilt.put(cell, SHORT.ring_cells)
    assert repr(sorted(rebuilt.live(30).items())) == repr(sorted(state.live(30).items()))


def test_fold_on_the_table_equals_the_stream() -> None:
    """A table row has NaN for null and no place in Kafka; the inputs do not know the difference."""
    fold = Fold(SHORT)
    stream, table = fold.new_state(), fold.new_state()
    for i in range(400):
        t = T0 + i * SHORT.slide_ms * (1 + i % 7)
        one = row(
            SHORT,
            "a",
            t,
            1,
            i,
            {f.column: None if (i + j) % 5 == 0 else i / (j + 1) for j, f in enumerate(SHORT.features)},
        )
        from_kafka = one | {"feature_partition": 2, "feature_offset": i}
        from_table = {k: math.nan if v is None else v for k, v in one.items()} | {"plan_epoch": 0}
        a, b = fold.step(stream, from_kafka), fold.step(table, from_table)
        assert same(a.inputs, b.inputs) and a.completeness == b.completeness
        assert (a.earlier and a.earlier.window_end) == (b.earlier and b.earlier.window_end)


def test_thinning_a_feed_keeps_every_lag_and_moves_it_by_less_than_a_cell() -> None:
    """One row a minute against one an hour: a cell keeps its newest row only, so a dense feed's lag may be up to a cell
    older.
    """
    fold = Fold(SHORT)
    dense, thin = fold.new_state(), fold.new_state()
    names = fold.input_names
    cell_h = SHORT.cell_ms / HOUR_MS
    compared = 0
    for minute in range(12 * 60):
        t = T0 + (minute + 1) * 60_000
        one = row(SHORT, "a", t, 1, minute, values(**{T: float(t)}))
        a = fold.step(dense, one)
        if minute % 60 != 0:
            continue
        b = fold.step(thin, one)
        if minute < 6 * 60:
            continue
        assert a.completeness == b.completeness == 1.0
        for k in SHORT.lags:
            value, age = names.index(f"{T}_lag_{k}"), names.index(f"lag_{k}_age_h")
            assert b.inputs[age] == k
            assert k <= a.inputs[age] < k + cell_h
            assert a.inputs[value] == t - a.inputs[age] * HOUR_MS, "the value is the one its age says"
            compared += 1
    assert compared == 6 * len(SHORT.lags)


def test_lag_bounds() -> None:
    """Start exclusive, end inclusive: a row exactly k steps old is lag k, one exactly k + 1 steps old is not."""
    fold = Fold(SHORT)
    lag, age = fold.input_names.index(f"{T}_lag_1"), fold.input_names.index("lag_1_age_h")
    for distance_ms, seen in [
        (HOUR_MS, True),
        (HOUR_MS - 60_000, False),
        (2 * HOUR_MS, False),
        (2 * HOUR_MS - 60_000, True),
    ]:
        state = fold.new_state()
        fold.step(state, row(SHORT, "a", T0, 1, 1, values(**{T: 5.0})))
        step = fold.step(state, row(SHORT, "a", T0 + distance_ms, 1, 2, values(**{T: 6.0})))
        assert (step.inputs[lag] == 5.0) is seen
        assert step.inputs[age] == distance_ms / HOUR_MS if seen else math.isnan(step.inputs[age])


def test_a_cell_that_left_the_ring_is_no_lag_even_where_its_slot_still_holds_it() -> None:
    fold = Fold(SHORT)
    lag = fold.input_names.index(f"{T}_lag_4")
    for first, seen in [(T0, False), (T0 + 60_000, True)]:
        state = fold.new_state()
        fold.step(state, row(SHORT, "a", first, 1, 1, values(**{T: 5.0})))
        later = T0 - SHORT.cell_ms + SHORT.depth_ms + 60_000
        step = fold.step(state, row(SHORT, "a", later, 1, 2, values(**{T: 6.0})))
        assert first > later - 5 * HOUR_MS, "young enough by its time"
        assert (step.inputs[lag] == 5.0) is seen


def test_versions_decide_what_is_applied() -> None:
    fold = Fold(SHORT)
    state = fold.new_state()

    def status(t: int, epoch: int, revision: int) -> str:
        return fold.step(state, row(SHORT, "a", t, epoch, revision, values(**{T: 1.0}))).status

    assert status(T0, 0, 900) == APPLIED
    assert status(T0, 0, 900) == SKIPPED
    assert status(T0, 1, 0) == APPLIED, "a new plan epoch outranks any revision"
    assert status(T0, 0, 999) == SKIPPED
    assert status(T0 - 60_000, 1, 0) == APPLIED, "another window of the same cell has its own version"
    assert status(T0 - 60_000, 1, 0) == SKIPPED
    assert status(T0 + 5 * HOUR_MS - SHORT.cell_ms, 1, 5) == APPLIED
    assert status(T0, 2, 0) == APPLIED, "the oldest cell of the ring still counts"
    assert status(T0 - SHORT.cell_ms, 2, 0) == EXPIRED


def test_late_row_of_a_cell_is_recorded_but_does_not_displace_the_newest() -> None:
    fold = Fold(SHORT)
    state = fold.new_state()
    fold.step(state, row(SHORT, "a", T0, 1, 1, values(**{T: 1.0})))
    late = fold.step(state, row(SHORT, "a", T0 - 60_000, 1, 2, values(**{T: 2.0})))
    assert late.status == APPLIED and late.inputs[fold.input_names.index(T)] == 2.0
    assert (
        late.cell is not None and late.cell.window_end == T0 and late.cell.values[SHORT.history_values.index(T)] == 1.0
    )
    newer = fold.step(state, row(SHORT, "a", T0, 1, 3, values(**{T: 3.0})))
    assert newer.cell is not None and newer.cell.values[SHORT.history_values.index(T)] == 3.0


def test_a_row_off_the_slide_is_refused_and_leaves_the_state() -> None:
    fold = Fold(SHORT)
    state = fold.new_state()
    with pytest.raises(ValueError, match="multiple of the slide"):
        fold.step(state, row(SHORT, "a", T0 + 1, 1, 1, {}))
    for epoch, revision in [(1, 1 << 48), (1 << 15, 0), (0, -1)]:
        with pytest.raises(ValueError, match="out of range"):
            fold.step(state, row(SHORT, "a", T0, epoch, revision, {}))
    broken = row(SHORT, "a", T0, 1, 1, {})
    del broken[T]
    with pytest.raises(KeyError):
        fold.step(state, broken)
    assert state.cells == {} and state.newest == ring.NONE


def test_names_and_units_go_together_and_say_what_the_model_reads() -> None:
    fold = Fold(CONTRACT)
    units = dict(zip(fold.input_names, fold.input_units, strict=True))
    assert len(units) == len(fold.input_names)
    assert units["temperature_mean"] == units["temperature_mean_lag_24"] == "degC"
    assert units["temperature_rate"] == "degC/h"
    assert units["wind_direction_circular_mean_lag_1"] == "deg"
    assert units["lag_48_age_h"] == "h" and units["latitude"] == "deg" and units["elevation_m"] == "m"
    step = fold.step(fold.new_state(), row(CONTRACT, "nowhere", T0, 1, 1, {}))
    assert len(step.inputs) == len(fold.input_names)
    assert all(math.isnan(step.inputs[fold.input_names.index(n)]) for n in ("latitude", "longitude", "elevation_m"))
