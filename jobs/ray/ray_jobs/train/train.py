"""The batch job <pipeline>-train: Delta feature table in, a registered model out.

baseline (driver) -> fold and samples (a task a group of stations) -> with `tune` trials of the heads' settings
(tuning.py) -> one LightGBM head a task -> bands, test metrics through the very Model that serves, MLflow. Does not
announce the alias move on model-events: TypeScript owns
that topic and reads the alias after this job ends.

The splits follow from the dates given (judge/splits.py): early stopping uses the last eight weeks of the fit, the bands
are calibrated on a split of their own, and the test split is used once, for the metrics and the promotion. Without
dates the last month before the cut tests, and the eight weeks before it both stop and calibrate.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import lightgbm
import numpy as np
from numpy.typing import NDArray
from ray_jobs.fold.fold import Fold
from ray_jobs.fold.neighbours import NOBODY
from ray_jobs.fold.tabled import neighbourhood
from ray_jobs.generated.contract import Contract, horizon_name
from ray_jobs.generated.job import JobError, Reporter
from ray_jobs.generated.params import TrainParams
from ray_jobs.judge import card, certificate, scores
from ray_jobs.judge.splits import Splits, splits_of
from ray_jobs.kit import registry, table
from ray_jobs.kit.cluster import Cluster, Pool, Race
from ray_jobs.ledger import conformal
from ray_jobs.ledger.conformal import Calibration
from ray_jobs.ledger.verify import TOLERANCE_MS
from ray_jobs.model import baseline as base_of
from ray_jobs.model import heads as model_of
from ray_jobs.model.baseline import Baseline, Floats
from ray_jobs.model.bins import binned, labelled
from ray_jobs.model.design import Design, place_of
from ray_jobs.model.linear import Linear
from ray_jobs.train import samples, tuning
from ray_jobs.train.samples import FIT, WATCH, Samples
from ray_jobs.train.tuning import PATIENCE, Rows, Settings, Trials

# Stations a fold task takes at once: small enough that a killed worker costs seconds.
STATIONS_PER_TASK = 3
PREDICT_CHUNK = 4_000


class TrainedHead(NamedTuple):
    """One trained head: its text, the rounds it kept and its change on the calibration rows [calibration row] (NaN
    where no truth).
    """

    text: str
    rounds: int
    calibrated: NDArray[np.float32]


class Rival(NamedTuple):
    """The champion a new model was compared with on the same test rows; the mean of the new errors over its."""

    version: str
    ratio: float


class Trained(NamedTuple):
    """A model folder, its manifest, its metrics by name, and the test rows for a comparison on equal terms."""

    folder: Path
    manifest: dict[str, Any]
    metrics: dict[str, float]
    test: Samples


def run(contract: Contract, params: TrainParams, reporter: Reporter) -> dict[str, float]:
    """Trains, measures, compares with the champion and registers; whether the version serves is not decided here.

    The version says in its tags which submission made it, which champion it was compared with and how that went.
    Returns the job's last counters.
    Errors: `job_failed` for a table that is missing or too short; whatever the registry raises.
    """
    started = time.monotonic()
    pool = Cluster(params.workers)
    with tempfile.TemporaryDirectory(prefix="millrace-train-") as scratch:
        folder = Path(scratch) / "model"
        before = registry.find(params.mlflow_uri, params.model_name)
        trained = train(contract, params, pool, folder, parent=before, say=_speaker(reporter))
        seconds = time.monotonic() - started
        metrics = {**trained.metrics, "train_s": seconds, "predict_ms_per_100_rows": _predict_ms(contract, trained)}
        rival = _rival(contract, params, Path(scratch), trained, before)
        version = registry.publish(
            params.mlflow_uri,
            params.model_name,
            folder,
            _settings(params, trained.manifest["training"]["settings"]),
            metrics,
            card.of_training(trained.manifest, metrics, params.model_name),
            {
                "submission": params.submission,
                "rival": "none" if rival is None else rival.version,
                "rival_ratio": "none" if rival is None else repr(rival.ratio),
            },
        )
        against = "" if rival is None else f", {rival.ratio:.3f} times the error of champion {rival.version}"
        message = (
            f"version {version} of {params.model_name} in {seconds:.0f} s: "
            f"{1 - trained.metrics['mae_over_dap']:.1%} better than DAP{against}"
        )
        print(message, flush=True)
        counters = {
            "version": float(version),
            "seconds": seconds,
            "mae_over_dap": trained.metrics["mae_over_dap"],
            "predict_ms_per_100_rows": metrics["predict_ms_per_100_rows"],
        }
        reporter.progress(counters, message=message)
        return counters


def train(contract: Contract, params: TrainParams, pool: Pool, folder: Path, parent: str | None, say: Any) -> Trained:
    """Everything but the registry: writes the model into `folder`. Same table, code and parameters -> the same
    digest.
    """
    version = table.pin(params.table_path)
    certified = certificate.require(contract, params, version)
    clock = time.monotonic()
    baseline, splits, counted = fit_baseline(contract, params, version)
    silent = sorted(set(contract.stations) - set(baseline.stations) - set(params.leave_out))
    say(
        {
            "rows": counted,
            "stations": len(baseline.stations),
            "without_history": len(silent),
            "baseline_s": time.monotonic() - clock,
        },
        without_history(silent, splits.fit_to),
    )

    clock = time.monotonic()
    names = list(baseline.stations)
    shared = pool.put(baseline)
    # One copy for all tasks: each of them looks around in all stations.
    around = pool.put(
        neighbourhood(contract, params.table_path, version, splits.from_ms, splits.cut) if contract.sectors else NOBODY
    )
    starts = range(0, len(names), STATIONS_PER_TASK)
    jobs = [
        (
            contract,
            params.table_path,
            version,
            names[i : i + STATIONS_PER_TASK],
            list(range(i, min(i + STATIONS_PER_TASK, len(names)))),
            shared,
            splits,
            params.sample_every,
            params.seed,
            around,
        )
        for i in starts
    ]
    parts: dict[int, Samples] = {}
    for index, part in pool.map(samples.samples_of, jobs):
        parts[index] = part
        say(
            {
                "folded_stations": sum(len(jobs[i][3]) for i in parts),
                "stations": len(names),
                "fold_s": time.monotonic() - clock,
            }
        )
    fold = Fold(contract)
    design = Design(contract, fold.input_names)
    # In the order of the jobs, not of their completion: the order of rows is part of what makes a digest repeat.
    data = samples.join([parts[i] for i in sorted(parts)], design, fold)
    parts.clear()
    if not all(np.any(data.split == s) for s in (FIT, WATCH, samples.TEST)):
        raise JobError(
            "job_failed",
            f'Cannot train on "{params.table_path}": expected rows to fit, watch and test on before {params.cut_ms}, '
            f"got {[int(np.sum(data.split == s)) for s in (FIT, WATCH, samples.TEST)]}",
        )

    for k, target in enumerate(contract.targets):
        for j, horizon in enumerate(contract.horizons_h):
            change = data.truth[:, k, j] - data.base[:, k, j]
            if not all(np.any(~np.isnan(change[data.split == s])) for s in (FIT, WATCH)):
                raise JobError(
                    "job_failed",
                    f'Cannot train on "{params.table_path}": expected truths of "{target}" {horizon} h ahead '
                    "to fit and to watch, found none",
                )

    trials = tune(contract, params, pool, data, say) if params.tune > 1 else None
    picked = head_settings(params) if trials is None else trials.settings

    clock = time.monotonic()
    learn = data.split != samples.TEST
    settings = tuning.booster_settings(picked, params.seed)
    # One copy for all heads. The fit rows are in it by their bins, a byte a number: to find the bins costs as much as
    # to grow fifty trees, and would be the same work for every head.
    held = [
        pool.put(binned(data.columns[data.split == FIT], settings)),
        pool.put(data.columns[learn & (data.split != FIT)]),
        *(pool.put(x[learn]) for x in (data.base, data.truth, data.split, data.station)),
    ]
    grid = [
        (k, j, q)
        for k in range(len(contract.targets))
        for j in range(len(contract.horizons_h))
        for q in contract.quantiles
    ]
    heads: dict[int, TrainedHead] = {}
    for index, head in pool.map(fit_head, [(*held, k, j, q, params.trees, settings) for k, j, q in grid]):
        heads[index] = head
        k, j, q = grid[index]
        name = f"{contract.targets[k]}_{horizon_name(contract.horizons_h[j])}_q{q:g}"
        say(
            {"heads_done": len(heads), "heads": len(grid), "heads_s": time.monotonic() - clock},
            f"head {name}: {head.rounds} rounds",
        )

    shape = model_of.shape_of(contract, fold.input_names, fold.input_units)
    manifest = {
        "name": contract.pipeline,
        "parent": parent,
        "contract_fingerprint": contract.fingerprint,
        "fingerprint": model_of.fingerprint_of(shape),
        "shape": shape,
        "columns": list(design.columns),
        "baseline": baseline.to_json(),
        "linear": Linear(data.linear).to_json(),
        "calibration": _calibration(contract, data, [heads[i] for i in range(len(grid))], baseline).to_json(),
        "training": {
            "from_ms": splits.from_ms,
            # Early stopping and the calibration saw what lies between fit and test, and their truths reach to it.
            "to_ms": splits.test_from,
            "fit_to_ms": splits.known_to,
            "calibrate_from_ms": splits.calibrate_from,
            "test_from_ms": splits.test_from,
            "cut_ms": splits.cut,
            "table_rows": counted,
            # SHA-256 of the certificate that stands for these rows; None where --allow-uncertified let it go.
            "certificate": certified,
            "left_out": list(params.leave_out),
            # Stations of the contract with nothing to fit: the model serves them as strangers.
            "without_history": silent,
            "fit_rows": int(np.sum(data.split == FIT)),
            "watch_rows": int(np.sum(data.split == WATCH)),
            "calibrate_rows": int(np.sum(samples.calibration_rows(data.split))),
            "test_rows": int(np.sum(data.split == samples.TEST)),
            "data_sha256": _digest_of(data),
            "seed": params.seed,
            "trees": params.trees,
            "settings": picked._asdict(),
            # What was tried before, None where nobody asked for it.
            "tuning": None if trials is None else trials.to_json(),
            "sample_every": params.sample_every,
            "rounds": [heads[i].rounds for i in range(len(grid))],
        },
    }
    texts = {
        model_of.head_file(contract.targets[k], contract.horizons_h[j], q): heads[i].text
        for i, (k, j, q) in enumerate(grid)
    }
    # Written once without metrics so that they come from the model as it is served, then again with them.
    model_of.write(folder, manifest, texts)
    loaded = model_of.load(folder, contract, fold.input_names, fold.input_units, "candidate")
    test = _only(data, data.split == samples.TEST)
    clock = time.monotonic()
    metrics = measure(contract, test, predict_test(loaded, test, baseline), fold.input_names)
    metrics |= _alone(contract, loaded, test, baseline, design)
    if trials is not None:
        metrics["tuned_loss_over_given"] = trials.gain
    say({"test_s": time.monotonic() - clock}, "measured on the test split")
    manifest["metrics"] = {name: round(value, 6) for name, value in metrics.items()}
    whole = model_of.write(folder, manifest, texts)
    return Trained(folder, whole, metrics, test)


def fit_baseline(contract: Contract, params: TrainParams, version: int) -> tuple[Baseline, Splits, int]:
    """Climatology and damping from the rows before what calibrates or tests; also the splits and the number of rows
    before the cut. A station of `leave_out` gets neither, and is no station of the model; nor does one without
    a value to fit.
    Errors: `job_failed` without rows, `config_invalid` for dates that leave a split empty and for a station to leave
    out that is not there.
    """
    targets = [contract.target_column(t) for t in contract.targets]
    found = table.read(
        params.table_path,
        version,
        contract,
        [contract.entity_key, "window_end", *targets],
        params.from_ms,
        params.cut_ms,
    )
    if len(found) == 0:
        raise JobError(
            "job_failed", f'Cannot train on "{params.table_path}": expected rows before {params.cut_ms}, found none'
        )
    ends = table.floats(found, "window_end")
    splits = splits_of(int(ends.min()), params.cut_ms, params.calibrate_from_ms, params.test_from_ms)
    if not splits.in_order():
        raise JobError(
            "config_invalid",
            f"Cannot split the rows from {splits.from_ms} to {splits.cut}: expected fit, calibration from "
            f"{params.calibrate_from_ms} and test from {params.test_from_ms} in this order, 72 h apart",
        )
    names: list[str] = []
    series: list[tuple[Floats, Floats]] = []
    absent = set(params.leave_out)
    for station, rows in table.by_station(found, contract.entity_key):
        absent.discard(station)
        if station in params.leave_out:
            continue
        t_ms = table.floats(rows, "window_end")
        values = np.stack([table.floats(rows, c) for c in targets], axis=1)
        if np.isnan(values[t_ms < splits.fit_to]).all():
            continue
        use = t_ms < splits.known_to
        names.append(station)
        series.append((t_ms[use], values[use]))
    if not names and not params.leave_out:
        raise JobError(
            "job_failed",
            f'Cannot train on "{params.table_path}": expected values of {", ".join(targets)} before {splits.fit_to} to '
            "fit, found none; backfill more history",
        )
    if absent or not names:
        raise JobError(
            "config_invalid",
            f"Cannot leave out {', '.join(sorted(params.leave_out))}: expected stations of the table, and one to stay",
        )
    longitudes = np.array([place_of(contract, n).longitude for n in names])
    return base_of.fit(tuple(names), longitudes, series, contract.horizons_ms, TOLERANCE_MS), splits, len(found)


def head_settings(params: TrainParams) -> Settings:
    """The settings of the heads as asked for, or as they are when nobody asks."""
    return Settings(leaves=params.leaves, learning_rate=params.learning_rate)


def tune(contract: Contract, params: TrainParams, pool: Pool, data: Samples, say: Any) -> Trials:
    """Lets `params.tune` settings compete, the given ones first, on a part of the fit rows and on the watched ones."""
    clock = time.monotonic()
    heads = tuning.heads_of(contract)
    fit, watch = tuning.some(data.split == FIT, params.seed), np.flatnonzero(data.split == WATCH)
    changes = np.stack([data.truth[:, h.target, h.horizon] - data.base[:, h.target, h.horizon] for h in heads], axis=1)
    weights = np.stack(
        [_weights(change, data.station, (data.split == FIT) & ~np.isnan(change)) for change in changes.T]
    )
    settings = tuning.trials(head_settings(params), params.tune, params.seed)
    rows = Rows(
        binned(data.columns[fit], tuning.trial_settings(settings[0], params.seed)),
        data.columns[watch],
        changes[fit],
        changes[watch],
        weights[:, data.station[fit]].T,
        weights[:, data.station[watch]].T,
    )
    trials = Trials(settings)

    def hear(trial: int, rounds: int, loss: float) -> None:
        trials.hear(trial, rounds, loss)
        done = {"trials_begun": trials.begun, "trials": len(settings), "tune_s": time.monotonic() - clock}
        say(done, trials.describe(trial))

    race = Race(tuning.REPORTS, tuning.GRACE, tuning.HALVING)
    pool.compete(tuning.grow, settings, (rows, heads, params.trees, params.seed, pool.at_once), race, hear)
    if trials.begun < len(settings):
        raise JobError(
            "job_failed",
            f'Cannot tune "{params.model_name}": expected reports of {len(settings)} trials, got {trials.begun}',
        )
    return trials


def without_history(stations: list[str], fit_to_ms: int) -> str | None:
    """What is said of stations that the model knows nothing of; None when there is none."""
    if not stations:
        return None
    return (
        f"no history before {datetime.fromtimestamp(fit_to_ms / 1000, UTC):%Y-%m-%d} of {', '.join(stations)}: "
        "served as strangers; backfill them and train again"
    )


def fit_head(
    rows: NDArray[np.uint8],
    others: NDArray[np.float32],
    base: NDArray[np.float32],
    truth: NDArray[np.float32],
    split: NDArray[np.int8],
    station: NDArray[np.int32],
    target: int,
    horizon: int,
    quantile: float,
    trees: int,
    settings: dict[str, Any],
) -> TrainedHead:
    """One quantile of one target and horizon. Pure: a task that is run again gives the same text.

    `rows` are the fit rows as `binned` made them, `others` [other row, column] those of the other splits; the rest is
    of all of them in their common order. A fit row without a truth has no weight. Stations whose damped forecast errs
    by more than twice the median station's weigh less: a sensor full of faults must not decide when the network's
    heads stop.
    """
    change = truth[:, target, horizon] - base[:, target, horizon]
    usable = ~np.isnan(change)
    fit, watch = split == FIT, usable & (split == WATCH)
    weight = _weights(change, station, fit & usable)
    of_rows = np.where(usable, weight[station], 0.0)
    learn = labelled(rows, change[fit], of_rows[fit], settings)
    check = lightgbm.Dataset(
        others[watch[~fit]], change[watch], weight=of_rows[watch], reference=learn, params=settings
    )
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    booster = lightgbm.train({**settings, "alpha": quantile}, learn, trees, valid_sets=[check], callbacks=[stop])
    asked = samples.calibration_rows(split)
    calibrated = np.full(int(np.sum(asked)), np.nan, dtype=np.float32)
    calibrated[usable[asked]] = booster.predict(others[(asked & usable)[~fit]], num_threads=1)
    text = booster.model_to_string(num_iteration=booster.best_iteration)
    return TrainedHead(text, int(booster.best_iteration), calibrated)


def _weights(change: NDArray[np.float32], station: NDArray[np.int32], fit: NDArray[np.bool_]) -> Floats:
    """Weight of each station number, 0 < w <= 1."""
    count = int(station.max()) + 1
    rows = np.bincount(station[fit], minlength=count)
    error = np.bincount(station[fit], weights=np.abs(change[fit]), minlength=count) / np.maximum(rows, 1)
    middle = np.median(error[rows > 0])
    return np.asarray(np.minimum(1.0, 2.0 * middle / np.maximum(error, 1e-9)))


def _calibration(contract: Contract, data: Samples, heads: list[TrainedHead], baseline: Baseline) -> Calibration:
    """The scales of the bands on rows that no head was fitted to."""
    asked = samples.calibration_rows(data.split)
    base = data.base[asked].astype(np.float64)
    changes = np.stack([head.calibrated for head in heads], axis=1)
    changes = changes.reshape(*base.shape, len(contract.quantiles)).astype(np.float64)
    spread = baseline.spread_of(data.station[asked].astype(np.int64))
    return conformal.fit(
        base[..., None] + changes, data.truth[asked].astype(np.float64), spread, conformal.bounds_of(contract)
    )


def predict_test(model: model_of.Model, test: Samples, baseline: Baseline, inputs: Floats | None = None) -> Floats:
    """The model's levels for the test rows, through the same call that serves. -> [row, target, horizon, level]."""
    inputs = test.test_inputs if inputs is None else inputs
    names = [baseline.stations[i] for i in test.station]
    chunks = [
        model.predict(names[i : i + PREDICT_CHUNK], test.t_ms[i : i + PREDICT_CHUNK], inputs[i : i + PREDICT_CHUNK])
        for i in range(0, len(names), PREDICT_CHUNK)
    ]
    return np.concatenate(chunks)


def measure(contract: Contract, test: Samples, predicted: Floats, input_names: tuple[str, ...]) -> dict[str, float]:
    """Errors against the truth, the damped anomaly (DAP) and persistence, on rows that have all three; each of them
    within the target's bounds, as forecasts are.

    Names carry the unit: `temperature_6h_mae_degC`. Coverage is the share within the widest band, before any station
    adapts its own; pinball the mean over all levels.
    `mae_over_dap` is the mean of MAE / DAP's MAE over targets and horizons.
    """
    out: dict[str, float] = {}
    ratios: list[float] = []
    quantiles = np.array(contract.levels)
    middle = int(np.argmin(np.abs(quantiles - 0.5)))
    bounds = conformal.bounds_of(contract)
    truths, daps = (bounds.clamp(x.astype(np.float64)) for x in (test.truth, test.base))
    nows = bounds.clamp(test.test_inputs[:, [input_names.index(contract.target_column(t)) for t in contract.targets]])
    for k, target in enumerate(contract.targets):
        now = nows[:, k]
        unit = scores.unit_word(contract.field(target).unit)
        for j, horizon in enumerate(contract.horizons_h):
            truth, dap = truths[:, k, j], daps[:, k, j]
            use = ~np.isnan(truth + dap + now + predicted[:, k, j, middle])
            if not use.any():
                continue
            y, p = truth[use], predicted[use, k, j]
            error = p[:, middle] - y
            mae, dap_mae, now_mae = (float(np.mean(np.abs(e))) for e in (error, dap[use] - y, now[use] - y))
            off = y[:, None] - p
            pinball = float(np.mean(np.maximum(quantiles * off, (quantiles - 1) * off)))
            name = f"{target}_{horizon_name(horizon)}"
            out |= {
                f"{name}_mae_{unit}": mae,
                f"{name}_rmse_{unit}": float(np.sqrt(np.mean(error**2))),
                f"{name}_bias_{unit}": float(np.mean(error)),
                f"{name}_pinball_{unit}": pinball,
                f"{name}_width_{unit}": float(np.mean(p[:, -1] - p[:, 0])),
                f"{name}_coverage": float(np.mean((y >= p[:, 0]) & (y <= p[:, -1]))),
                f"{name}_dap_mae_{unit}": dap_mae,
                f"{name}_persistence_mae_{unit}": now_mae,
                f"{name}_skill_dap": 1 - mae / dap_mae,
                f"{name}_skill_persistence": 1 - mae / now_mae,
                f"{name}_pairs": float(use.sum()),
            }
            ratios.append(mae / dap_mae)
    out["mae_over_dap"] = float(np.mean(ratios)) if ratios else float("nan")
    return out


def _alone(
    contract: Contract, model: model_of.Model, test: Samples, baseline: Baseline, design: Design
) -> dict[str, float]:
    """The same ratio for a station without any history, and for one that hears no neighbour: neither may fall behind
    DAP.
    """
    names = tuple(x["name"] for x in model.manifest["shape"]["inputs"])
    some = np.arange(0, len(test.t_ms), 5)
    out: dict[str, float] = {}
    for name, dropped in (("young", [*design.lag_inputs().values()]), ("alone", design.neighbour_inputs())):
        less = _only(test, some)._replace(test_inputs=test.test_inputs[some].copy())
        for positions in dropped:
            less.test_inputs[:, positions] = np.nan
        ratio = measure(contract, less, predict_test(model, less, baseline), names)["mae_over_dap"]
        out[f"{name}_mae_over_dap"] = ratio
    return out


def _rival(
    contract: Contract, params: TrainParams, scratch: Path, trained: Trained, version: str | None
) -> Rival | None:
    """The champion of now and the mean of this model's MAE over its on the same test rows; None without one that could
    serve.
    """
    if version is None:
        return None
    fold = Fold(contract)
    try:
        version, path = registry.champion(params.mlflow_uri, params.model_name, str(scratch / "champion"))
        old = model_of.load(path, contract, fold.input_names, fold.input_units, version)
    except JobError as error:
        if error.code != "model_refused":
            raise
        print(f"champion {version} cannot serve this contract and gives way: {error}", flush=True)
        return None
    baseline = Baseline.from_json(trained.manifest["baseline"])
    theirs = measure(contract, trained.test, predict_test(old, trained.test, baseline), fold.input_names)
    ratios = [
        trained.metrics[n] / theirs[n] for n in theirs if "_mae_" in n and "_dap_" not in n and "_persistence_" not in n
    ]
    return Rival(version, float(np.mean(ratios)))


def _predict_ms(contract: Contract, trained: Trained) -> float:
    """Wall time of a batch of 100 rows on one thread, best of five."""
    fold = Fold(contract)
    model = model_of.load(trained.folder, contract, fold.input_names, fold.input_units, "candidate")
    n = min(100, len(trained.test.t_ms))
    names = [trained.manifest["baseline"]["stations"][i] for i in trained.test.station[:n]]
    times = []
    for _ in range(5):
        clock = time.perf_counter()
        model.predict(names, trained.test.t_ms[:n], trained.test.test_inputs[:n])
        times.append(time.perf_counter() - clock)
    return min(times) * 1000 * 100 / n


def _only(data: Samples, rows: NDArray[Any]) -> Samples:
    """The rows picked by a mask or by indices; `test_inputs` stays whole."""
    return data._replace(
        columns=data.columns[rows],
        base=data.base[rows],
        truth=data.truth[rows],
        split=data.split[rows],
        station=data.station[rows],
        t_ms=data.t_ms[rows],
    )


def _digest_of(data: Samples) -> str:
    whole = hashlib.sha256()
    for part in (data.columns, data.base, data.truth, data.split, data.station, data.t_ms):
        whole.update(np.ascontiguousarray(part).tobytes())
    return whole.hexdigest()


def _settings(params: TrainParams, settings: dict[str, float]) -> dict[str, str]:
    names = (
        "table_path",
        "from_ms",
        "cut_ms",
        "trees",
        "tune",
        "sample_every",
        "workers",
        "seed",
        "fingerprint",
    )
    return {name: str(getattr(params, name)) for name in names} | {name: str(v) for name, v in settings.items()}


def _speaker(reporter: Reporter) -> Any:
    """Progress as a line on stdout and as counters of the job, which only ever grow."""
    so_far: dict[str, float] = {}

    def say(counters: dict[str, float], message: str | None = None) -> None:
        so_far.update({name: float(value) for name, value in counters.items()})
        print(" ".join(f"{k}={v:.6g}" for k, v in counters.items()) + (f"  {message}" if message else ""), flush=True)
        reporter.progress(dict(so_far), message=message)

    return say
