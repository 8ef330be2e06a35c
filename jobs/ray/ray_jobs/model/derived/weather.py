"""What meteorology makes of measurements: pure functions that pipelines list in `forecast.derived`.

Arrays [n] in, one array [n] out, NaN where an input is. A parameter carries its unit in its name; the generator checks
that the column it is given has it.
"""

from __future__ import annotations

import numpy as np
from ray_jobs.model.baseline import Floats


def dew_point(temperature_degC: Floats, humidity_pct: Floats) -> Floats:
    """Dew point in degC from air temperature and relative humidity: how much water the air holds, which changes less
    over a day than either. Magnus form, coefficients of Alduchov and Eskridge 1996.

    Edges: humidity below 1 % counts as 1, above 105 % as 105.
    """
    gamma = np.log(np.clip(humidity_pct, 1.0, 105.0) / 100.0) + 17.625 * temperature_degC / (243.04 + temperature_degC)
    return np.asarray(243.04 * gamma / (17.625 - gamma))
