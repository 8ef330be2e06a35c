"""The batch job <pipeline>-evaluate: a trained version replayed over one of its splits, and judged.

model from the registry -> references fitted on the fit split (driver) -> fold and forecasts, a task a group of
stations, through the same Fold and Model that serve -> metrics, bootstrap, JSON and card, logged to the model's own
run. Trains nothing, moves no alias, and keeps no count of its runs: TypeScript does, in docs/evaluations.jsonl.

One forecast a station and hour is judged, that of the hour's first row, as verify.py has it. A pair counts when a truth
lies within ten minutes of the valid time and is masked by nothing; the inputs stay as dirty as they are, and so do the
truths from which a station's bands are adapted on the way. The bands are also followed over the year that ends with the
split (track.py).
"""

from __future__ import annotations

import copy
import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from ray_jobs.fold.fold import Fold
from ray_jobs.fold.neighbours import NOBODY, Near
from ray_jobs.fold.tabled import neighbourhood
from ray_jobs.generated.contract import Contract, horizon_name
from ray_jobs.generated.job import JobError, Reporter
from ray_jobs.generated.params import EvaluateParams, Mask
from ray_jobs.judge import card, references, scores, track
from ray_jobs.judge.references import Series
from ray_jobs.judge.splits import GAP_MS
from ray_jobs.kit import registry, table
from ray_jobs.kit.cluster import Cluster, Pool
from ray_jobs.kit.time import HOUR_MS
from ray_jobs.ledger import conformal
from ray_jobs.ledger.verify import TOLERANCE_MS
from ray_jobs.model import baseline as base_of
from ray_jobs.model import heads as model_of
from ray_jobs.model.baseline import Baseline, Floats
from ray_jobs.model.design import place_of

FORMAT = 1
TEST, CALIBRATE = "test", "calibrate"
# Small enough that progress is seen and a killed worker costs seconds, large enough that loading the model does not.
STATIONS_PER_TASK = 3
PREDICT_CHUNK = 4_000
# What bands have adapted over before the first forecast that is judged, where training leaves room for it.
WARM_MS = 28 * 24 * HOUR_MS
WEEK_MS = 7 * 24 * HOUR_MS
DAY_MS = 24 * HOUR_MS
# A day of a station counts among the worst when it has this many forecasts: one bad hour is no bad day.
DAY_PAIRS = 12
WORST_DAYS = 10
# Why a pair is not scored, in the order in which it is decided.
REASONS = ("no_truth", "known_anomaly", "interpolated", "fault", "not_said")


class JudgedStation(NamedTuple):
    """One station's forecasts beside their truths.

    Shapes: `t_ms` [n]; `truth` [n, target, horizon], NaN where the pair does not count; `said` and `fixed` [n, target,
    horizon, level], with the bands as a station adapts them and as the model brings them; `references` name -> [n,
    target, horizon]; `alone` and `stranger` [n, target, horizon], the median when nobody stands around, and when the
    model does not know the station; `odd` [n, target, horizon], whether the truth counts though the station's
    climatology calls it a fault; `beyond`, how many of the truths lay beyond what their target can be; `left_out`
    [reason, target, horizon] counts of pairs. Truths and all forecasts are within the targets' bounds.
    """

    station: str
    t_ms: NDArray[np.int64]
    truth: Floats
    said: Floats
    fixed: Floats
    references: dict[str, Floats]
    alone: Floats | None
    stranger: Floats
    odd: NDArray[np.bool_]
    beyond: int
    left_out: NDArray[np.int64]
    rows: int
    sha256: str
    predict_s: float
    heard: track.StationForecasts | None


class EvaluationSpan(NamedTuple):
    """Issue times [from_ms, to_ms) that are judged, from when on bands adapt before them, and what was fitted on.
    `track_from`: since when bands are followed month by month; None where no month has a past that heads have not
    learnt from.
    """

    fit_from: int
    fit_to: int
    warm_from: int
    from_ms: int
    to_ms: int
    track_from: int | None = None

    @property
    def replay_from(self) -> int:
        """The first issue time that is forecast at all."""
        return self.warm_from if self.track_from is None else min(self.warm_from, self.track_from)


def run(contract: Contract, params: EvaluateParams, reporter: Reporter) -> dict[str, float]:
    """Judges one version and logs what came out to its run. Returns the job's last counters.

    Errors: `model_refused` for a version that is not there or not of this contract; `config_invalid` for a split it has
    not; `job_failed` for a table without rows in it.
    """
    started = time.monotonic()
    so_far: dict[str, float] = {}

    def say(counters: Mapping[str, float], message: str | None = None) -> None:
        so_far.update({name: float(value) for name, value in counters.items()})
        print(" ".join(f"{k}={v:.6g}" for k, v in counters.items()) + (f"  {message}" if message else ""), flush=True)
        reporter.progress(dict(so_far), message=message)

    with tempfile.TemporaryDirectory(prefix="millrace-evaluate-") as scratch:
        number, path = registry.fetch(params.mlflow_uri, params.model_name, params.version, scratch)
        folder = Path(path)
        result = evaluate(contract, params, Cluster(params.workers), folder, number, say)
        version = registry.version_of(params.mlflow_uri, params.model_name, params.version)
        result["model"]["aliases"] = version["aliases"]
        result["cost"] |= {"evaluate_s": time.monotonic() - started}
        result["cost"] |= registry.cost_of(params.mlflow_uri, version["run_id"])
        files = {"result.json": dump(result), "card.html": card.of_evaluation(result)}
        registry.log_files(
            params.mlflow_uri, version["run_id"], f"evaluation/{params.split}", files, metrics_of(result, params.split)
        )
    return so_far | {
        "version": float(number),
        "pairs": float(sum(c["metrics"]["pairs"] for c in result["cells"] if c["station"] is None)),
        "mae_over_dap": result["mae_over_dap"],
        "seconds": time.monotonic() - started,
    }


def evaluate(
    contract: Contract,
    params: EvaluateParams,
    pool: Pool,
    folder: Path,
    version: str,
    say: Callable[..., None],
) -> dict[str, Any]:
    """Everything but the registry: the result, as JSON can hold it. Same table, model and parameters -> same scores."""
    fold = Fold(contract)
    model = model_of.load(folder, contract, fold.input_names, fold.input_units, version)
    span = evaluation_span(model.manifest, params)
    pinned = table.pin(params.table_path)
    baseline, first_ms, last_ms = fit_references(contract, params.table_path, pinned, span)
    names = list(baseline.stations)
    say({"stations": len(names)}, f"judging version {version} on {params.split}")

    around: Near = NOBODY
    if contract.sectors:
        around = neighbourhood(contract, params.table_path, pinned, span.replay_from - contract.depth_ms, span.to_ms)
    held = (pool.put(_packed(folder)), pool.put(baseline), pool.put(around))
    groups = [names[i : i + STATIONS_PER_TASK] for i in range(0, len(names), STATIONS_PER_TASK)]
    listed = params.masked_by is not None
    jobs = [
        (
            contract,
            params.table_path,
            pinned,
            group,
            span,
            version,
            tuple(m for m in params.masks if m.station in group),
            listed,
            *held,
        )
        for group in groups
    ]
    parts: dict[int, list[JudgedStation]] = {}
    for index, part in pool.map(judge_stations, jobs):
        parts[index] = part
        done = sum(len(groups[i]) for i in parts)
        say({"stations_done": done, "forecasts": sum(len(j.t_ms) for p in parts.values() for j in p)})
    judged = [j for i in sorted(parts) for j in parts[i] if len(j.t_ms)]
    if not judged:
        raise JobError(
            "job_failed",
            f'Cannot evaluate on "{params.table_path}": expected rows from {span.from_ms} to {span.to_ms}, found none; '
            "run the backfill over them first",
        )
    manifest = model.manifest
    training = manifest["training"]
    known = set(manifest["baseline"]["stations"])
    result: dict[str, Any] = {
        "format": FORMAT,
        "pipeline": contract.pipeline,
        "split": {"name": params.split, "from_ms": span.from_ms, "to_ms": span.to_ms},
        "model": {
            "name": params.model_name,
            "version": version,
            "digest": manifest["digest"],
            "parent": manifest["parent"],
            "fingerprint": manifest["fingerprint"],
            "contract_fingerprint": manifest["contract_fingerprint"],
            "aliases": [],
            "training": {k: v for k, v in training.items() if k != "rounds"},
            "certificate": manifest.get("certificate", training.get("certificate")),
            "heads": len(manifest["files"]),
        },
        "in_sample": span.from_ms < (training.get("calibrate_from_ms") or model.train_to_ms),
        "calibrated_on": span.from_ms < model.train_to_ms,
        "data": {
            "table": params.table_path,
            "table_version": pinned,
            "first_ms": first_ms,
            "last_ms": last_ms,
            "rows": sum(j.rows for j in judged),
            "sha256": hashlib.sha256("".join(j.sha256 for j in judged).encode()).hexdigest(),
            "stations": [j.station for j in judged],
            "strangers": sorted(j.station for j in judged if j.station not in known),
        },
        "masks": {
            "by": params.masked_by,
            "tolerance_ms": TOLERANCE_MS,
            "left_out": {reason: int(sum(j.left_out[i].sum() for j in judged)) for i, reason in enumerate(REASONS)},
            "beyond_support": sum(j.beyond for j in judged),
        },
        "units": {t: contract.field(t).unit for t in contract.targets},
        "levels": list(contract.levels),
        "references": list(references.NAMES),
        "bootstrap": {"rounds": params.rounds, "seed": params.seed, "block_ms": WEEK_MS, "coverage": 0.95},
        "cost": {"predict_ms_per_100_rows": _cost_ms(judged)},
    }
    result["track"] = track_months(contract, pool, span, judged, say)
    return result | judge(contract, judged, params.rounds, params.seed, known)


def track_months(
    contract: Contract, pool: Pool, span: EvaluationSpan, judged: list[JudgedStation], say: Callable[..., None]
) -> dict[str, Any] | None:
    """The bands over the months up to the span's end; None where none of them has a past to be calibrated by."""
    heard = [j.heard for j in judged if j.heard is not None]
    if span.track_from is None or not heard:
        return None
    months = track.months_of(span.track_from, span.to_ms)
    static = pool.put(track.static_of(contract, months, heard))
    groups = [heard[i : i + STATIONS_PER_TASK] for i in range(0, len(heard), STATIONS_PER_TASK)]
    found: dict[int, list[track.Counted]] = {}
    for index, part in pool.map(track.count_stations, [(contract, months, static, group) for group in groups]):
        found[index] = part
        say({"stations_followed": sum(len(p) for p in found.values())})
    return track.summary_of_months(contract, months, [one for i in sorted(found) for one in found[i]])


def evaluation_span(manifest: Mapping[str, Any], params: EvaluateParams) -> EvaluationSpan:
    """The split as the model's own training had it, within the bounds asked for.

    Errors: `config_invalid` for a split that training had not, or an empty span.
    """
    training = manifest["training"]
    test_from, cut = training["test_from_ms"], training["cut_ms"]
    calibrate_from = training.get("calibrate_from_ms")
    if params.split == TEST:
        from_ms, to_ms = test_from, cut
    elif params.split == CALIBRATE and calibrate_from is not None:
        from_ms, to_ms = calibrate_from, test_from - GAP_MS
    else:
        other = f" or {CALIBRATE}" if calibrate_from is not None else ""
        why = "" if other else "; its training had no weeks to calibrate: train one with --calibrate-from"
        raise JobError(
            "config_invalid", f'Cannot evaluate split "{params.split}" of this model: expected {TEST}{other}{why}'
        )
    from_ms = from_ms if params.from_ms is None else params.from_ms
    to_ms = to_ms if params.to_ms is None else params.to_ms
    fit_to = training.get("fit_to_ms", (test_from if calibrate_from is None else calibrate_from) - GAP_MS)
    if not from_ms < to_ms:
        raise JobError("config_invalid", f"Cannot evaluate from {from_ms} to {to_ms}: expected a span of time")
    # Bands of a running station have adapted before; rows that heads have learnt from would teach them too much.
    learnt_to = fit_to if calibrate_from is None else calibrate_from
    warm_from = max(from_ms - WARM_MS, learnt_to) if calibrate_from is not None and from_ms > learnt_to else from_ms
    months = [] if calibrate_from is None else track.months_of(learnt_to, to_ms)
    track_from = max(learnt_to, months[0].from_ms - track.MOST_PAST_MS) if months else None
    return EvaluationSpan(training["from_ms"], fit_to, min(warm_from, from_ms), from_ms, to_ms, track_from)


def fit_references(contract: Contract, path: str, version: int, span: EvaluationSpan) -> tuple[Baseline, int, int]:
    """Climatology and damping from the fit split alone, for every station that has rows in the span; the first and last
    window end of the table's rows before the span's end.
    """
    targets = [contract.target_column(t) for t in contract.targets]
    found = table.read(
        path, version, contract, [contract.entity_key, "window_end", *targets], span.fit_from, span.to_ms
    )
    names: list[str] = []
    series: list[tuple[Floats, Floats]] = []
    for station, rows in table.by_station(found, contract.entity_key):
        t_ms = table.floats(rows, "window_end")
        if not np.any(t_ms >= span.from_ms):
            continue
        use = t_ms < min(span.fit_to, span.from_ms)
        names.append(station)
        series.append((t_ms[use], np.stack([table.floats(rows, c)[use] for c in targets], axis=1)))
    if not names:
        raise JobError(
            "job_failed",
            f'Cannot evaluate on "{path}": expected rows from {span.from_ms} to {span.to_ms}, found none; '
            "run the backfill over them first",
        )
    ends = table.floats(found, "window_end")
    longitudes = np.array([place_of(contract, n).longitude for n in names])
    fitted = base_of.fit(tuple(names), longitudes, series, contract.horizons_ms, TOLERANCE_MS)
    return fitted, int(ends.min()), int(ends.max())


def judge_stations(
    contract: Contract,
    path: str,
    table_version: int,
    stations: list[str],
    span: EvaluationSpan,
    version: str,
    masks: tuple[Mask, ...],
    listed: bool,
    packed: dict[str, bytes],
    baseline: Baseline,
    around: Near,
) -> list[JudgedStation]:
    """Replays the stations' rows through the fold and the model. Pure: a task that is run again says the same."""
    fold = Fold(contract)
    with tempfile.TemporaryDirectory(prefix="millrace-evaluate-") as scratch:
        folder = Path(scratch)
        for name, content in packed.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        model = model_of.load(folder, contract, fold.input_names, fold.input_units, version)
    targets = [contract.target_column(t) for t in contract.targets]
    past = table.read(
        path,
        table_version,
        contract,
        [contract.entity_key, "window_end", *targets],
        span.fit_from,
        span.to_ms,
        stations,
    )
    found = table.read(
        path,
        table_version,
        contract,
        table.columns_of(contract),
        span.replay_from - contract.depth_ms,
        span.to_ms,
        stations,
    )
    replayed = dict(table.by_station(found, contract.entity_key))
    out: list[JudgedStation] = []
    for station, rows in table.by_station(past, contract.entity_key):
        if station not in replayed:
            continue
        t_ms = table.floats(rows, "window_end")
        values = np.stack([table.floats(rows, c) for c in targets], axis=1)
        number = baseline.stations.index(station)
        series = Series(t_ms, values, number, place_of(contract, station).longitude)
        mine = tuple(m for m in masks if m.station == station)
        out.append(
            _of_station(contract, fold, model, station, series, replayed[station], span, mine, listed, baseline, around)
        )
    return out


def _of_station(
    contract: Contract,
    fold: Fold,
    model: model_of.Model,
    station: str,
    series: Series,
    rows: Any,
    span: EvaluationSpan,
    masks: tuple[Mask, ...],
    listed: bool,
    baseline: Baseline,
    around: Near,
) -> JudgedStation:
    horizons_ms = contract.horizons_ms
    bounds = conformal.bounds_of(contract)
    ends, inputs = replay(contract, fold, rows, span, around)
    # The series has one row for each of these ends; of two versions of a window the later one counts, as in the fold.
    issued = np.searchsorted(series.t_ms, ends, side="right") - 1
    clock = time.perf_counter()
    heads = _heads(model, station, ends, inputs)
    predict_s = time.perf_counter() - clock
    shown = ends >= span.from_ms
    predict_s *= float(shown.sum()) / max(len(shown), 1)
    wrong, faulty = _wrong(contract, series, masks, baseline, listed)
    heard: track.StationForecasts | None = None
    if span.track_from is not None:
        since = ends >= span.track_from
        truth = bounds.clamp(_truths(horizons_ms, series, ends[since]))
        counted, _ = _counted(horizons_ms, series, ends[since], wrong, heads[since])
        clean = ~_at(horizons_ms, series, ends[since], faulty)
        heard = track.StationForecasts(station, ends[since], heads[since], truth, clean, counted)
    warm = ends >= span.warm_from
    ends, issued, heads, inputs, shown = ends[warm], issued[warm], heads[warm], inputs[warm], shown[warm]
    fixed = conformal.levels(heads, model.scales[None], bounds)
    said = conformal.levels(heads, adapted(contract, model.scales, heads, series, ends), bounds)
    ends, issued, said, fixed = ends[shown], issued[shown], said[shown], fixed[shown]
    heads, inputs = heads[shown], inputs[shown]
    alone: Floats | None = None
    if fold.own_inputs < len(fold.input_names):
        by_itself = inputs.copy()
        by_itself[:, fold.own_inputs :] = np.nan
        alone = bounds.clamp(_heads(model, station, ends, by_itself)[..., 1])
    stranger = bounds.clamp(_heads(_forgetting(model, station), station, ends, inputs)[..., 1])

    counts, left_out = _counted(horizons_ms, series, ends, wrong, heads)
    measured = np.where(counts, _truths(horizons_ms, series, ends), np.nan)
    odd = counts & _at(horizons_ms, series, ends, faulty)
    others = references.reference_forecasts(baseline, series, issued, span.fit_to, horizons_ms, TOLERANCE_MS)
    inside = (series.t_ms >= span.from_ms) & (series.t_ms < span.to_ms)
    digest = hashlib.sha256(station.encode())
    digest.update(np.ascontiguousarray(series.t_ms[inside]).tobytes())
    digest.update(np.ascontiguousarray(series.values[inside]).tobytes())
    return JudgedStation(
        station,
        ends.astype(np.int64),
        bounds.clamp(measured),
        said,
        fixed,
        {name: bounds.clamp(other) for name, other in others.items()},
        alone,
        stranger,
        odd,
        int(bounds.beyond(measured).sum()),
        left_out,
        int(inside.sum()),
        digest.hexdigest(),
        predict_s,
        heard,
    )


def _truths(horizons_ms: Sequence[int], series: Series, ends: NDArray[np.int64]) -> Floats:
    """What was measured at t + h, masked by nothing: the nearest row within ten minutes. -> [n, target, horizon], NaN
    without.
    """
    out = np.full((len(ends), series.values.shape[1], len(horizons_ms)), np.nan)
    for j, horizon in enumerate(horizons_ms):
        at = base_of.nearest(series.t_ms, ends.astype(np.float64) + horizon, TOLERANCE_MS)
        out[:, :, j] = np.where((at >= 0)[:, None], series.values[np.maximum(at, 0)], np.nan)
    return out


def _at(
    horizons_ms: Sequence[int], series: Series, ends: NDArray[np.int64], flags: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """A flag of the series [row, target] at each truth. -> [n, target, horizon], false without a truth."""
    out = np.zeros((len(ends), flags.shape[1], len(horizons_ms)), dtype=bool)
    for j, horizon in enumerate(horizons_ms):
        at = base_of.nearest(series.t_ms, ends.astype(np.float64) + horizon, TOLERANCE_MS)
        out[:, :, j] = (at >= 0)[:, None] & flags[np.maximum(at, 0)]
    return out


def _counted(
    horizons_ms: Sequence[int],
    series: Series,
    ends: NDArray[np.int64],
    wrong: list[NDArray[np.bool_]],
    heads: Floats,
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which pairs count [n, target, horizon], and how many each reason left out [reason, target, horizon]."""
    open_ = ~np.isnan(_truths(horizons_ms, series, ends))
    left_out = [np.sum(~open_, axis=0)]
    for flags in (*(_at(horizons_ms, series, ends, w) for w in wrong), np.isnan(heads[..., 1])):
        left_out.append(np.sum(open_ & flags, axis=0))
        open_ &= ~flags
    return open_, np.stack(left_out)


def replay(
    contract: Contract, fold: Fold, rows: Any, span: EvaluationSpan, around: Near
) -> tuple[NDArray[np.int64], Floats]:
    """The first row of each hour from `replay_from` on, after all before it. -> ends [n], inputs [n, input]."""
    ends = table.floats(rows, "window_end").astype(np.int64)
    hour = ends // HOUR_MS
    first = np.concatenate([[True], hour[1:] != hour[:-1]]) & (ends >= span.replay_from)
    state = fold.new_state()
    kept: list[int] = []
    inputs: list[list[float]] = []
    for i, row in enumerate(table.rows(rows)):
        step = fold.step(state, row, around if first[i] else NOBODY)
        state = step.state
        if first[i] and step.status == "applied":
            kept.append(int(ends[i]))
            inputs.append(step.inputs)
    return np.array(kept, dtype=np.int64), np.array(inputs, dtype=np.float64).reshape(-1, len(fold.input_names))


def _heads(model: model_of.Model, station: str, ends: NDArray[np.int64], inputs: Floats) -> Floats:
    """Lowest head, median and highest of each row. -> [n, target, horizon, 3]."""
    starts = range(0, len(ends), PREDICT_CHUNK) if len(ends) else [0]
    parts = [slice(i, i + PREDICT_CHUNK) for i in starts]
    return np.concatenate([model.forecast([station] * len(ends[p]), ends[p], inputs[p]).heads for p in parts])


def adapted(contract: Contract, scales: Floats, heads: Floats, series: Series, ends: NDArray[np.int64]) -> Floats:
    """Scales of the bands at each forecast, as the actor moves them by the truths it knows by then: those of t + h from
    the row with window_end >= t + h + lateness on. -> [n, target, horizon, band].
    """
    truth = _truths(contract.horizons_ms, series, ends)
    base = np.broadcast_to(scales, (len(ends), *scales.shape))
    score = conformal.score(heads, conformal.taught(contract, heads, truth), conformal.bounds_of(contract))
    return track.adapt(contract, base, score, ends).scales


def _forgetting(model: model_of.Model, station: str) -> model_of.Model:
    """The model as it would meet a station that it has no climatology of. The heads have still seen the station's rows:
    what leaving it out of training costs is measured by training without it.
    """
    other = copy.copy(model)
    other._baseline = model._baseline.without(station)
    other._places = {}  # Where the neighbours stand in the baseline has changed with it.
    return other


def _wrong(
    contract: Contract, series: Series, masks: tuple[Mask, ...], baseline: Baseline, listed: bool
) -> tuple[list[NDArray[np.bool_]], NDArray[np.bool_]]:
    """What may be no truth, in the order of REASONS: known anomalies, interpolated, faults; and what the station's
    climatology calls a fault. [n, target] each. With a list of known anomalies that list decides; without one a
    station's own climatology says what is a fault.
    """
    known = np.zeros(series.values.shape, dtype=bool)
    ruled = np.zeros(series.values.shape, dtype=bool)
    faulty = np.zeros(series.values.shape, dtype=bool)
    at = baseline.climatology(
        np.full(len(series.t_ms), series.number), np.full(len(series.t_ms), series.longitude), series.t_ms
    )
    for k, target in enumerate(contract.targets):
        spans = [(m.from_ms, m.to_ms) for m in masks if m.field == target]
        known[:, k] = scores.windows_in(series.t_ms - contract.window_ms, series.t_ms, spans)
        ruled[:, k] = scores.interpolated(series.t_ms, series.values[:, k])
        faulty[:, k] = base_of.faulty(series.values[:, k] - at[:, k])
    return [known, ruled, np.zeros_like(faulty) if listed else faulty], faulty


def judge(contract: Contract, judged: list[JudgedStation], rounds: int, seed: int, known: set[str]) -> dict[str, Any]:
    """Scores of every target and horizon, over all stations and for each; how sure they are; what the card draws."""
    levels = contract.levels
    middle = levels.index(0.5)
    cells: list[dict[str, Any]] = []
    sure: list[dict[str, Any]] = []
    worst: list[dict[str, Any]] = []
    by_hour: list[dict[str, Any]] = []
    reliable: list[dict[str, Any]] = []
    days: list[dict[str, Any]] = []
    ratios: list[float] = []
    for k, target in enumerate(contract.targets):
        unit = contract.field(target).unit
        word = scores.unit_word(unit)
        for j, horizon in enumerate(contract.horizons_h):
            where = {"target": target, "horizon_h": horizon}
            pairs = _pairs(contract, judged, k, j)
            if not len(pairs.truth):
                continue
            whole = scores.summary(pairs.truth, pairs.said, levels, pairs.others, unit)
            whole |= _fixed(pairs, levels, word) | _scenarios(pairs, f"mae_{word}", f"dap_mae_{word}", whole)
            cells.append({**where, "station": None, "metrics": whole})
            ratios.append(whole[f"mae_{word}"] / whole[f"dap_mae_{word}"])
            of: list[dict[str, Any]] = []
            for i, one in enumerate(judged):
                mine = pairs.of(pairs.station == i)
                metrics = scores.summary(mine.truth, mine.said, levels, mine.others, unit)
                if len(mine.truth):
                    metrics |= _fixed(mine, levels, word) | _scenarios(mine, f"mae_{word}", f"dap_mae_{word}", metrics)
                    of.append({**where, "station": one.station, "metrics": metrics})
            cells += of
            worst.append({**where, **_worst(of)})
            strange = np.array([one.station not in known for one in judged])[pairs.station]
            groups = (("trained_on", ~strange), ("never_seen", strange)) if strange.any() else ()
            doubted = (("without_faults", ~pairs.odd),) if pairs.odd.any() else ()
            for group, use in (*groups, *doubted):
                if use.any():
                    part = pairs.of(use)
                    metrics = scores.summary(part.truth, part.said, levels, part.others, unit)
                    cells.append({**where, "station": None, "group": group, "metrics": metrics})
            sure.append({**where, **_sure(pairs, middle, levels, word, rounds, seed)})
            by_hour.append({**where, **_by_hour(contract, judged, pairs, middle, word)})
            share = scores.reliability(pairs.truth, pairs.said)
            reliable.append({**where, "observed": [float(x) for x in share]})
            if j == len(contract.horizons_h) - 1:
                days += _days(judged, pairs, middle, word, where)
    return {
        "mae_over_dap": float(np.mean(ratios)),
        "cells": cells,
        "intervals": sure,
        "worst": worst,
        "by_hour": by_hour,
        "reliability": reliable,
        "worst_days": days,
    }


class Pairs(NamedTuple):
    """Scored pairs of one target and horizon over all stations; `station` is the index into the judged ones, `valid_ms`
    the time of the truth.
    """

    truth: Floats
    said: Floats
    fixed: Floats
    others: dict[str, Floats]
    alone: Floats | None
    stranger: Floats
    odd: NDArray[np.bool_]
    station: NDArray[np.int64]
    valid_ms: NDArray[np.int64]

    def of(self, use: NDArray[np.bool_]) -> Pairs:
        return Pairs(
            self.truth[use],
            self.said[use],
            self.fixed[use],
            {name: other[use] for name, other in self.others.items()},
            None if self.alone is None else self.alone[use],
            self.stranger[use],
            self.odd[use],
            self.station[use],
            self.valid_ms[use],
        )


def _pairs(contract: Contract, judged: list[JudgedStation], k: int, j: int) -> Pairs:
    uses = [~np.isnan(one.truth[:, k, j]) for one in judged]
    both = list(zip(judged, uses, strict=True))
    alone = [one.alone[u, k, j] for one, u in both if one.alone is not None]
    return Pairs(
        np.concatenate([one.truth[u, k, j] for one, u in both]),
        np.concatenate([one.said[u, k, j] for one, u in both]),
        np.concatenate([one.fixed[u, k, j] for one, u in both]),
        {name: np.concatenate([one.references[name][u, k, j] for one, u in both]) for name in references.NAMES},
        np.concatenate(alone) if alone else None,
        np.concatenate([one.stranger[u, k, j] for one, u in both]),
        np.concatenate([one.odd[u, k, j] for one, u in both]),
        np.concatenate([np.full(int(u.sum()), i) for i, u in enumerate(uses)]),
        np.concatenate([one.t_ms[u] + contract.horizons_ms[j] for one, u in both]),
    )


def _fixed(pairs: Pairs, levels: tuple[float, ...], word: str) -> dict[str, float]:
    """The widest band as the model brings it, before any station adapts its own."""
    percent, low, high = scores.bands_of(levels)[-1]
    below, above, truth = pairs.fixed[:, low], pairs.fixed[:, high], pairs.truth
    return {
        f"fixed_coverage_{percent}": float(np.mean((truth >= below) & (truth <= above))),
        f"fixed_winkler_{percent}_{word}": float(
            np.mean(scores.winkler(truth, below, above, levels[high] - levels[low]))
        ),
    }


def _scenarios(pairs: Pairs, mae: str, dap: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """MAE and skill against DAP of the same pairs, served without neighbours and to a station the model does not know.

    A stranger may be told nothing; its score is over the pairs where it is told something.
    """
    out: dict[str, float] = {}
    for name, said in (("alone", pairs.alone), ("stranger", pairs.stranger)):
        if said is None:
            continue
        error = np.abs(said - pairs.truth)
        told = ~np.isnan(error)
        theirs = float(np.mean(np.abs(pairs.others["dap"] - pairs.truth)[told])) if told.any() else float("nan")
        ours = float(np.mean(error[told])) if told.any() else float("nan")
        out[f"{name}_{mae}"] = ours
        out[f"{name}_skill_dap"] = scores.skill(ours, theirs)
        out[f"{name}_pairs"] = float(told.sum())
        out[f"{name}_over_served"] = ours / metrics[mae] if metrics[mae] > 0 else float("nan")
    return out


def _worst(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """The station with the least skill against DAP, and those whose widest band covers least and most."""
    band = max((n for n in cells[0]["metrics"] if n.startswith("coverage_")), key=lambda n: int(n.split("_")[1]))
    by_skill = min(cells, key=lambda c: c["metrics"]["skill_dap"])
    covered = sorted(cells, key=lambda c: c["metrics"][band])
    return {
        "station": by_skill["station"],
        "skill_dap": by_skill["metrics"]["skill_dap"],
        "stations_below_dap": sum(c["metrics"]["skill_dap"] <= 0 for c in cells),
        "least_covered": covered[0]["station"],
        "least_coverage": covered[0]["metrics"][band],
        "most_covered": covered[-1]["station"],
        "most_coverage": covered[-1]["metrics"][band],
    }


def _sure(pairs: Pairs, middle: int, levels: tuple[float, ...], word: str, rounds: int, seed: int) -> dict[str, Any]:
    """95 % intervals by weeks drawn with replacement."""
    _, low, high = scores.bands_of(levels)[-1]
    truth = pairs.truth
    values = np.stack(
        [
            np.ones(len(truth)),
            np.abs(pairs.said[:, middle] - truth),
            np.abs(pairs.others["dap"] - truth),
            np.abs(pairs.others["persistence"] - truth),
            ((truth >= pairs.said[:, low]) & (truth <= pairs.said[:, high])).astype(np.float64),
        ],
        axis=1,
    )
    weeks = pairs.valid_ms // WEEK_MS
    n, ours, dap, persistence, covered = scores.bootstrap(weeks, values, rounds, seed).T
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "weeks": len(np.unique(weeks)),
            f"mae_{word}": scores.interval(ours / n),
            "skill_dap": scores.interval(1 - ours / dap),
            "skill_persistence": scores.interval(1 - ours / persistence),
            "coverage": scores.interval(covered / n),
        }


def _by_hour(contract: Contract, judged: list[JudgedStation], pairs: Pairs, middle: int, word: str) -> dict[str, Any]:
    """MAE by the hour of the valid time in the station's own solar day, of the model and of DAP; null without pairs."""
    east = np.nan_to_num(np.array([place_of(contract, one.station).longitude for one in judged]))
    solar = (pairs.valid_ms / HOUR_MS + east[pairs.station] / 15.0) % 24
    hour = np.floor(solar).astype(np.int64) % 24
    count = np.bincount(hour, minlength=24)
    out: dict[str, Any] = {}
    for name, said in ((f"mae_{word}", pairs.said[:, middle]), (f"dap_mae_{word}", pairs.others["dap"])):
        total = np.bincount(hour, weights=np.abs(said - pairs.truth), minlength=24)
        out[name] = [float(t / n) if n else None for t, n in zip(total, count, strict=True)]
    return out


def _days(
    judged: list[JudgedStation], pairs: Pairs, middle: int, word: str, where: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The station's days with the largest MAE, most wrong first."""
    day = pairs.valid_ms // DAY_MS
    keys, which = np.unique(np.stack([pairs.station, day], axis=1), axis=0, return_inverse=True)
    which = which.reshape(-1)
    count = np.bincount(which)
    ours = np.bincount(which, weights=np.abs(pairs.said[:, middle] - pairs.truth)) / count
    dap = np.bincount(which, weights=np.abs(pairs.others["dap"] - pairs.truth)) / count
    order = [i for i in np.argsort(-ours) if count[i] >= DAY_PAIRS][:WORST_DAYS]
    return [
        {
            **where,
            "station": judged[int(keys[i, 0])].station,
            "day_ms": int(keys[i, 1]) * DAY_MS,
            f"mae_{word}": float(ours[i]),
            f"dap_mae_{word}": float(dap[i]),
        }
        for i in order
    ]


def metrics_of(result: Mapping[str, Any], split: str) -> dict[str, float]:
    """What goes to the run as metrics: those over all stations, by name, target and horizon."""
    out = {f"{split}_mae_over_dap": float(result["mae_over_dap"])}
    for cell in result["cells"]:
        if cell["station"] is None:
            group = f"_{cell['group']}" if "group" in cell else ""
            prefix = f"{split}{group}_{cell['target']}_{horizon_name(cell['horizon_h'])}"
            out |= {f"{prefix}_{name}": value for name, value in cell["metrics"].items()}
    followed = result["track"] or {"cells": []}
    for cell in followed["cells"]:
        prefix = f"{split}_year_{cell['target']}_{horizon_name(cell['horizon_h'])}"
        names = (f"coverage_{followed['band']}", "least_coverage", "most_coverage", "winkler_over_static")
        out |= {f"{prefix}_{name}": cell[name] for name in names}
    return {name: value for name, value in out.items() if np.isfinite(value)}


def dump(result: Mapping[str, Any]) -> str:
    """JSON text; a number that is none becomes null."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: plain(inner) for name, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(inner) for inner in value]
        return None if isinstance(value, float) and not np.isfinite(value) else value

    return json.dumps(plain(result), indent=1, allow_nan=False) + "\n"


def _packed(folder: Path) -> dict[str, bytes]:
    """A model folder as one value that can be handed to tasks on any node."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def _cost_ms(judged: list[JudgedStation]) -> float:
    """Wall time of forecasts on one thread, per hundred rows in batches of thousands."""
    rows = sum(len(j.t_ms) for j in judged)
    return 1000 * sum(j.predict_s for j in judged) * 100 / rows
