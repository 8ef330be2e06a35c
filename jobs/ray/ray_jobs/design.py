"""From a row's input vector to the columns a head splits on, and the base its change is added to.

Between the fold (which owns the inputs) and the LightGBM heads (model.py); training and serving call the same
function. Uses only levels, differences and positions: nothing that depends on how often a station reports, so a head
trained on hourly rows can serve five-minute windows. Pure numpy: no state, no input or output.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from ray_jobs.baseline import DAY_MS, YEAR_MS, Baseline, Floats
from ray_jobs.generated.contract import Contract
from ray_jobs.linear import CLIP_SPREADS, Linear
from ray_jobs.sectors import Around, Sectors

HOUR_MS = 3_600_000
# Fields that are not forecast help by their level and a few changes; more lags of them cost time in every batch and
# won nothing.
SIDE_LAGS = (3, 6, 24)
FAULT_SPREADS = 6.0
# A station whose value never changes has no spread to measure in.
NO_SPREAD = 1e-9
# A linear forecast looks a day back; the heads look further.
LINEAR_LAGS_TO = 24
_LAG = re.compile(r"^(?P<value>.+)_lag_(?P<lag>\d+)$")
_MEAN = re.compile(r"^(?P<value>.+)_mean_(?P<hours>\d+)h$")


class Place(NamedTuple):
    """Degrees north, degrees east, metres above sea level; NaN where unknown."""

    latitude: float
    longitude: float
    elevation_m: float


def place_of(contract: Contract, station: str) -> Place:
    found = contract.stations.get(station)
    if found is None:
        return Place(math.nan, math.nan, math.nan)
    return Place(*(math.nan if x is None else float(x) for x in (found.latitude, found.longitude, found.elevation_m)))


class _Own(NamedTuple):
    """Of each target the anomaly now and at each lag, [n] each, and the newest credible one [n, target]."""

    anomalies: list[list[Floats]]
    newest: Floats


class Design:
    """Column plan of one contract and one order of inputs.

    `columns` names what `matrix` returns, in order. The plan follows from names alone: `<column>` is the value now,
    `<column>_lag_<k>` the value k steps ago, `<column>_mean_<n>h` its mean over n hours; other inputs are ignored.
    """

    def __init__(self, contract: Contract, input_names: tuple[str, ...]) -> None:
        self.contract = contract
        position = {name: i for i, name in enumerate(input_names)}
        self._now: dict[str, int] = {}
        self._lags: dict[str, list[tuple[int, int]]] = {}
        self._means: dict[str, list[tuple[int, int]]] = {}
        feature_columns = {f.column for f in contract.features}
        for name, i in position.items():
            lag, mean = _LAG.match(name), _MEAN.match(name)
            if name in feature_columns:
                self._now[name] = i
            elif lag and lag["value"] in feature_columns:
                self._lags.setdefault(lag["value"], []).append((int(lag["lag"]), i))
            elif mean and mean["value"] in feature_columns:
                self._means.setdefault(mean["value"], []).append((int(mean["hours"]), i))
        for entries in (*self._lags.values(), *self._means.values()):
            entries.sort()
        self._targets = [contract.target_column(t) for t in contract.targets]
        absent = [c for c in self._targets if c not in self._now]
        if absent:
            raise ValueError(f"inputs lack the value of {', '.join(absent)}")
        by_column = {f.column: f for f in contract.features}
        side = [v for v in contract.history_values if v in self._now and v not in self._targets]
        self._circular = [v for v in side if contract.field(by_column[v].field).role == "circular"]
        self._side = [v for v in side if v not in self._circular]
        self._air = self._column_of_quantity("air_temperature")
        self._moisture = self._column_of_quantity("relative_humidity")
        self._sun_hours = sorted(
            {0.0, *(h / 2 for h in contract.horizons_h), *map(float, contract.horizons_h)} - {24.0}
        )
        self._sectors = Sectors(contract, position)
        linear = (f"{t}_linear_change_{h}h" for t in self._targets for h in contract.horizons_h)
        self.columns: tuple[str, ...] = (*self._column_names(), *self._sectors.names, *linear)

    def lag_inputs(self) -> dict[int, list[int]]:
        """Input positions of each lag, over all values: what training drops together to make a young station."""
        by_lag: dict[int, list[int]] = {}
        for entries in self._lags.values():
            for lag, i in entries:
                by_lag.setdefault(lag, []).append(i)
        return by_lag

    def neighbour_inputs(self) -> list[NDArray[np.int64]]:
        """Input positions of each neighbour: what training drops together to make one that is silent."""
        return self._sectors.inputs()

    def matrix(
        self,
        baseline: Baseline,
        linear: Linear,
        tables: NDArray[np.int64],
        rows: NDArray[np.int64],
        places: Floats,
        around: Around,
        t_ms: Floats,
        inputs: Floats,
    ) -> tuple[NDArray[np.float32], Floats]:
        """The heads' columns and the base of every forecast.

        Shapes: `tables` [n] of the linear forecasts (-1 for none), `rows` [n] of the baseline, `places` [n, 3]
        (latitude, longitude, elevation), `around` of n rows, `t_ms` [n], `inputs` [n, input] -> columns [n, column],
        base [n, target, horizon].
        Edges: without a credible value now (within 6 spreads of the climatology) the newest lag's anomaly stands in;
        without any, a known station is at its climatology and an unknown one has no base (NaN).
        """
        contract = self.contract
        longitudes = places[:, 1]
        unknown = rows == baseline.unknown
        spread = baseline.spread_of(rows)
        own = self._own(baseline, rows, longitudes, t_ms, inputs)
        heard = self._sectors.anomalies(baseline, around, t_ms, inputs)
        now_clim = baseline.climatology(rows, longitudes, t_ms)
        later = (baseline.climatology(rows, longitudes, t_ms + float(h * HOUR_MS)) for h in contract.horizons_h)
        shift = np.stack([clim - now_clim for clim in later], axis=2)

        out: list[Floats] = []
        for k, target in enumerate(self._targets):
            value = inputs[:, self._now[target]]
            anomaly = own.anomalies[k][0]
            out += [value, np.where(unknown, np.nan, anomaly)]
            out += [then - anomaly for then in own.anomalies[k][1:]]
            out += [inputs[:, i] - value for _, i in self._means.get(target, [])]
        for column in self._side:
            value = inputs[:, self._now[column]]
            out.append(value)
            out += [inputs[:, i] - value for lag, i in self._lags.get(column, []) if lag in SIDE_LAGS]
        for column in self._circular:
            angle = np.radians(inputs[:, self._now[column]])
            out += [np.sin(angle), np.cos(angle)]
        if self._air and self._moisture:
            dew = dew_point(inputs[:, self._now[self._air]], inputs[:, self._now[self._moisture]])
            out.append(dew)
            moist = dict(self._lags.get(self._moisture, []))
            for lag, i in self._lags.get(self._air, []):
                if lag in SIDE_LAGS and lag in moist:
                    out.append(dew_point(inputs[:, i], inputs[:, moist[lag]]) - dew)
        out += [shift[:, k, j] for k in range(len(self._targets)) for j in range(len(contract.horizons_h))]
        out += [sun(places[:, 0], longitudes, t_ms + hours * HOUR_MS) for hours in self._sun_hours]
        year = 2 * np.pi * t_ms / YEAR_MS
        out += [np.sin(year), np.cos(year), places[:, 0], places[:, 1], places[:, 2]]
        out += self._sectors.columns(around, heard)

        held = np.where(unknown[:, None], own.newest, np.nan_to_num(own.newest))
        damped = baseline.damping_of(rows) * held[:, :, None]
        base = (now_clim[:, :, None] + shift) + damped
        z, enough = self._scaled(baseline, own, heard, around, spread, t_ms, longitudes)
        said = linear.forecast(np.where(enough & ~unknown, tables, -1), z) * spread[:, :, None] - damped
        out += [said[:, k, j] for k in range(len(self._targets)) for j in range(len(contract.horizons_h))]
        return np.stack(out, axis=1).astype(np.float32), base

    def linear_inputs(
        self, baseline: Baseline, rows: NDArray[np.int64], places: Floats, around: Around, t_ms: Floats, inputs: Floats
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """What a linear forecast is made from [n, input], and whether enough neighbours were heard for one [n]."""
        own = self._own(baseline, rows, places[:, 1], t_ms, inputs)
        heard = self._sectors.anomalies(baseline, around, t_ms, inputs)
        return self._scaled(baseline, own, heard, around, baseline.spread_of(rows), t_ms, places[:, 1])

    def _own(
        self, baseline: Baseline, rows: NDArray[np.int64], longitudes: Floats, t_ms: Floats, inputs: Floats
    ) -> _Own:
        lags = sorted({lag for target in self._targets for lag, _ in self._lags.get(target, [])})
        back = {lag: baseline.climatology(rows, longitudes, t_ms - float(lag * self.contract.step_ms)) for lag in lags}
        now = baseline.climatology(rows, longitudes, t_ms)
        unknown = rows == baseline.unknown
        spread = baseline.spread_of(rows)
        newest = np.full((len(t_ms), len(self._targets)), np.nan)
        anomalies: list[list[Floats]] = []
        for k, target in enumerate(self._targets):
            mine = [inputs[:, self._now[target]] - now[:, k]]
            mine += [inputs[:, i] - back[lag][:, k] for lag, i in self._lags.get(target, [])]
            # A value that far from its climatology is a fault, and must not be carried forward; without a level of
            # its own an unknown station cannot tell.
            limit = np.where(unknown, np.inf, FAULT_SPREADS * spread[:, k])
            for then in mine:
                with np.errstate(invalid="ignore"):
                    fits = np.isnan(newest[:, k]) & (np.abs(then) <= limit)
                newest[fits, k] = then[fits]
            anomalies.append(mine)
        return _Own(anomalies, newest)

    def _scaled(
        self,
        baseline: Baseline,
        own: _Own,
        heard: Floats,
        around: Around,
        spread: Floats,
        t_ms: Floats,
        longitudes: Floats,
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """A constant, the station's anomalies, the same times the waves of its solar day (how long an anomaly lasts
        depends on the hour), and its neighbours' anomalies, each in spreads of its own station. What is missing is what
        was heard after it, and else the climatology.
        """
        n = len(spread)
        spread = np.maximum(spread, NO_SPREAD)
        columns = [np.ones(n)]
        for k, target in enumerate(self._targets):
            after = np.nan_to_num(own.newest[:, k])
            columns.append(after / spread[:, k])
            for (lag, _), then in zip(self._lags.get(target, []), own.anomalies[k][1:], strict=True):
                after = np.where(np.isnan(then), after, then)
                if lag <= LINEAR_LAGS_TO:
                    columns.append(after / spread[:, k])
        of_theirs = np.maximum(baseline.spread_of(around.rows.reshape(-1)), NO_SPREAD)
        theirs = heard / of_theirs.reshape(n, -1, 1, heard.shape[3])
        for lag in range(1, theirs.shape[2]):
            theirs[:, :, lag] = np.where(np.isnan(theirs[:, :, lag]), theirs[:, :, 0], theirs[:, :, lag])
        mine = np.clip(np.stack(columns, axis=1), -CLIP_SPREADS, CLIP_SPREADS)
        phase = 2 * np.pi * (t_ms / DAY_MS + np.nan_to_num(longitudes) / 360.0)
        waves = [mine[:, 1:] * wave[:, None] for wave in (np.cos(phase), np.sin(phase))]
        whole = np.clip(np.nan_to_num(theirs).reshape(n, -1), -CLIP_SPREADS, CLIP_SPREADS)
        seated = np.sum(around.rows != baseline.unknown, axis=1)
        known = np.sum(~np.isnan(theirs[:, :, :1]).all(axis=(2, 3)), axis=1)
        return np.concatenate([mine, *waves, whole], axis=1), 2 * known >= seated

    def _column_of_quantity(self, quantity: str) -> str | None:
        for target, column in zip(self.contract.targets, self._targets, strict=True):
            if self.contract.field(target).quantity == quantity:
                return column
        return None

    def _column_names(self) -> list[str]:
        names: list[str] = []
        for target in self._targets:
            names += [target, f"{target}_anomaly"]
            names += [f"{target}_change_{lag}" for lag, _ in self._lags.get(target, [])]
            names += [f"{target}_mean_{hours}h_change" for hours, _ in self._means.get(target, [])]
        for column in self._side:
            names.append(column)
            names += [f"{column}_change_{lag}" for lag, _ in self._lags.get(column, []) if lag in SIDE_LAGS]
        for column in self._circular:
            names += [f"{column}_sin", f"{column}_cos"]
        if self._air and self._moisture:
            names.append("dew_point")
            moist = dict(self._lags.get(self._moisture, []))
            names += [
                f"dew_point_change_{lag}"
                for lag, _ in self._lags.get(self._air, [])
                if lag in SIDE_LAGS and lag in moist
            ]
        names += [f"{t}_climatology_change_{h}h" for t in self._targets for h in self.contract.horizons_h]
        names += [f"sun_{hours:g}h" for hours in self._sun_hours]
        return [*names, "year_sin", "year_cos", "latitude", "longitude", "elevation_m"]


def dew_point(celsius: Floats, humidity: Floats) -> Floats:
    """Dew point in degC from air temperature in degC and relative humidity in %. Magnus form, coefficients of
    Alduchov and Eskridge 1996.
    """
    gamma = np.log(np.clip(humidity, 1.0, 105.0) / 100.0) + 17.625 * celsius / (243.04 + celsius)
    return np.asarray(243.04 * gamma / (17.625 - gamma))


def sun(latitudes: Floats, longitudes: Floats, t_ms: Floats) -> Floats:
    """Sine of the sun's elevation, to about a degree; NaN without a position. [n], [n], [n] -> [n]."""
    declination = np.radians(-23.44) * np.cos(2 * np.pi * (t_ms / YEAR_MS + 10.0 / 365.2425))
    hour_angle = 2 * np.pi * (t_ms / DAY_MS + longitudes / 360.0) - np.pi
    north = np.radians(latitudes)
    return np.asarray(np.sin(north) * np.sin(declination) + np.cos(north) * np.cos(declination) * np.cos(hour_angle))
