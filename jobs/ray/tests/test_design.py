"""What the heads split on: sectors of neighbours, the linear forecast, and what happens when somebody is silent."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from ray_jobs.fold.fold import Fold
from ray_jobs.generated.contract import Contract, Neighbour
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.kit.time import HOUR_MS
from ray_jobs.model import linear
from ray_jobs.model.baseline import Baseline, harmonics
from ray_jobs.model.design import Design
from ray_jobs.model.linear import BLOCKS, Linear
from ray_jobs.model.sectors import WEIGHT_KM, around_of
from tests.feature_rows import meters
from tests.generated.ray.gauges_contract import CONTRACT as GAUGES

AROUND = {
    "a": (
        Neighbour("b", "north", 1, 100.0),
        Neighbour("c", "north", 2, 300.0),
        Neighbour("stranger", "west", 1, 50.0),
    )
}
SMALL = replace(
    CONTRACT, targets=("temperature", "pressure"), horizons_ms=(6 * HOUR_MS,), per_sector=2, neighbours=AROUND
)
FOLD = Fold(SMALL)
AT = {name: i for i, name in enumerate(FOLD.input_names)}
DESIGN = Design(SMALL, FOLD.input_names)
COLUMN = {name: i for i, name in enumerate(DESIGN.columns)}
T0 = 1_480_550_400_000.0
LEVELS = {"a": 10.0, "b": 20.0, "c": -5.0}


def baseline() -> Baseline:
    """Climatologies that are a constant, another one for each station, and a spread of 2."""
    width = harmonics(np.zeros(1), np.zeros(1)).shape[1]
    coefficients = np.zeros((3, 2, width))
    for i, name in enumerate(LEVELS):
        coefficients[i, :, 0] = LEVELS[name]
    return Baseline(tuple(LEVELS), np.zeros(3), coefficients, np.full((3, 2, 1), 0.5), np.full((3, 2), 2.0))


PENALTY = np.array([0.0, 3e-3, 3e-3, 3e-3])
NO_LINEAR = Linear(np.full((3, 2, 1, 1), np.nan))


def columns(
    inputs: NDArray[np.float64],
    with_: Linear = NO_LINEAR,
    contract: Contract = SMALL,
    of: Baseline | None = None,
    row: int = 0,
) -> dict[str, float]:
    base = of or baseline()
    made, _ = DESIGN.matrix(
        base,
        with_,
        np.array([row]),
        np.array([row]),
        np.full((1, 3), np.nan),
        around_of(contract, base, "a"),
        np.array([T0]),
        inputs[None],
    )
    return {name: float(made[0, i]) for name, i in COLUMN.items()}


def heard(**values: float) -> NDArray[np.float64]:
    inputs = np.full(len(AT), np.nan)
    inputs[AT["temperature_mean"]] = 11.0
    for name, value in values.items():
        inputs[AT[name]] = value
    return inputs


def test_a_sector_is_the_mean_anomaly_of_its_neighbours_by_distance() -> None:
    found = columns(
        heard(
            temperature_mean_north_1=21.0,
            north_1_age_h=1.0,
            temperature_mean_north_2=-9.0,
            north_2_age_h=1.0,
            temperature_mean_north_1_lag_3=24.0,
            north_1_lag_3_age_h=4.0,
        )
    )
    near, far = 1 / (100 + WEIGHT_KM), 1 / (300 + WEIGHT_KM)
    assert found["temperature_mean_north_anomaly"] == pytest.approx((1.0 * near - 4.0 * far) / (near + far))
    assert found["temperature_mean_around_anomaly"] == found["temperature_mean_north_anomaly"]
    # Only the nearer one says what was three hours ago.
    assert found["temperature_mean_north_change_3"] == pytest.approx(3.0)
    assert math.isnan(found["temperature_mean_north_change_24"]) and math.isnan(found["temperature_mean_south_anomaly"])
    assert math.isnan(found["pressure_mean_north_anomaly"])


def test_from_one_side_to_the_other_is_the_difference_of_facing_sectors() -> None:
    contract = replace(SMALL, neighbours={"a": (Neighbour("b", "north", 1, 100.0), Neighbour("c", "south", 1, 300.0))})
    found = columns(
        heard(temperature_mean_north_1=21.0, north_1_age_h=1.0, temperature_mean_south_1=-8.0, south_1_age_h=1.0),
        contract=contract,
    )
    assert found["temperature_mean_north_less_south"] == pytest.approx(1.0 - -3.0)
    assert math.isnan(found["temperature_mean_east_less_west"])
    assert "temperature_mean_south_less_north" not in found


def test_heads_do_not_see_what_is_no_weather() -> None:
    # The climatology is 10, a value may be off by 10 and a mean by 6.
    found = columns(
        heard(
            temperature_mean=20.1,
            temperature_mean_lag_1=20.0,
            temperature_mean_lag_2=-0.1,
            temperature_mean_lag_3=11.0,
            temperature_mean_mean_24h=16.1,
            temperature_mean_mean_96h=16.0,
        )
    )
    assert math.isnan(found["temperature_mean"]) and math.isnan(found["temperature_mean_anomaly"])
    assert math.isnan(found["temperature_mean_change_2"]) and math.isnan(found["dew_point"])
    found = columns(
        heard(
            temperature_mean=12.0,
            temperature_mean_lag_1=20.0,
            temperature_mean_lag_2=-0.1,
            temperature_mean_mean_24h=16.1,
            temperature_mean_mean_96h=16.0,
        )
    )
    assert found["temperature_mean_anomaly"] == 2.0 and found["temperature_mean_change_1"] == 8.0
    assert math.isnan(found["temperature_mean_change_2"])
    assert math.isnan(found["temperature_mean_mean_24h_change"]) and found["temperature_mean_mean_96h_change"] == 4.0


def test_without_a_level_or_a_spread_nothing_is_a_fault() -> None:
    base = baseline()
    flat = replace(base, spread=np.zeros((3, 2)))
    for of, row in ((base, base.unknown), (flat, 0)):
        assert columns(heard(temperature_mean=500.0), of=of, row=row)["temperature_mean"] == 500.0


def test_a_fault_and_a_neighbour_without_a_climatology_do_not_count() -> None:
    found = columns(
        heard(
            temperature_mean_north_1=20.0 + 2 * 5.1,
            north_1_age_h=1.0,
            temperature_mean_north_2=-4.0,
            north_2_age_h=1.0,
            temperature_mean_west_1=30.0,
            west_1_age_h=1.0,
        )
    )
    assert found["temperature_mean_north_anomaly"] == pytest.approx(1.0)
    assert math.isnan(found["temperature_mean_west_anomaly"])


def test_a_neighbour_that_never_changed_says_nothing_when_it_does() -> None:
    spread = baseline().spread.copy()
    spread[1] = 0.0
    values = {"temperature_mean_north_1": 20.5, "north_1_age_h": 1.0, "temperature_mean_north_2": -4.0}
    found = columns(heard(**values, north_2_age_h=1.0), of=replace(baseline(), spread=spread))
    assert found["temperature_mean_north_anomaly"] == pytest.approx(1.0)


def test_half_a_day_in_another_datum_is_where_the_forecast_goes_on() -> None:
    base = baseline()
    recent = {f"temperature_mean_lag_{k}": -30.0 for k in (1, 2, 3, 6, 12)} | {"temperature_mean_lag_24": 12.0}

    def made(**values: float) -> tuple[dict[str, float], float]:
        inputs = heard(**(recent | values))
        return columns(inputs), float(
            DESIGN.matrix(
                base,
                NO_LINEAR,
                base.rows(["a"]),
                base.rows(["a"]),
                np.full((1, 3), np.nan),
                around_of(SMALL, base, "a"),
                np.array([T0]),
                inputs[None],
            )[1][0, 0, 0]
        )

    # The climatology is 10 and the limit 10: off by 40 since at least 12 hours, an hour ago by one more.
    found, said = made(temperature_mean=-30.0, temperature_mean_lag_1=-31.0, temperature_mean_mean_24h=-20.0)
    assert said == pytest.approx(-30.0) and found["temperature_mean_anomaly"] == 0.0
    assert found["temperature_mean_change_1"] == -1.0 and found["temperature_mean_change_24"] == 2.0
    assert math.isnan(found["temperature_mean_mean_24h_change"])
    # One lag may be missing; two of them, or a value back where it was, and it is a fault as before.
    assert made(temperature_mean=-30.0, temperature_mean_lag_3=math.nan)[1] == pytest.approx(-30.0)
    two = made(temperature_mean=-30.0, temperature_mean_lag_3=11.0, temperature_mean_lag_2=11.0)[1]
    assert two == pytest.approx(10.0 + 0.5 * 1.0)
    assert made(temperature_mean=11.0)[1] == pytest.approx(10.0 + 0.5 * 1.0)


def test_where_no_datum_can_be_a_fault_stays_one_however_long() -> None:
    values = {f"pressure_mean_lag_{k}": -30.0 for k in (1, 2, 3, 6, 12)} | {"pressure_mean_lag_24": 12.0}
    inputs = heard(**values, pressure_mean=-30.0)[None]

    def said(low: float, level: float = 10.0) -> tuple[float, float]:
        coefficients = baseline().coefficients
        coefficients[0, 1, 0] = level
        base = replace(baseline(), coefficients=coefficients)
        design = Design(replace(SMALL, datums={"pressure": (low, 1085.0)}), FOLD.input_names)
        rows, seats = base.rows(["a"]), around_of(SMALL, base, "a")
        made, bases = design.matrix(base, NO_LINEAR, rows, rows, np.full((1, 3), np.nan), seats, np.array([T0]), inputs)
        return float(made[0, COLUMN["pressure_mean"]]), float(bases[0, 1, 0])

    # Without its datum the value now is what it is at the climatology; the ends are inclusive.
    assert said(-30.0) == (10.0, pytest.approx(-30.0))
    faulty, base = said(-29.9)
    # What was heard a day ago is the newest.
    assert math.isnan(faulty) and base == pytest.approx(10.0 + 0.5 * 2.0)
    # A station that always stood there is at home.
    assert said(-29.9, level=-31.0)[0] == -30.0


def test_the_linear_forecast_needs_half_of_the_neighbours() -> None:
    base = baseline()
    place, seats = np.full((1, 3), np.nan), around_of(SMALL, base, "a")
    one = heard(temperature_mean_north_1=21.0, north_1_age_h=1.0)
    z, enough = DESIGN.linear_inputs(base, base.rows(["a"]), place, seats, np.array([T0]), one[None])
    assert enough[0] and z[0, 0] == 1.0 and z[0, 1] == 0.5
    # Lags that are missing are what was heard after them: nothing changed.
    assert np.all(z[0, 1:9] == 0.5) and np.count_nonzero(z[0]) == 1 + 4 * (8 + 3)
    assert DESIGN.linear_penalties().shape == z.shape[1:]
    _, enough = DESIGN.linear_inputs(base, base.rows(["a"]), place, seats, np.array([T0]), heard()[None])
    assert not enough[0]

    weights = np.zeros((3, 2, 1, z.shape[1]))
    weights[0, 0, 0, 1] = 1.0
    assert columns(one, Linear(weights))["temperature_mean_linear_change_6h"] == pytest.approx(1.0 - 0.5)
    assert math.isnan(columns(heard(), Linear(weights))["temperature_mean_linear_change_6h"])


def test_faults_in_the_truth_do_not_steer_the_linear_forecast() -> None:
    rng = np.random.default_rng(4)
    z = np.concatenate([np.ones((4_000, 1)), rng.normal(size=(4_000, 1)).clip(-4, 4)], axis=1)
    y = 0.5 * z[:, 1] + rng.normal(size=4_000) * 0.01
    y[::20] = 4.0
    assert linear.fit(z, y[:, None, None], np.array([0.0, 3e-3])).linear.coefficients[-1, 0, 0] == pytest.approx(
        [0.0, 0.5], abs=0.02
    )


def test_linear_finds_a_plane_and_no_block_has_seen_itself() -> None:
    rng = np.random.default_rng(3)
    z = np.concatenate([np.ones((4_000, 1)), rng.normal(size=(4_000, 3)).clip(-4, 4)], axis=1)
    y = (z @ np.array([0.1, 0.5, -0.25, 0.0]))[:, None, None] + rng.normal(size=(4_000, 1, 1)) * 0.01
    fitted = linear.fit(z, y, PENALTY)
    assert fitted.linear.coefficients[-1, 0, 0] == pytest.approx([0.1, 0.5, -0.25, 0.0], abs=3e-3)
    spoilt = y.copy()
    spoilt[fitted.table == 1] = 1.0
    again = linear.fit(z, spoilt, PENALTY)
    assert np.array_equal(again.linear.coefficients[1], fitted.linear.coefficients[1])
    assert not np.array_equal(again.linear.coefficients[2], fitted.linear.coefficients[2])
    whole = fitted.linear.forecast(fitted.table, z)
    assert np.array_equal(whole[17], fitted.linear.forecast(fitted.table[17:18], z[17:18])[0])
    assert np.isnan(fitted.linear.forecast(np.array([-1, BLOCKS + 1]), z[:2])).all()
    assert np.array_equal(Linear.from_json(fitted.linear.to_json()).coefficients, fitted.linear.coefficients)


def test_linear_of_too_few_rows_says_nothing() -> None:
    z, penalty = np.ones((20, 8)), np.full(8, 1e-3)
    assert np.isnan(linear.fit(z, np.zeros((20, 2, 1)), penalty).linear.coefficients).all()
    assert np.isnan(linear.fit(z[:0], np.zeros((0, 2, 1)), penalty).linear.coefficients).all()


def test_a_domain_without_places_has_no_sectors() -> None:
    contract = meters()
    design = Design(contract, Fold(contract).input_names)
    assert design.neighbour_inputs() == []
    assert not [name for name in design.columns if "north" in name or "around" in name]
    assert "power_mean_linear_change_1h" in design.columns


def test_columns_of_half_an_hour_are_called_in_minutes() -> None:
    columns = Design(GAUGES, Fold(GAUGES).input_names).columns
    for of in ("level_mean_climatology_change", "level_mean_linear_change"):
        assert {f"{of}_30m", f"{of}_90m", f"{of}_3h"} <= set(columns)
