"""Bands hold their share on what they were calibrated on, nest, and never cross, whatever the heads say."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray_jobs.ledger import conformal
from ray_jobs.ledger.conformal import GRID, Calibration

BANDS = (0.5, 0.8, 0.9)
ANY = np.array([-math.inf]), np.array([math.inf])


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
    calibration = conformal.fit(heads, truth, spread)
    for seed, tolerance in ((1, 0.001), (2, 0.02)):
        heads, truth = sample(4_000, seed)
        out = conformal.levels(conformal.ordered(heads, spread), calibration.scales(BANDS)[None], *ANY)
        for i, band in enumerate(BANDS):
            inside = (out[:, 0, 0, 2 - i] <= truth[:, 0, 0]) & (truth[:, 0, 0] <= out[:, 0, 0, 4 + i])
            assert np.mean(inside) == pytest.approx(band, abs=tolerance)


def test_a_band_holds_a_truth_exactly_when_its_score_is_within_the_scale() -> None:
    heads, truth = sample(500)
    heads = conformal.ordered(heads, np.ones((500, 1)))
    score = conformal.score(heads, truth)[:, 0, 0]
    for scale in (0.3, 1.0, 1.7):
        out = conformal.levels(heads, np.full((1, 1, 1, 1), scale), *ANY)[:, 0, 0]
        assert np.array_equal((out[:, 0] <= truth[:, 0, 0]) & (truth[:, 0, 0] <= out[:, 2]), score <= scale)


def test_a_target_without_truth_keeps_the_band_of_the_heads() -> None:
    heads, truth = sample(10)
    assert np.all(conformal.fit(heads, truth * np.nan, np.ones((10, 1))).scores == 1.0)


def test_heads_that_meet_still_have_a_width() -> None:
    heads = conformal.ordered(np.array([[[[3.0, 3.0, 3.0]]], [[[4.0, 3.0, 2.0]]]]), np.array([[10.0], [np.nan]]))
    assert heads[0, 0, 0].tolist() == [2.8, 3.0, 3.2]
    assert heads[1, 0, 0].tolist() == [2.0, 3.0, 4.0], "heads that cross are put in order"


def test_calibration_goes_through_json_and_refuses_another_grid() -> None:
    made = conformal.fit(*sample(300), np.ones((300, 1)))
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
    heads: tuple[float, float, float], spread: float, scales: list[float], bounds: tuple[float, float]
) -> None:
    three = conformal.ordered(np.array(heads)[None, None, None], np.array([[spread]]))
    nested = conformal.rising(np.array(scales)[None, None, None])
    out = conformal.levels(three, nested, np.array([bounds[0]]), np.array([bounds[1]]))[0, 0, 0]
    assert np.all(np.diff(out) >= 0)
    assert bounds[0] <= out[0] and out[-1] <= bounds[1]
    assert np.all(np.diff(conformal.fit(three, three[..., 1] + spread, np.array([[spread]])).scores) >= 0)
