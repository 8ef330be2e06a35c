"""From feature rows to training samples: the fold over a station's rows, its truths, its splits, and a forgetful
history.

The part of train.py that runs as one Ray task a group of stations. Every random choice comes from the seed and the
station's own number, so groups and retries change nothing. Knows no LightGBM and no registry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from ray_jobs.fold.fold import Fold
from ray_jobs.fold.neighbours import NOBODY, Near
from ray_jobs.generated.contract import Contract
from ray_jobs.judge.splits import Splits
from ray_jobs.kit import table
from ray_jobs.ledger.verify import TOLERANCE_MS
from ray_jobs.model import baseline as base_of
from ray_jobs.model import linear
from ray_jobs.model.baseline import Baseline, Floats
from ray_jobs.model.design import NO_SPREAD, Design, limits_of, place_of
from ray_jobs.model.linear import Fitted
from ray_jobs.model.sectors import Around, around_of

FIT, WATCH, TEST, CALIBRATE = 0, 1, 2, 3
# How much denser than the fit's these rows are drawn: watched ones are few and decide when a head stops; a calibration
# of many months needs fewer.
DENSITY = {WATCH: 3.0, CALIBRATE: 0.5}
# Share of training rows that forget everything older than a random lag, and that miss single lags.
YOUNG_SHARE = 0.15
LOST_LAG_SHARE = 0.03
# Share of training rows that come a second time, without knowing their station. Taken out of the known ones instead, as
# many would cost known stations half a point of skill; each time costs the heads as long as a further row.
STRANGER_SHARE = 0.75
# Share of training rows that hear no neighbour at all, and that miss single ones.
ALONE_SHARE = 0.10
SILENT_SHARE = 0.05


class Samples(NamedTuple):
    """Rows of several stations. `columns` [n, column], `base` and `truth` [n, target, horizon], `split` [n],
    `station` [n] (number),
    `t_ms` [n]; `test_inputs` [test rows, input] are the raw inputs of the test rows alone, in the same order; `linear`
    [station, target, horizon, input] are the stations' coefficients of linear.py."""

    columns: NDArray[np.float32]
    base: NDArray[np.float32]
    truth: NDArray[np.float32]
    split: NDArray[np.int8]
    station: NDArray[np.int32]
    t_ms: NDArray[np.int64]
    test_inputs: Floats
    linear: Floats
    rows: int
    skipped: int
    faults: int


def truths(t_ms: Floats, values: Floats, faulty: NDArray[np.bool_], horizons_ms: Sequence[int]) -> Floats:
    """What was measured at t + h: the nearest row within ten minutes. [n], [n, target] twice -> [n, target, horizon],
    NaN without.

    A value that is a fault by the station's own climatology is no truth.
    """
    clean = np.where(faulty, np.nan, values)
    out = np.full((*values.shape, len(horizons_ms)), np.nan)
    for j, horizon in enumerate(horizons_ms):
        found = base_of.nearest(t_ms, t_ms + horizon, TOLERANCE_MS)
        out[:, :, j] = np.where((found >= 0)[:, None], clean[np.maximum(found, 0)], np.nan)
    return out


def samples_of(
    contract: Contract,
    path: str,
    version: int,
    stations: list[str],
    numbers: list[int],
    baseline: Baseline,
    splits: Splits,
    sample_every: int,
    seed: int,
    around: Near = NOBODY,
) -> Samples:
    """Folds each station's rows in order and keeps what is trained, watched, calibrated and tested on.

    `numbers` are the stations' rows in the baseline. Of all but test rows about one in `sample_every` is drawn at
    random (a fixed step would see the same hours of the day only); test rows are all kept. Only fit rows forget, and
    only they come again as a stranger's, behind a station's other rows.
    `around` has the rows of all stations, these ones' neighbours among them.
    """
    fold = Fold(contract)
    design = Design(contract, fold.input_names)
    horizons_ms = contract.horizons_ms
    targets = [contract.target_column(t) for t in contract.targets]
    found = table.read(path, version, contract, table.columns_of(contract), splits.from_ms, splits.cut, stations)
    number_of = dict(zip(stations, numbers, strict=True))
    parts: list[Samples] = []
    for station, rows in table.by_station(found, contract.entity_key):
        number = number_of[station]
        rng = np.random.default_rng([seed, number])
        t_all = table.floats(rows, "window_end")
        values = np.stack([table.floats(rows, c) for c in targets], axis=1)
        place = place_of(contract, station)
        expected = baseline.climatology(np.full(len(t_all), number), np.full(len(t_all), place.longitude), t_all)
        faulty = np.stack([base_of.faulty(values[:, k] - expected[:, k]) for k in range(len(targets))], axis=1)
        truth = truths(t_all, values, faulty, horizons_ms)
        split = _splits(t_all, horizons_ms, truth, splits)
        share = np.ones(len(t_all)) / sample_every
        for name, density in DENSITY.items():
            share[split == name] *= density
        keep = (split == TEST) | ((split >= 0) & (rng.random(len(t_all)) < share))

        state = fold.new_state()
        inputs = np.full((int(keep.sum()), len(fold.input_names)), np.nan)
        applied = np.zeros(len(inputs), dtype=bool)
        skipped, at = 0, 0
        for i, row in enumerate(table.rows(rows)):
            # Neighbours do not touch the state: only rows that are kept need them.
            step = fold.step(state, row, around if keep[i] else NOBODY)
            state = step.state
            if step.status != "applied":
                skipped += 1
            if keep[i]:
                if step.status == "applied":
                    inputs[at] = step.inputs
                    applied[at] = True
                at += 1

        t_ms, truth, split = t_all[keep][applied], truth[keep][applied], split[keep][applied]
        inputs = inputs[applied]
        test_inputs = inputs[split == TEST]
        known = np.full(len(t_ms), number, dtype=np.int64)
        fit_rows = split == FIT
        places = np.tile(np.array(place), (len(t_ms), 1))
        seats = around_of(contract, baseline, station).repeat(len(t_ms))
        fitted = _linear(design, baseline, known, places, seats, t_ms, inputs, truth, fit_rows)
        tables = np.full(len(t_ms), len(fitted.linear.coefficients) - 1, dtype=np.int64)
        tables[fit_rows] = fitted.table
        twice = np.flatnonzero(fit_rows & (rng.random(len(t_ms)) < STRANGER_SHARE))
        again = np.concatenate([np.arange(len(t_ms)), twice])
        known = np.concatenate([known, np.full(len(twice), baseline.unknown)])
        t_ms, truth, split, inputs, tables, places = (
            of_rows[again] for of_rows in (t_ms, truth, split, inputs, tables, places)
        )
        seats = Around(seats.rows[again], seats.weights[again])
        _forget(inputs, split == FIT, design, rng)
        columns, base = design.matrix(baseline, fitted.linear, tables, known, places, seats, t_ms, inputs)
        truth[_not_learnt(truth - base, limits_of(baseline, np.array([number])), split)] = np.nan
        parts.append(
            Samples(
                columns,
                base.astype(np.float32),
                truth.astype(np.float32),
                split.astype(np.int8),
                np.full(len(t_ms), number, dtype=np.int32),
                t_ms.astype(np.int64),
                test_inputs,
                fitted.linear.coefficients[-1:],
                len(t_all),
                skipped,
                int(faulty.sum()),
            )
        )
    return join(parts, design, fold)


def calibration_rows(split: NDArray[np.int8]) -> NDArray[np.bool_]:
    """The rows that the bands are calibrated on: their own split, or the watched one."""
    calibrate = split == CALIBRATE
    return calibrate if calibrate.any() else np.asarray(split == WATCH)


def _linear(
    design: Design,
    baseline: Baseline,
    known: NDArray[np.int64],
    places: Floats,
    seats: Around,
    t_ms: Floats,
    inputs: Floats,
    truth: Floats,
    use: NDArray[np.bool_],
) -> Fitted:
    """The station's linear forecast, fitted on its `use` rows as they were heard."""
    seats = Around(seats.rows[use], seats.weights[use])
    z, _ = design.linear_inputs(baseline, known[use], places[use], seats, t_ms[use], inputs[use])
    spread = np.maximum(baseline.spread_of(known[use]), NO_SPREAD)
    y = np.empty(truth[use].shape)
    for j, horizon_ms in enumerate(design.contract.horizons_ms):
        later = baseline.climatology(known[use], places[use, 1], t_ms[use] + horizon_ms)
        y[:, :, j] = (truth[use][:, :, j] - later) / spread
    return linear.fit(z, y, design.linear_penalties())


def _not_learnt(change: Floats, limit: Floats, split: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Changes against the base [n, target, horizon] beyond `limit` [1 or n, target], which heads must not learn, nor
    stop by: a sensor that fails or comes back, a datum that begins or ends. Of the rows that judge none is left out.
    """
    learnt = (split == FIT) | (split == WATCH)
    with np.errstate(invalid="ignore"):
        return np.asarray(learnt[:, None, None] & (np.abs(change) > limit[:, :, None]))


def join(parts: list[Samples], design: Design, fold: Fold) -> Samples:
    """One after another, in the order given."""
    if not parts:
        shape = (0, len(design.contract.targets), len(design.contract.horizons_h))
        empty = np.empty(shape, dtype=np.float32)
        return Samples(
            np.empty((0, len(design.columns)), dtype=np.float32),
            empty,
            empty,
            np.empty(0, dtype=np.int8),
            np.empty(0, dtype=np.int32),
            np.empty(0, dtype=np.int64),
            np.empty((0, len(fold.input_names))),
            np.empty((0, *shape[1:], 0)),
            0,
            0,
            0,
        )
    arrays = [np.concatenate([p[i] for p in parts]) for i in range(8)]
    return Samples(*arrays, *(sum(p[i] for p in parts) for i in range(8, 11)))  # type: ignore[arg-type]


def _splits(t_ms: Floats, horizons_ms: Sequence[int], truth: Floats, splits: Splits) -> NDArray[np.int8]:
    """Which split each issue time belongs to, -1 for none; takes truths out of `truth` that lie beyond what the split
    may know.
    """
    split = np.full(len(t_ms), -1, dtype=np.int8)
    limit = np.full(len(t_ms), -np.inf)
    calibrate_from = splits.test_from if splits.calibrate_from is None else splits.calibrate_from
    for name, start, end, known_to in (
        (FIT, splits.from_ms, splits.fit_to, splits.watch_from),
        (WATCH, splits.watch_from, splits.watch_to, calibrate_from),
        (CALIBRATE, calibrate_from, splits.calibrate_to or calibrate_from, splits.test_from),
        (TEST, splits.test_from, splits.cut, splits.cut),
    ):
        inside = (t_ms >= start) & (t_ms < end)
        split[inside] = name
        limit[inside] = known_to
    for j, horizon in enumerate(horizons_ms):
        truth[t_ms + horizon + TOLERANCE_MS >= limit, :, j] = np.nan
    split[np.all(np.isnan(truth), axis=(1, 2))] = -1
    return split


def _forget(inputs: Floats, rows: NDArray[np.bool_], design: Design, rng: np.random.Generator) -> None:
    """Drops history of random rows in place, so that a young station, or one with gaps, is no surprise to the heads."""
    lags = design.lag_inputs()
    n = len(inputs)
    oldest = rng.choice([0, *lags], size=n) if lags else np.zeros(n)
    young = rows & (rng.random(n) < YOUNG_SHARE)
    for lag, positions in sorted(lags.items()):
        lost = (young & (oldest < lag)) | (rows & (rng.random(n) < LOST_LAG_SHARE))
        inputs[np.ix_(lost, np.array(positions))] = np.nan
    alone = rows & (rng.random(n) < ALONE_SHARE)
    for seat in design.neighbour_inputs():
        silent = alone | (rows & (rng.random(n) < SILENT_SHARE))
        inputs[np.ix_(silent, seat)] = np.nan
