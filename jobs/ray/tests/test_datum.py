"""A network's change of datum is found and taken out; weather, and what a few stations do, is not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from ray_jobs import datum, samples
from ray_jobs.baseline import Floats
from ray_jobs.datum import Series, Shift
from ray_jobs.generated.weather_contract import CONTRACT

HOUR_MS = 3_600_000
HORIZONS_MS = [6 * HOUR_MS, 24 * HOUR_MS]
TOLERANCE_MS = 600_000
PRESSURE = 1


def ms(text: str) -> int:
    return int(np.datetime64(text, "ms").astype(np.int64))


def network(stations: int = 12, seed: int = 5) -> Series:
    """Three years of a temperature and a pressure every three hours: a yearly course, weather of three days that
    neighbours share in part, and a year's winter that is 4 K too cold at most stations.
    """
    rng = np.random.default_rng(seed)
    t_ms = np.arange(ms("2013-01-01"), ms("2016-01-01"), 3 * HOUR_MS).astype(np.float64)
    year = 2 * np.pi * t_ms / (365.2425 * 24 * HOUR_MS)
    out: Series = []
    shared = weather(rng, len(t_ms))
    for s in range(stations):
        own = 0.5 * shared + weather(rng, len(t_ms))
        cold = np.where((t_ms >= ms("2014-12-01")) & (t_ms < ms("2015-02-01")), -4.0 + 3.0 * rng.standard_normal(), 0.0)
        temperature = 12 - 10 * np.cos(year) + 4 * own + cold
        pressure = 1010 + s + 5 * np.cos(year) - 5 * own
        out.append((t_ms, np.stack([temperature, pressure], axis=1)))
    return out


def weather(rng: np.random.Generator, n: int) -> Floats:
    out = np.empty(n)
    level = 0.0
    for i, step in enumerate(rng.standard_normal(n)):
        level = 0.96 * level + 0.28 * step
        out[i] = level
    return out


def shifted(series: Series, start: str, end: str, offset: float, stations: int | None = None) -> Series:
    out: Series = []
    for s, (t_ms, values) in enumerate(series):
        moved = values.copy()
        if stations is None or s < stations:
            moved[(t_ms >= ms(start)) & (t_ms < ms(end)), PRESSURE] += offset
        out.append((t_ms, moved))
    return out


def fitted(series: Series) -> tuple[Floats, tuple[Shift, ...]]:
    names = tuple(f"s{i}" for i in range(len(series)))
    baseline, found = datum.fit(names, np.zeros(len(series)), series, HORIZONS_MS, TOLERANCE_MS)
    return baseline.coefficients, found


def test_a_networks_shift_is_found_and_taken_out() -> None:
    honest = network()
    wanted, none = fitted(honest)
    assert none == ()
    got, found = fitted(shifted(honest, "2014-08-01", "2015-04-01", 14.0))
    assert [s[:3] for s in found] == [(PRESSURE, ms("2014-08-01"), ms("2015-04-01"))]
    assert found[0].offset == pytest.approx(14.0, abs=1.0)
    assert np.max(np.abs(got[:, PRESSURE, 0] - wanted[:, PRESSURE, 0])) < 1.0
    assert np.array_equal(got[:, 0], wanted[:, 0])


def test_the_newest_month_says_which_datum_counts() -> None:
    _, found = fitted(shifted(network(), "2015-06-01", "2016-01-01", -14.0))
    assert [s[:3] for s in found] == [(PRESSURE, ms("2013-01-01"), ms("2015-06-01"))]
    assert found[0].offset == pytest.approx(14.0, abs=1.0)


def test_what_some_stations_do_is_no_shift_of_the_network() -> None:
    honest = network()
    for series in (
        shifted(honest, "2014-08-01", "2015-04-01", 14.0, stations=6),
        shifted(honest, "2014-08-01", "2015-04-01", 2.0),
        shifted(honest[: datum.STATIONS - 1], "2014-08-01", "2015-04-01", 14.0),
        # Of two years nobody knows which one is off.
        [
            (t[t >= ms("2014-01-01")], v[t >= ms("2014-01-01")])
            for t, v in shifted(honest, "2014-08-01", "2015-04-01", 14.0)
        ],
    ):
        assert fitted(series)[1] == ()


def test_rows_of_a_shift_are_read_without_it() -> None:
    inside, after = ms("2015-01-15"), ms("2015-05-01")
    rows = pa.table(
        {
            "window_end": [inside, inside, after],
            "pressure_mean": [1020.0, None, 1020.0],
            "pressure_max": [1021.0, 1021.0, 1021.0],
            "pressure_std": [0.5, 0.5, 0.5],
            "temperature_mean": [10.0, 10.0, 10.0],
        }
    )
    shift = Shift(CONTRACT.targets.index("pressure"), ms("2014-08-01"), after, 14.0)
    got = samples.in_one_datum(rows, CONTRACT, (shift,)).to_pydict()
    assert got["pressure_mean"] == [1006.0, None, 1020.0]
    assert got["pressure_max"] == [1007.0, 1007.0, 1021.0]
    assert (got["pressure_std"], got["temperature_mean"]) == ([0.5] * 3, [10.0] * 3)
    assert samples.in_one_datum(rows, CONTRACT, ()) is rows
