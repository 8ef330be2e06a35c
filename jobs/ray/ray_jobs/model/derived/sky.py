"""Where the sun stands: pure functions of place and time that pipelines list in `forecast.derived`.

Arrays [n] in, one array [n] out, NaN where an input is. `latitude` and `longitude` are degrees north and east, `t_ms`
UTC epoch milliseconds.
"""

from __future__ import annotations

import numpy as np
from ray_jobs.model.baseline import DAY_MS, YEAR_MS, Floats


def sun_elevation_sine(latitude: Floats, longitude: Floats, t_ms: Floats) -> Floats:
    """Sine of the sun's elevation, no unit: negative at night, and by day the share of the sun's heat that level ground
    gets. Declination of a circular orbit (an obliquity of 23.44 degrees, the solstice ten days before the new year) and
    no equation of time: to 16 minutes of the day.
    """
    declination = np.radians(-23.44) * np.cos(2 * np.pi * (t_ms / YEAR_MS + 10.0 / 365.2425))
    hour_angle = 2 * np.pi * (t_ms / DAY_MS + longitude / 360.0) - np.pi
    north = np.radians(latitude)
    return np.asarray(np.sin(north) * np.sin(declination) + np.cos(north) * np.cos(declination) * np.cos(hour_angle))
