"""Bands hold their share on what they were calibrated on, nest, never cross and stay where the quantity can be,
whatever the heads say.
"""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.ledger import conformal
from ray_jobs.ledger.conformal import GRID, Bounds, Calibration
from tests.feature_rows import meters

BANDS = (0.5, 0.8, 0.9)


def between(low: float, high: float) -> Bounds:
    return Bounds(np.array([low]), np.array([high]))


ANY = between(-math.inf, math.inf)


def sample(n: int, seed: int = 1, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Heads of a forecast that knows its error to a factor of 1.5, lopsided, and truths. [n, 1, 1, 3], [n, 1, 1]."""
    rng = np.random.default_rng(seed)
    width = rng.gamma(4.0, 0.5, n)
    middle = rng.normal(0, 5, n)
    heads = np.stack([middle - width, middle, middle + 2 * width], axis=-1)
    error = rng.normal(0, 1, n) * scale
    return heads[:, None, None], (middle + np.where(error < 0, error, 2 * error) * width)[:, None, None]


def test_bands_hold_their_share_on_the_calibration_split_and_on_new_rows() -> None:
    heads, truth = sample(4_000)
    spread = np.ones((4_000, 1))
    calibration = conformal.fit(heads, truth, spread, ANY)
    for seed, tolerance in ((1, 0.001), (2, 0.02)):
        heads, truth = sample(4_000, seed)
        out = conformal.levels(conformal.ordered(heads, spread), calibration.scales(BANDS)[None], ANY)
        for i, band in enumerate(BANDS):
            inside = (out[:, 0, 0, 2 - i] <= truth[:, 0, 0]) & (truth[:, 0, 0] <= out[:, 0, 0, 4 + i])
            assert np.mean(inside) == pytest.approx(band, abs=tolerance)


@pytest.mark.parametrize("bounds", [ANY, between(-2, math.inf), between(-math.inf, 1), between(-2, 1)])
def test_a_band_holds_a_truth_exactly_when_its_score_is_within_the_scale(bounds: Bounds) -> None:
    heads, truth = sample(2_000)
    heads = conformal.ordered(heads, np.ones((2_000, 1)))
    score = conformal.score(heads, truth, bounds)[:, 0, 0]
    judged = bounds.clamp(truth)[:, 0, 0]
    assert np.any(bounds.beyond(heads) != bounds.beyond(truth)[..., None]) or bounds is ANY
    for scale in (0.3, 1.0, 1.7):
        out = conformal.levels(heads, np.full((1, 1, 1, 1), scale), bounds)[:, 0, 0]
        assert np.array_equal((out[:, 0] <= judged) & (judged <= out[:, 2]), score <= scale)


def test_bands_hold_their_share_of_truths_that_are_judged_at_an_edge() -> None:
    """A third of the truths lies beyond the edge, as humidity does in fog: each band holds its share, and is narrower
    than one that may lie where the quantity cannot be.
    """
    heads, truth = sample(4_000)
    bounds, spread = between(-math.inf, float(np.quantile(truth, 0.67))), np.ones((4_000, 1))
    calibration = conformal.fit(heads, truth, spread, bounds)
    heads, truth = sample(4_000, 2)
    heads, judged = conformal.ordered(heads, spread), bounds.clamp(truth)[:, 0, 0]
    out = conformal.levels(heads, calibration.scales(BANDS)[None], bounds)[:, 0, 0]
    free = conformal.levels(heads, conformal.fit(*sample(4_000), spread, ANY).scales(BANDS)[None], ANY)[:, 0, 0]
    for i, band in enumerate(BANDS):
        inside = (out[:, 2 - i] <= judged) & (judged <= out[:, 4 + i])
        assert np.mean(inside) == pytest.approx(band, abs=0.02)
        assert np.mean(out[:, 4 + i] - out[:, 2 - i]) < 0.8 * np.mean(free[:, 4 + i] - free[:, 2 - i])


def test_a_band_beyond_the_edge_is_the_edge_and_holds_a_truth_there() -> None:
    percent = between(0, 100)
    heads = np.array([[[[101.0, 104.0, 108.0]]], [[[-9.0, -4.0, -1.0]]]])
    out = conformal.levels(heads, np.array([0.5, 1.0])[None, None, None], percent)
    assert out[:, 0, 0].tolist() == [[100.0] * 5, [0.0] * 5]
    for truth, wanted in (((100.0, 0.0), 0.0), ((103.0, -2.0), 0.0)):
        assert conformal.score(heads, np.array(truth).reshape(2, 1, 1), percent).ravel().tolist() == [wanted] * 2
    # Inside, the distance counts from where the median stands, not from the edge it is served at.
    inside = conformal.score(heads, np.array([98.0, 2.0]).reshape(2, 1, 1), percent)
    assert inside.ravel().tolist() == [2.0, 2.0]


def test_bounds_are_the_supports_and_the_ranges_where_it_is_open() -> None:
    low, high = conformal.bounds_of(CONTRACT)
    assert CONTRACT.targets == ("temperature", "humidity", "pressure")
    assert low.tolist() == [-90.0, 0.0, 500.0] and high.tolist() == [60.0, 100.0, 1100.0]
    assert [CONTRACT.field(n).bounds for n in ("wind_speed", "precipitation")] == [(0.0, 120.0), (0.0, 500.0)]
    assert CONTRACT.field("station_id").bounds == (-math.inf, math.inf)
    low, high = conformal.bounds_of(meters())
    assert low.tolist() == [-40.0] and high.tolist() == [100.0]


def test_clamp_keeps_what_is_inside_and_what_is_missing() -> None:
    percent = Bounds(np.array([0.0, -math.inf]), np.array([100.0, 7.0]))
    values = np.array([[0.0, 7.0], [100.0, 7.5], [100.5, -1e9], [math.nan, math.nan]])
    assert percent.clamp(values)[:3].tolist() == [[0.0, 7.0], [100.0, 7.0], [100.0, -1e9]]
    assert np.isnan(percent.clamp(values)[3]).all()
    assert percent.beyond(values).tolist() == [[False, False], [False, True], [True, False], [False, False]]


def test_a_target_without_truth_keeps_the_band_of_the_heads() -> None:
    heads, truth = sample(10)
    assert np.all(conformal.fit(heads, truth * np.nan, np.ones((10, 1)), ANY).scores == 1.0)


def test_heads_that_meet_still_have_a_width() -> None:
    heads = conformal.ordered(np.array([[[[3.0, 3.0, 3.0]]], [[[4.0, 3.0, 2.0]]]]), np.array([[10.0], [np.nan]]))
    assert heads[0, 0, 0].tolist() == [2.8, 3.0, 3.2]
    assert heads[1, 0, 0].tolist() == [2.0, 3.0, 4.0], "heads that cross are put in order"


def test_calibration_goes_through_json_and_refuses_another_grid() -> None:
    made = conformal.fit(*sample(300), np.ones((300, 1)), ANY)
    value = json.loads(json.dumps(made.to_json()))
    assert np.array_equal(Calibration.from_json(value).scores, made.scores)
    assert made.scales(BANDS)[0, 0].tolist() == made.scores[0, 0, [100, 160, 180]].tolist()
    with pytest.raises(ValueError, match="other shares"):
        Calibration.from_json(value | {"shares": [0.0, 1.0]})
    assert GRID[180] == pytest.approx(0.9)


finite = st.floats(-1e6, 1e6)


@settings(max_examples=200, deadline=None)
@given(
    st.tuples(finite, finite, finite),
    st.floats(0, 1e3),
    st.lists(st.floats(0, 1e3), min_size=3, max_size=3),
    st.tuples(st.floats(-1e5, 0), st.floats(0, 1e5)),
)
def test_quantiles_never_cross_bands_nest_and_stay_in_range(
    heads: tuple[float, float, float], spread: float, scales: list[float], ends: tuple[float, float]
) -> None:
    three = conformal.ordered(np.array(heads)[None, None, None], np.array([[spread]]))
    nested = conformal.rising(np.array(scales)[None, None, None])
    bounds = between(*ends)
    out = conformal.levels(three, nested, bounds)[0, 0, 0]
    assert np.all(np.diff(out) >= 0)
    assert ends[0] <= out[0] and out[-1] <= ends[1]
    assert np.all(np.diff(conformal.fit(three, three[..., 1] + spread, np.array([[spread]]), bounds).scores) >= 0)
