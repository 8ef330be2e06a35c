"""Every metric against its formula written out, the masks on series made for them, and a bootstrap that repeats."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from ray_jobs.judge import scores

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
VALUES = st.floats(-60, 60)


@st.composite
def forecasts(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n = draw(st.integers(1, 12))
    truth = draw(hnp.arrays(np.float64, n, elements=VALUES))
    said = np.sort(draw(hnp.arrays(np.float64, (n, len(LEVELS)), elements=VALUES)), axis=1)
    return truth, said, draw(hnp.arrays(np.float64, n, elements=VALUES))


@given(forecasts())
def test_summary_is_the_formulas_written_out(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    truth, said, other = case
    n = len(truth)
    found = scores.summary(truth, said, LEVELS, {"dap": other}, "degC")
    errors = [p[2] - y for p, y in zip(said, truth, strict=True)]
    theirs = sum(abs(o - y) for o, y in zip(other, truth, strict=True)) / n
    mae = sum(map(abs, errors)) / n
    loss = 0.0
    for y, row in zip(truth, said, strict=True):
        for level, p in zip(LEVELS, row, strict=True):
            loss += level * (y - p) if y >= p else (1 - level) * (p - y)
    score = 0.0
    for y, row in zip(truth, said, strict=True):
        score += row[4] - row[0] + (20 * (row[0] - y) if y < row[0] else 20 * (y - row[4]) if y > row[4] else 0)
    assert found["pairs"] == n
    assert found["mae_degC"] == pytest.approx(mae)
    assert found["rmse_degC"] == pytest.approx(math.sqrt(sum(e * e for e in errors) / n))
    assert found["bias_degC"] == pytest.approx(sum(errors) / n)
    assert found["pinball_degC"] == pytest.approx(loss / n / len(LEVELS))
    assert found["dap_mae_degC"] == pytest.approx(theirs)
    if theirs > 0:
        assert found["skill_dap"] == pytest.approx(1 - mae / theirs)
    else:
        assert math.isnan(found["skill_dap"])
    for percent, low, high in ((50, 1, 3), (90, 0, 4)):
        inside = [row[low] <= y <= row[high] for y, row in zip(truth, said, strict=True)]
        assert found[f"coverage_{percent}"] == pytest.approx(sum(inside) / n)
        assert found[f"width_{percent}_degC"] == pytest.approx(sum(r[high] - r[low] for r in said) / n)
    assert found["winkler_90_degC"] == pytest.approx(score / n)
    kelvin = sum(abs(e) / (y + 273.15) for e, y in zip(errors, truth, strict=True)) / n
    assert found["mape_kelvin_pct"] == pytest.approx(100 * kelvin)


def test_summary_names_units_and_gives_kelvin_to_temperatures_only() -> None:
    truth, said = np.array([50.0]), np.array([[40.0, 45.0, 51.0, 55.0, 60.0]])
    found = scores.summary(truth, said, LEVELS, {}, "%")
    assert found["mae_pct"] == 1.0
    assert not any("kelvin" in name or "%" in name for name in found)
    assert "bias_m_per_s" in scores.summary(truth, said, LEVELS, {}, "m/s")
    assert scores.summary(np.empty(0), np.empty((0, 5)), LEVELS, {}, "%") == {"pairs": 0.0}


def test_bands_are_the_levels_that_belong_together() -> None:
    assert scores.bands_of(LEVELS) == [(50, 1, 3), (90, 0, 4)]
    assert scores.bands_of((0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)) == [(50, 2, 4), (80, 1, 5), (90, 0, 6)]


def test_reliability_is_the_share_at_or_below() -> None:
    said = np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    assert scores.reliability(np.array([0.0, 0.5, 1.0, 2.0]), said).tolist() == [0.25, 0.75]


def test_bootstrap_repeats_with_its_seed_and_keeps_blocks_whole() -> None:
    rng = np.random.default_rng(0)
    blocks, values = np.repeat(np.arange(13), 24), rng.normal(size=(312, 2)) ** 2
    first = scores.bootstrap(blocks, values, 200, 7)
    assert np.array_equal(first, scores.bootstrap(blocks, values, 200, 7))
    assert not np.array_equal(first, scores.bootstrap(blocks, values, 200, 8))
    sums = np.array([values[blocks == b].sum(axis=0) for b in range(13)])
    drawn = np.random.default_rng(7).integers(0, 13, size=(200, 13))
    assert np.allclose(first, sums[drawn].sum(axis=1))
    # Errors that go together in a block make a wider interval than ones that do not.
    together = np.repeat(rng.normal(size=13), 24)[:, None]
    by_week = np.ptp(scores.interval(scores.bootstrap(blocks, together, 2_000, 1)[:, 0]))
    by_pair = np.ptp(scores.interval(scores.bootstrap(np.arange(312), together, 2_000, 1)[:, 0]))
    assert by_week > 3 * by_pair
    assert scores.bootstrap(np.empty(0, dtype=np.int64), np.empty((0, 2)), 3, 1).tolist() == [[0.0, 0.0]] * 3


def test_interval_is_the_central_share() -> None:
    low, high = scores.interval(np.arange(1001.0))
    assert (low, high) == (pytest.approx(25.0), pytest.approx(975.0))
    assert math.isnan(scores.interval(np.array([np.nan]))[0])


# Masks

HOUR = 3_600_000.0


def hours(n: int) -> np.ndarray:
    return np.arange(n) * HOUR


def rough(n: int, grid: float, bend: float = 1.0) -> np.ndarray:
    return np.round(np.cumsum(np.random.default_rng(3).normal(size=n)) * bend / grid) * grid


def test_interpolated_finds_what_a_provider_filled_in_and_leaves_its_ends() -> None:
    values = rough(400, 0.01)
    natural = scores.interpolated(hours(400), values)
    assert natural.mean() < 0.03
    values[100:107] = np.linspace(values[100], values[106] + 3.3331, 7)
    values[201] = (values[200] + values[202]) / 2
    found = scores.interpolated(hours(400), values)
    assert found[101:106].all() and found[201]
    assert np.array_equal(np.flatnonzero(found & ~natural & ~np.isin(np.arange(400), range(99, 108))), [201])


def test_interpolated_takes_three_points_on_a_coarse_grid_for_chance() -> None:
    values = rough(2_000, 1.0)
    assert scores.interpolated(hours(2_000), values).mean() < 0.03
    values[500:530] = values[500] + np.arange(30)
    assert scores.interpolated(hours(2_000), values)[502:528].all()


def test_interpolated_is_not_level_not_over_a_gap_and_not_from_nothing() -> None:
    values = rough(400, 0.01)
    values[50:60] = values[50]
    assert not scores.interpolated(hours(400), values)[51:58].any()
    times, line = hours(400), values.copy()
    line[100:104] = line[100] + 0.37 * np.arange(4)
    assert scores.interpolated(times, line)[101:103].all()
    times[102:] += HOUR
    assert not scores.interpolated(times, line)[101:103].any()
    assert not scores.interpolated(hours(5), np.full(5, np.nan)).any()
    assert not scores.interpolated(hours(2), np.array([1.0, 2.0])).any()


def test_grid_is_the_coarsest_that_half_stand_on() -> None:
    kelvin = np.round(np.random.default_rng(0).normal(280, 5, 300), 2)
    assert scores.grid_of(kelvin - 273.15) == 0.01
    assert scores.grid_of(np.array([990.0, 1001.0, 1002.0, np.nan])) == 1.0


def test_within_takes_a_window_that_holds_either_end() -> None:
    ends = np.array([0.0, 5.0, 10.0, 15.0, 20.0])
    # Windows [-5, 0), [0, 5), [5, 10), [10, 15), [15, 20) and wrong times 5 to 10, both included.
    assert scores.windows_in(ends - 5, ends, [(5, 10)]).tolist() == [False, False, True, True, False]
    assert not scores.windows_in(ends - 5, ends, []).any()
