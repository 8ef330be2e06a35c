"""Named functions of the domains against values from elsewhere, and the columns that pipelines make of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ray_jobs.fold.fold import Fold
from ray_jobs.generated.contract import Derived
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.model.derived.sky import sun_elevation_sine
from ray_jobs.model.derived.weather import dew_point
from ray_jobs.model.design import Design, function_of
from tests.feature_rows import meters
from tests.tables import epoch_ms


def test_dew_point_of_the_tables() -> None:
    # World Meteorological Organization, Guide to Instruments, by its own saturation curve: to a tenth of a degree.
    found = dew_point(np.array([20.0, 30.0, 10.0, 25.0, 0.0]), np.array([50.0, 80.0, 90.0, 100.0, 20.0]))
    assert found == pytest.approx([9.3, 26.2, 8.4, 25.0, -20.3], abs=0.1)
    assert np.isnan(dew_point(np.array([np.nan, 20.0]), np.array([50.0, np.nan]))).all()
    assert dew_point(np.array([20.0]), np.array([0.0])) == dew_point(np.array([20.0]), np.array([1.0]))


@pytest.mark.parametrize(
    ("latitude", "longitude", "time", "degrees"),
    [
        # Noon at an equinox and at both solstices: 90 - |latitude - declination|.
        (0.0, 0.0, "2016-03-20 12:07", 90.0),
        (51.5, 0.0, "2016-06-21 12:02", 61.9),
        (51.5, 0.0, "2016-12-21 11:58", 15.1),
        (-33.9, 151.2, "2016-12-21 01:53", 79.5),
        # Midnight sun and polar night.
        (70.0, 0.0, "2016-06-21 00:00", 3.4),
        (70.0, 0.0, "2016-12-21 12:00", -3.4),
    ],
)
def test_sun_elevation_of_the_almanac(latitude: float, longitude: float, time: str, degrees: float) -> None:
    at = np.array([float(epoch_ms(time))])
    sine = sun_elevation_sine(np.array([latitude]), np.array([longitude]), at)
    assert np.degrees(np.arcsin(sine)) == pytest.approx([degrees], abs=2.0)
    assert np.isnan(sun_elevation_sine(np.array([np.nan]), np.array([longitude]), at)).all()


def test_a_pipeline_lists_its_own_columns() -> None:
    design = Design(CONTRACT, Fold(CONTRACT).input_names)
    derived = [c for c in design.columns if c.startswith(("dew_point", "sun_"))]
    assert derived[:4] == ["dew_point", "dew_point_change_3", "dew_point_change_6", "dew_point_change_24"]
    assert derived[4:] == ["sun_0h", "sun_3h", "sun_6h", "sun_12h"]
    other = meters()
    columns = Design(other, Fold(other).input_names).columns
    assert [c for c in columns if "daylight" in c] == ["daylight_0h", "daylight_0.5h", "daylight_1h"]
    assert not any("dew" in c or "sun" in c for c in columns)
    none = replace(CONTRACT, derived=())
    assert set(design.columns) - set(Design(none, Fold(none).input_names).columns) == set(derived)


def test_a_column_of_values_may_know_the_place_and_takes_lags_that_all_inputs_have() -> None:
    contract = meters()
    both = Derived("both", "weather.dew_point", ("power_mean", "voltage_mean"))
    contract = replace(contract, derived=(both,), step_ms=contract.step_ms, lags=(3, 4, 6))
    names = tuple(n for n in Fold(contract).input_names if n != "voltage_mean_lag_6")
    columns = Design(contract, names).columns
    assert [c for c in columns if c.startswith("both")] == ["both", "both_change_3"]


def test_every_listed_function_is_there() -> None:
    for contract in (CONTRACT, meters()):
        for derived in contract.derived:
            assert callable(function_of(derived.function))
    with pytest.raises((AttributeError, ModuleNotFoundError)):
        function_of("sky.moon")
