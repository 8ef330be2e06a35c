"""From a row's input vector to the columns a head splits on, and the base its change is added to.

Between the fold (which owns the inputs) and the LightGBM heads (heads.py); training and serving call the same
function. Uses only levels, differences and positions: nothing that depends on how often a station reports, so a head
trained on hourly rows can serve five-minute windows. What a domain adds are the contract's derived columns: named
functions of derived/. Pure numpy: no state, no input or output.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from ray_jobs.generated.contract import Contract, horizon_name
from ray_jobs.kit.time import HOUR_MS
from ray_jobs.model.baseline import DAY_MS, YEAR_MS, Baseline, Floats
from ray_jobs.model.linear import CLIP_SPREADS, Linear
from ray_jobs.model.sectors import FAULT_SPREADS, Around, Sectors

# Fields that are not forecast help by their level and a few changes; more lags of them cost time in every batch and
# won nothing.
SIDE_LAGS = (3, 6, 24)
# Words that derived columns may take beside columns: of the station, and the time they are made for.
PLACE = ("latitude", "longitude", "elevation_m")
TIME = "t_ms"
# A mean over a day or more of which a part was a fault is less far off than that fault: beyond this it is not weather's
# alone.
MEAN_SPREADS = 3.0
# A value that has stood off as a fault for half a day, and stayed where it was, is no fault any more but another
# datum (a pressure at the station instead of at sea level): forecasts go on from there.
DATUM_HOURS = 12
# A station whose value never changes has no spread to measure in.
NO_SPREAD = 1e-9
# A linear forecast looks a day back; the heads look further.
LINEAR_LAGS_TO = 24
# Penalties of the linear forecast, a row, in squared spreads: what a station knows of itself; what its neighbours say;
# how that goes with the hour of the day; how both go with the season.
OWN_PENALTY = 3e-3
NEAR_PENALTY = 1e-2
NEAR_DAY_PENALTY = 3e-2
SEASON_PENALTY = 5e-2
# The season's wave is at its height around the coldest day of the north, 18 January.
COLDEST = 0.05
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


def limits_of(baseline: Baseline, rows: NDArray[np.int64]) -> Floats:
    """How far from its climatology a value may be, inclusive, to be weather; infinite for a station without a level or
    a spread of its own, which cannot tell. [n] -> [n, target], unit of the target.
    """
    spread = baseline.spread_of(rows)
    tells = (rows != baseline.unknown)[:, None] & (spread > NO_SPREAD)
    return np.where(tells, FAULT_SPREADS * spread, np.inf)


class _Own(NamedTuple):
    """Of each target the anomaly now and at each lag, [n] each, and the newest credible one [n, target]. `datum`
    [n, target] is how far the station's values stand off their climatology since their datum changed; the rest, and
    `inputs`, are without it, and NaN where a value is a fault.
    """

    anomalies: list[list[Floats]]
    newest: Floats
    datum: Floats
    inputs: Floats


class _OfValues(NamedTuple):
    """A derived column of values, and where its inputs lie at each lag: lag -> column -> input."""

    column: str
    function: Callable[..., Floats]
    inputs: tuple[str, ...]
    lags: dict[int, dict[str, int]]


def function_of(name: str) -> Callable[..., Floats]:
    """A domain's function, `<module>.<name>`."""
    module, _, function = name.partition(".")
    found: Callable[..., Floats] = getattr(import_module(f"ray_jobs.model.derived.{module}"), function)
    return found


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
        derived = [(d.column, function_of(d.function), d.inputs) for d in contract.derived]
        self._of_values = [
            _OfValues(column, function, inputs, self._side_lags(inputs))
            for column, function, inputs in derived
            if TIME not in inputs
        ]
        self._of_time = [d for d in derived if TIME in d[2]]
        self._ahead_h = sorted({0.0, *(h / 2 for h in contract.horizons_h), *map(float, contract.horizons_h)} - {24.0})
        self._sectors = Sectors(contract, position)
        linear = (f"{t}_linear_change_{horizon_name(h)}" for t in self._targets for h in contract.horizons_h)
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
        Edges: without a credible value now (within 5 spreads of the climatology) the newest lag's anomaly stands in;
        without any, a known station is at its climatology and an unknown one has no base (NaN). Half a day off by the
        same amount is another datum, which the base keeps.
        """
        contract = self.contract
        longitudes = places[:, 1]
        unknown = rows == baseline.unknown
        spread = baseline.spread_of(rows)
        own = self._own(baseline, rows, longitudes, t_ms, inputs)
        heard = self._sectors.anomalies(baseline, around, t_ms, inputs)
        inputs = own.inputs
        now_clim = baseline.climatology(rows, longitudes, t_ms)
        later = (baseline.climatology(rows, longitudes, t_ms + float(h)) for h in contract.horizons_ms)
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
        given = dict(zip(PLACE, places.T, strict=True))
        for derived in self._of_values:
            now, *then = (
                derived.function(*(given[name] if name in given else inputs[:, at[name]] for name in derived.inputs))
                for at in (self._now, *derived.lags.values())
            )
            out += [now, *(value - now for value in then)]
        out += [shift[:, k, j] for k in range(len(self._targets)) for j in range(len(contract.horizons_h))]
        for _, function, words in self._of_time:
            for hours in self._ahead_h:
                at_ms = {**given, TIME: t_ms + hours * HOUR_MS}
                out.append(function(*(at_ms[word] for word in words)))
        year = 2 * np.pi * t_ms / YEAR_MS
        out += [np.sin(year), np.cos(year), places[:, 0], places[:, 1], places[:, 2]]
        out += self._sectors.columns(around, heard)

        held = np.where(unknown[:, None], own.newest, np.nan_to_num(own.newest))
        damped = baseline.damping_of(rows) * held[:, :, None]
        base = ((now_clim[:, :, None] + shift) + damped) + own.datum[:, :, None]
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

    def linear_penalties(self) -> Floats:
        """Of each input of a linear forecast. -> [input]."""
        lags = (sum(lag <= LINEAR_LAGS_TO for lag, _ in self._lags.get(t, [])) for t in self._targets)
        own, near = sum(lags) + len(self._targets), self._sectors.anomaly_count
        parts = [(OWN_PENALTY, NEAR_PENALTY), *[(OWN_PENALTY, NEAR_DAY_PENALTY)] * 2, (SEASON_PENALTY, SEASON_PENALTY)]
        return np.concatenate([np.zeros(1), *(np.repeat(pair, (own, near)) for pair in parts)])

    def _own(
        self, baseline: Baseline, rows: NDArray[np.int64], longitudes: Floats, t_ms: Floats, inputs: Floats
    ) -> _Own:
        lags = sorted({lag for target in self._targets for lag, _ in self._lags.get(target, [])})
        back = {lag: baseline.climatology(rows, longitudes, t_ms - float(lag * self.contract.step_ms)) for lag in lags}
        now = baseline.climatology(rows, longitudes, t_ms)
        limits = limits_of(baseline, rows)
        newest = np.full((len(t_ms), len(self._targets)), np.nan)
        datum = np.zeros(newest.shape)
        inputs = inputs.copy()
        anomalies: list[list[Floats]] = []
        for k, target in enumerate(self._targets):
            mine = [inputs[:, self._now[target]] - now[:, k]]
            mine += [inputs[:, i] - back[lag][:, k] for lag, i in self._lags.get(target, [])]
            # A value that far from its climatology is a fault, and must not be carried forward.
            limit = limits[:, k]
            at = [self._now[target], *(i for _, i in self._lags.get(target, []))]
            datum[:, k] = self._datum(k, now[:, k], mine, limit)
            for i, then in zip(at, mine, strict=True):
                off = np.abs(then) > limit
                if not off.any():
                    continue
                # Without a change of datum, 0 is taken off.
                then[off] -= datum[off, k]
                inputs[off, i] -= datum[off, k]
                # Heads that saw what is no weather would learn how long a fault lasts, and not weather.
                off = np.abs(then) > limit
                then[off] = np.nan
                inputs[off, i] = np.nan
            for _, i in self._means.get(target, []):
                inputs[np.abs(inputs[:, i] - now[:, k]) > limit / FAULT_SPREADS * MEAN_SPREADS, i] = np.nan
            for then in mine:
                newest[:, k] = np.where(np.isnan(newest[:, k]), then, newest[:, k])
            anomalies.append(mine)
        return _Own(anomalies, newest, datum, inputs)

    def _datum(self, k: int, level: Floats, mine: list[Floats], limit: Floats) -> Floats:
        """How far off `level` [n], their climatology, the k-th target's values have been for half a day, but for one
        lag; 0 where they have not, and where the contract knows no datum: what lasts there is a fault, and returns.
        -> [n].
        """
        now, hour = mine[0], HOUR_MS // self.contract.step_ms
        lags = [lag for lag, _ in self._lags.get(self._targets[k], [])]
        off = np.abs(now) > limit
        recent = [then for lag, then in zip(lags, mine[1:], strict=True) if lag <= DATUM_HOURS * hour]
        if len(recent) < 3 or not off.any():
            return np.zeros(len(now))
        then = np.stack(recent, axis=1)
        with np.errstate(invalid="ignore"):
            same = (np.abs(then) > limit[:, None]) & (np.abs(then - now[:, None]) <= limit[:, None])
        stays = off & (same.sum(axis=1) >= len(recent) - 1)
        out = np.zeros(len(now))
        those = np.concatenate([now[stays, None], np.where(same, then, np.nan)[stays]], axis=1)
        out[stays] = np.nanmedian(those, axis=1)
        low, high = self.contract.datums_of(self.contract.targets[k])
        out[(level + out < low) | (level + out > high)] = 0.0
        return out

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
        """A constant, the station's anomalies and its neighbours', each in spreads of its own station, and the same
        times the waves of its solar day and of the year: how long an anomaly lasts depends on the hour, and where
        weather comes from on the season. What is missing is what was heard after it, and else the climatology.
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
        whole = np.clip(np.nan_to_num(theirs).reshape(n, -1), -CLIP_SPREADS, CLIP_SPREADS)
        both = np.concatenate([mine[:, 1:], whole], axis=1)
        day = 2 * np.pi * (t_ms / DAY_MS + np.nan_to_num(longitudes) / 360.0)
        year = 2 * np.pi * (t_ms / YEAR_MS - COLDEST)
        waves = [both * wave[:, None] for wave in (np.cos(day), np.sin(day), np.cos(year))]
        seated = np.sum(around.rows != baseline.unknown, axis=1)
        known = np.sum(~np.isnan(theirs[:, :, :1]).all(axis=(2, 3)), axis=1)
        return np.concatenate([mine[:, :1], both, *waves], axis=1), 2 * known >= seated

    def _side_lags(self, inputs: tuple[str, ...]) -> dict[int, dict[str, int]]:
        """Positions of a derived column's inputs at each lag that all of them have. lag -> column -> input."""
        columns = [name for name in inputs if name not in PLACE]
        lags = {name: dict(self._lags.get(name, [])) for name in columns}
        return {
            lag: {name: lags[name][lag] for name in columns}
            for lag in SIDE_LAGS
            if all(lag in of for of in lags.values())
        }

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
        for derived in self._of_values:
            names += [derived.column, *(f"{derived.column}_change_{lag}" for lag in derived.lags)]
        ahead = [horizon_name(h) for h in self.contract.horizons_h]
        names += [f"{t}_climatology_change_{name}" for t in self._targets for name in ahead]
        names += [f"{column}_{hours:g}h" for column, _, _ in self._of_time for hours in self._ahead_h]
        return [*names, "year_sin", "year_cos", "latitude", "longitude", "elevation_m"]
