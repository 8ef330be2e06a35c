"""From what neighbours measured to columns: how far the air around a station is from its climatology, by sector, and
how that changes.

The part of design.py that looks at the inputs of neighbours.py. A neighbour's level says nothing to a head that serves
all stations (it stands on a mountain), its anomaly does; so only neighbours with a climatology, those the model was
trained on, are used. Pure numpy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from ray_jobs.generated.contract import Contract
from ray_jobs.kit.time import HOUR_MS
from ray_jobs.model.baseline import Baseline, Floats

# A neighbour's weight is 1 / (distance + this): the nearest counts most, but not alone.
WEIGHT_KM = 100.0
# A value further from its climatology than this is a fault. San Diego's pressure in the Kaggle set stands 35 hPa too
# low for weeks of 2016, which is 5.3 of its spreads.
FAULT_SPREADS = 5.0
# Rows a climatology is computed for at once: bounds the memory of long tables.
CHUNK = 50_000


class Around(NamedTuple):
    """Who sits around each row: `rows` [n, seat] of the baseline (`unknown` where nobody does), `weights` [n, seat]."""

    rows: NDArray[np.int64]
    weights: Floats

    def repeat(self, n: int) -> Around:
        """The same seats for n rows."""
        return Around(np.repeat(self.rows, n, axis=0), np.repeat(self.weights, n, axis=0))


def around_of(contract: Contract, baseline: Baseline, station: str) -> Around:
    """The seats of one station, in the order of the inputs. -> n is 1."""
    seats = len(contract.sectors) * contract.per_sector
    rows = np.full((1, seats), baseline.unknown, dtype=np.int64)
    weights = np.zeros((1, seats))
    for neighbour in contract.neighbours.get(station, ()):
        seat = contract.sectors.index(neighbour.sector) * contract.per_sector + neighbour.rank - 1
        rows[0, seat] = baseline.rows([neighbour.station])[0]
        weights[0, seat] = 1.0 / (neighbour.distance_km + WEIGHT_KM)
    return Around(rows, weights)


class Sectors:
    """Column plan of one contract and one order of inputs: empty when the inputs have no neighbours.

    `<target column>_<sector>_anomaly`, `…_around_anomaly` over all sectors, `…_<sector>_less_<opposite>` from one side
    to the other (along which weather drifts, or across), and for each lag k of the neighbours
    `<target column>_<sector>_change_<k>`, the anomaly k steps earlier minus the newest one.
    """

    def __init__(self, contract: Contract, position: dict[str, int]) -> None:
        self._contract = contract
        targets = [contract.target_column(t) for t in contract.targets]
        lags = ["", *(f"_lag_{k}" for k in contract.neighbour_lags)]
        seats = [(s, r) for s in contract.sectors for r in range(1, contract.per_sector + 1)]
        names = [
            [[*(f"{column}_{s}_{r}{lag}" for column in targets), f"{s}_{r}{lag}_age_h"] for lag in lags]
            for s, r in seats
        ]
        there = bool(seats) and all(n in position for seat in names for lag in seat for n in lag)
        # [seat, lag, target and age] -> input.
        self._at = np.array([[[position[n] for n in lag] for lag in seat] for seat in names]) if there else None
        # Sectors go around the compass: each of the first half faces one of the second.
        half = len(contract.sectors) // 2
        self._across = [(s, s + half) for s in range(half)]
        self.names: tuple[str, ...] = ()
        if there:
            self.names = (
                *(f"{column}_{s}_anomaly" for s in contract.sectors for column in targets),
                *(f"{column}_around_anomaly" for column in targets),
                *(
                    f"{column}_{contract.sectors[a]}_less_{contract.sectors[b]}"
                    for a, b in self._across
                    for column in targets
                ),
                *(
                    f"{column}_{s}_change_{k}"
                    for k in contract.neighbour_lags
                    for s in contract.sectors
                    for column in targets
                ),
            )

    @property
    def anomaly_count(self) -> int:
        """How many numbers `anomalies` has for a row."""
        return 0 if self._at is None else self._at[..., :-1].size

    def inputs(self) -> list[NDArray[np.int64]]:
        """Input positions of each seat: what training drops together to make a neighbour that is silent."""
        return [] if self._at is None else [seat.reshape(-1) for seat in self._at]

    def columns(self, around: Around, anomaly: Floats) -> list[Floats]:
        """In the order of `names`, each [n], from what `anomalies` gave. NaN for a sector in which nothing credible was
        heard.
        """
        if self._at is None:
            return []
        n, sectors = len(anomaly), len(self._contract.sectors)
        # Sector, rank and the rest apart: [n, sector, rank, lag, target].
        anomaly = anomaly.reshape(n, sectors, -1, *anomaly.shape[2:])
        weights = around.weights.reshape(n, sectors, -1)
        newest = anomaly[:, :, :, 0]
        by_sector = _mean(newest, weights, (2,))
        whole = _mean(newest, weights, (1, 2))
        out = [by_sector[:, s, k] for s in range(sectors) for k in range(by_sector.shape[2])]
        out += [whole[:, k] for k in range(whole.shape[1])]
        across = [by_sector[:, a] - by_sector[:, b] for a, b in self._across]
        out += [difference[:, k] for difference in across for k in range(whole.shape[1])]
        for lag in range(1, anomaly.shape[3]):
            change = _mean(anomaly[:, :, :, lag] - newest, weights, (2,))
            out += [change[:, s, k] for s in range(sectors) for k in range(change.shape[2])]
        return out

    def anomalies(self, baseline: Baseline, around: Around, t_ms: Floats, inputs: Floats) -> Floats:
        """Each neighbour's distance from its climatology at its own time. -> [n, seat, lag, target], NaN where nobody
        sits, nothing was heard, or what was heard is a fault. From a neighbour whose value never changed in the fit
        every change is one: nothing says how large weather's are there, and who asks has others to listen to.
        """
        if self._at is None:
            return np.empty((len(t_ms), 0, 1, len(self._contract.targets)))
        heard = inputs[:, self._at]
        ages, values = heard[..., -1], heard[..., :-1]
        rows = np.broadcast_to(around.rows[:, :, None], ages.shape)
        known = ~np.isnan(ages) & (rows != baseline.unknown)
        then = (t_ms[:, None, None] - ages * HOUR_MS)[known]
        who = rows[known]
        expected = np.empty((len(who), values.shape[-1]))
        for i in range(0, len(who), CHUNK):
            part = slice(i, i + CHUNK)
            expected[part] = baseline.climatology(who[part], baseline.longitudes[who[part]], then[part])
        out = np.full(values.shape, np.nan)
        found = values[known] - expected
        with np.errstate(invalid="ignore"):
            found[np.abs(found) > FAULT_SPREADS * baseline.spread_of(who)] = np.nan
        out[known] = found
        return out


def _mean(values: Floats, weights: Floats, axes: tuple[int, ...]) -> Floats:
    """Weighted mean over `axes` of what is there. `values` [n, sector, rank, target], `weights` [n, sector, rank]."""
    there = ~np.isnan(values)
    share = np.where(there, weights[..., None], 0.0)
    total = share.sum(axis=axes)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((np.nan_to_num(values) * share).sum(axis=axes) / np.where(total > 0, total, np.nan))
