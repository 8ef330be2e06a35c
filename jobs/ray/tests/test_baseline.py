"""Climatology and damped anomaly persistence against series whose answer is known."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from ray_jobs.model import baseline
from ray_jobs.model.baseline import DAY_MS, YEAR_MS, Floats

HOUR = 3_600_000.0
T0 = 1_420_070_400_000.0


def series(years: float, level: float, memory: float, seed: int) -> tuple[Floats, Floats]:
    """Hourly values with a yearly wave of 10, a daily wave of 4 and noise that forgets with `memory` an hour."""
    rng = np.random.default_rng(seed)
    t = T0 + HOUR * np.arange(int(years * 365.2425 * 24))
    noise = np.zeros(len(t))
    for i in range(1, len(t)):
        noise[i] = memory * noise[i - 1] + rng.normal()
    value = level + 10 * np.cos(2 * np.pi * t / YEAR_MS) + 4 * np.sin(2 * np.pi * t / DAY_MS) + noise
    return t, value[:, None]


def test_fit_finds_waves_damping_and_spread() -> None:
    t, x = series(3.0, 15.0, 0.9, 1)
    found = baseline.fit(("a",), np.array([0.0]), [(t, x)], [int(6 * HOUR), int(24 * HOUR)], 600_000)
    later = t[-1] + HOUR * np.arange(1, 24 * 30)
    want = 15 + 10 * np.cos(2 * np.pi * later / YEAR_MS) + 4 * np.sin(2 * np.pi * later / DAY_MS)
    got = found.climatology(np.zeros(len(later), dtype=np.int64), np.zeros(len(later)), later)[:, 0]
    assert np.max(np.abs(got - want)) < 0.6
    assert abs(found.damping[0, 0, 0] - 0.9**6) < 0.06
    assert abs(found.damping[0, 0, 1] - 0.9**24) < 0.08
    assert abs(found.spread[0, 0] - 1 / np.sqrt(1 - 0.81)) < 0.15


def test_fit_leaves_out_faults() -> None:
    t, x = series(1.5, 15.0, 0.9, 2)
    clean = baseline.fit(("a",), np.array([0.0]), [(t, x)], [int(6 * HOUR)], 600_000)
    broken = x.copy()
    broken[::20] -= 200.0
    found = baseline.fit(("a",), np.array([0.0]), [(t, broken)], [int(6 * HOUR)], 600_000)
    rows = np.zeros(200, dtype=np.int64)
    at = t[:200]
    assert np.max(np.abs(found.climatology(rows, 0.0 * at, at) - clean.climatology(rows, 0.0 * at, at))) < 0.3
    assert abs(found.spread[0, 0] - clean.spread[0, 0]) < 0.2


def test_fit_draws_no_yearly_wave_from_two_months() -> None:
    t, x = series(0.2, 15.0, 0.9, 3)
    found = baseline.fit(("a",), np.array([0.0]), [(t, x)], [int(6 * HOUR)], 600_000)
    half_a_year_later = t[:48] + YEAR_MS / 2
    level = found.climatology(np.zeros(48, dtype=np.int64), np.zeros(48), half_a_year_later).mean()
    assert abs(level - x.mean()) < 1.0


def test_unknown_station_takes_the_networks_shape_and_persistence() -> None:
    parts = [series(1.5, level, 0.9, seed) for seed, level in enumerate((0.0, 30.0))]
    found = baseline.fit(("a", "b"), np.array([0.0, 0.0]), parts, [int(6 * HOUR)], 600_000)
    rows = found.rows(["b", "nowhere"])
    assert list(rows) == [1, found.unknown]
    assert found.damping_of(rows)[1, 0, 0] == 1.0
    at = np.array([T0, T0])
    day = [found.climatology(rows, np.zeros(2), at + h * HOUR)[:, 0] for h in (6.0, 18.0)]
    assert np.allclose(day[0] - day[1], 8.0, atol=0.5)


def test_station_without_a_value_takes_the_networks_mean() -> None:
    t, x = series(1.2, 10.0, 0.9, 4)
    found = baseline.fit(
        ("a", "b"), np.array([0.0, 0.0]), [(t, x), (t, np.full_like(x, np.nan))], [int(6 * HOUR)], 600_000
    )
    assert np.array_equal(found.coefficients[0], found.coefficients[1])
    assert np.all(np.isfinite(found.spread))


def test_baseline_survives_json() -> None:
    t, x = series(0.6, 10.0, 0.9, 5)
    found = baseline.fit(("a",), np.array([np.nan]), [(t, x)], [int(6 * HOUR)], 600_000)
    again = baseline.Baseline.from_json(found.to_json())
    assert again.to_json() == found.to_json()
    assert np.isnan(again.longitudes[0])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 1_000), max_size=20, unique=True),
    st.lists(st.integers(-50, 1_050), max_size=20),
    st.integers(0, 60),
)
def test_nearest_is_the_naive_search(times: list[int], wanted: list[int], tolerance: int) -> None:
    t = np.array(sorted(times), dtype=np.float64)
    got = baseline.nearest(t, np.array(wanted, dtype=np.float64), tolerance)
    for w, i in zip(wanted, got, strict=True):
        inside = [(abs(x - w), j) for j, x in enumerate(t) if abs(x - w) <= tolerance]
        assert i == (min(inside)[1] if inside else -1)
