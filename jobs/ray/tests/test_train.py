"""A model trained on four cities of the bundled sample: it repeats, is worth having, and refuses foreign contracts."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st
from ray_jobs.fold.fold import Fold
from ray_jobs.generated.contract import Contract
from ray_jobs.generated.job import JobError
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.judge.splits import splits_of
from ray_jobs.kit import table
from ray_jobs.kit.cluster import Inline
from ray_jobs.kit.time import HOUR_MS
from ray_jobs.model import heads as model_of
from ray_jobs.model.baseline import Baseline
from ray_jobs.model.design import Design
from ray_jobs.train import samples, train
from ray_jobs.train.samples import FIT, TEST, WATCH
from tests import feature_rows
from tests.generated.ray.gauges_contract import CONTRACT as GAUGES
from tests.tables import SAMPLE, epoch_ms, train_params, write_sample

# Not part of make test-quick: trains models.
pytestmark = pytest.mark.slow

CUT = "2016-12-01"
SINGAPORE = SAMPLE.with_name("singapore-1min-3days.csv.gz")
# Two targets and two horizons: the same code with 12 heads instead of 27.
SMALL = replace(CONTRACT, targets=("temperature", "humidity"), horizons_ms=(6 * HOUR_MS, 24 * HOUR_MS))
FOLD = Fold(SMALL)
MEDIAN = len(SMALL.bands)


@dataclass
class Made:
    table: Path
    folder: Path
    trained: train.Trained


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    root = tmp_path_factory.mktemp("train")
    write_sample(root / "table", SMALL, "2015-01-01", "2016-12-02")
    trained = train.train(SMALL, train_params(root / "table", CUT), Inline(), root / "model", None, quiet)
    yield Made(root / "table", root / "model", trained)


def quiet(_counters: dict[str, float], _message: str | None = None) -> None:
    pass


def load(folder: Path, contract: Any = SMALL) -> model_of.Model:
    fold = Fold(contract)
    return model_of.load(folder, contract, fold.input_names, fold.input_units, "1")


def copy(made: Made, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.folder, tmp_path / "copy"))


# What it is worth


def test_train_beats_persistence_and_dap_on_the_month_held_out(made: Made) -> None:
    metrics = made.trained.metrics
    for target in SMALL.targets:
        for horizon in SMALL.horizons_h:
            assert metrics[f"{target}_{horizon}h_skill_persistence"] > 0.03
            assert metrics[f"{target}_{horizon}h_skill_dap"] > 0.0
            assert 0.80 < metrics[f"{target}_{horizon}h_coverage"] < 0.97
            assert metrics[f"{target}_{horizon}h_pairs"] > 2_000
    assert metrics["temperature_6h_skill_dap"] > 0.12


def test_train_serves_a_young_station_no_worse_than_dap(made: Made) -> None:
    assert made.trained.metrics["young_mae_over_dap"] < 1.02


def test_measure_agrees_with_the_definitions(made: Made) -> None:
    test = made.trained.test
    model = load(made.folder)
    predicted = train.predict_test(model, test, Baseline.from_json(made.trained.manifest["baseline"]))
    y = test.truth[:, 0, 0].astype(float)
    now = test.test_inputs[:, FOLD.input_names.index("temperature_mean")]
    use = ~np.isnan(y) & ~np.isnan(now) & ~np.isnan(predicted[:, 0, 0, MEDIAN])
    found = made.trained.metrics
    assert found["temperature_6h_mae_degC"] == pytest.approx(np.mean(np.abs(predicted[use, 0, 0, MEDIAN] - y[use])))
    assert found["temperature_6h_persistence_mae_degC"] == pytest.approx(np.mean(np.abs(now[use] - y[use])))
    assert found["temperature_6h_pairs"] == use.sum()


def test_measure_judges_at_the_edge_of_the_support(made: Made) -> None:
    """Fog in which one sensor says 100 and another 103 gives the same errors, of the model and of all it is held
    against.
    """
    test, names = made.trained.test, FOLD.input_names
    predicted = train.predict_test(load(made.folder), test, Baseline.from_json(made.trained.manifest["baseline"]))
    humidity = SMALL.targets.index("humidity")

    def saturated(value: float) -> dict[str, float]:
        wet = test._replace(truth=test.truth.copy(), base=test.base.copy(), test_inputs=test.test_inputs.copy())
        for part in (wet.truth, wet.base):
            part[:, humidity] = np.where(part[:, humidity] >= 80, value, part[:, humidity])
        now = wet.test_inputs[:, names.index("humidity_mean")]
        wet.test_inputs[:, names.index("humidity_mean")] = np.where(now >= 80, value, now)
        return train.measure(SMALL, wet, predicted, names)

    assert saturated(103.0) == saturated(100.0) != saturated(99.0)


# What it has seen


def test_train_uses_no_truth_beyond_its_split(made: Made) -> None:
    cut = train_params(made.table, CUT).cut_ms
    version = table.pin(str(made.table))
    baseline, splits, _ = train.fit_baseline(SMALL, train_params(made.table, CUT), version)
    data = samples.samples_of(
        SMALL, str(made.table), version, list(baseline.stations), list(range(4)), baseline, splits, 3, 7
    )
    limits = {FIT: splits.watch_from, WATCH: splits.test_from, TEST: cut}
    for split, limit in limits.items():
        rows = data.split == split
        assert rows.any()
        for j, horizon in enumerate(SMALL.horizons_h):
            known = ~np.isnan(data.truth[rows, 0, j])
            assert np.all(data.t_ms[rows][known] + horizon * HOUR_MS < limit)
    assert splits.fit_to < splits.watch_from < splits.watch_to < splits.test_from < cut
    assert made.trained.manifest["training"]["to_ms"] == splits.test_from


def test_fit_rows_alone_come_again_as_a_strangers(made: Made) -> None:
    version = table.pin(str(made.table))
    baseline, splits, _ = train.fit_baseline(SMALL, train_params(made.table, CUT), version)
    data = samples.samples_of(SMALL, str(made.table), version, ["miami"], [0], baseline, splits, 3, 7)
    design = Design(SMALL, Fold(SMALL).input_names)
    count = int(np.flatnonzero(np.diff(data.t_ms) < 0)[0]) + 1
    first, again = np.flatnonzero(data.split[:count] == FIT), np.arange(count, len(data.t_ms))
    assert len(again) / len(first) == pytest.approx(samples.STRANGER_SHARE, abs=0.05)
    assert np.all(data.split[again] == FIT) and np.all(np.diff(data.t_ms[again]) > 0)
    assert np.isnan(data.columns[again, design.columns.index("temperature_mean_anomaly")]).all()
    of = {int(t): i for i, t in zip(first, data.t_ms[first], strict=True)}
    there = np.array([of[int(t)] for t in data.t_ms[again]])
    # But for changes that are not learnt: those are against the base.
    same = data.truth[there] == data.truth[again]
    assert np.all(same | np.isnan(data.truth[there]) | np.isnan(data.truth[again])) and same.mean() > 0.9
    # Persistence and not damped: a stranger has no climatology to go back to.
    assert not np.allclose(data.base[there], data.base[again])


def test_splits_by_date_keep_their_distance_and_refuse_what_cannot_be() -> None:
    day = 24 * HOUR_MS
    first, calibrate, test, cut = (epoch_ms(x) for x in ("2012-10-15", "2016-01-04", "2016-12-01", "2017-03-01"))
    splits = splits_of(first, cut, calibrate, test)
    assert splits.in_order()
    assert (splits.calibrate_from, splits.calibrate_to, splits.test_from) == (calibrate, test - 3 * day, test)
    assert splits.watch_to == splits.known_to == calibrate - 3 * day == splits.watch_from + 56 * day
    assert splits.fit_to == splits.watch_from - 3 * day
    t_ms = np.array(
        [splits.fit_to, calibrate - 1, calibrate, test - 3 * day - 1, test - 1, test, cut - day - 1], dtype=float
    )
    truth = np.ones((len(t_ms), 1, 1))
    found = samples._splits(t_ms, [6 * HOUR_MS], truth, splits)
    assert found.tolist() == [-1, -1, samples.CALIBRATE, samples.CALIBRATE, -1, TEST, TEST]
    for wrong in ((test, calibrate), (calibrate, cut), (first, test), (calibrate, calibrate)):
        assert not splits_of(first, cut, *wrong).in_order()
    assert splits_of(first, cut).in_order()


def test_train_with_dates_calibrates_on_a_split_of_its_own(made: Made, tmp_path: Path) -> None:
    dates = {"calibrate_from_ms": epoch_ms("2016-08-01"), "test_from_ms": epoch_ms("2016-11-01")}
    params = train_params(made.table, CUT, trees=2, from_ms=epoch_ms("2016-03-01"), **dates)
    training = train.train(SMALL, params, Inline(), tmp_path / "model", None, quiet).manifest["training"]
    assert training["calibrate_from_ms"] == dates["calibrate_from_ms"]
    assert training["test_from_ms"] == training["to_ms"] == dates["test_from_ms"]
    assert training["fit_to_ms"] == dates["calibrate_from_ms"] - 72 * HOUR_MS
    assert training["calibrate_rows"] > 500 and training["watch_rows"] > 500
    with pytest.raises(JobError, match="in this order") as refused:
        train.train(SMALL, replace(params, test_from_ms=epoch_ms("2016-07-01")), Inline(), tmp_path, None, quiet)
    assert refused.value.code == "config_invalid"


def test_train_does_not_change_with_rows_after_the_cut(made: Made, tmp_path: Path) -> None:
    """The table goes on for a day behind the cut; a table that ends there gives the same model."""
    write_sample(tmp_path / "table", SMALL, "2015-01-01", CUT)
    again = train.train(SMALL, train_params(tmp_path / "table", CUT), Inline(), tmp_path / "model", "5", quiet)
    # Also the proof that the same data, code and seed give the same digest, whatever the parent is called.
    assert again.manifest["digest"] == made.trained.manifest["digest"]
    assert again.manifest["parent"] == "5"


def test_train_depends_on_the_seed(made: Made, tmp_path: Path) -> None:
    made_of = {
        seed: train_params(made.table, CUT, seed=seed, trees=2, from_ms=epoch_ms("2016-09-01")) for seed in (7, 8)
    }
    first, second = (
        train.train(SMALL, params, Inline(), tmp_path / str(seed), None, quiet).manifest
        for seed, params in made_of.items()
    )
    assert first["digest"] != second["digest"]
    assert first["training"]["data_sha256"] != second["training"]["data_sha256"]


def test_train_refuses_a_table_that_is_missing_or_empty(made: Made, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="run the backfill first"):
        train.train(SMALL, train_params(tmp_path / "none", CUT), Inline(), tmp_path, None, quiet)
    with pytest.raises(JobError, match="found none"):
        train.train(SMALL, train_params(made.table, "2014-01-01"), Inline(), tmp_path, None, quiet)
    with pytest.raises(JobError, match="humidity_mean"):
        bare = tmp_path / "bare"
        write_sample(bare, replace(SMALL, features=SMALL.features[:5]), "2016-11-01", "2016-11-03")
        train.train(SMALL, train_params(bare, CUT), Inline(), tmp_path, None, quiet)


def test_train_refuses_a_target_that_nobody_measured(made: Made, tmp_path: Path) -> None:
    rows = DeltaTable(str(made.table)).to_pyarrow_table()
    at = rows.schema.get_field_index("humidity_mean")
    write_deltalake(str(tmp_path / "table"), rows.set_column(at, "humidity_mean", pa.nulls(len(rows), pa.float64())))
    params = train_params(tmp_path / "table", CUT, from_ms=epoch_ms("2016-09-01"))
    with pytest.raises(JobError, match='truths of "humidity" 6 h ahead'):
        train.train(SMALL, params, Inline(), tmp_path / "model", None, quiet)


# What it may be used for


def test_load_refuses_a_model_of_another_unit_and_names_both(made: Made) -> None:
    kelvin = tuple(replace(f, unit="K") if f.field == "temperature" and f.kind == "mean" else f for f in SMALL.features)
    with pytest.raises(JobError) as refused:
        load(made.folder, replace(SMALL, features=kelvin))
    assert refused.value.code == "model_refused"
    assert '"temperature_mean"' in str(refused.value)
    assert '"degC"' in str(refused.value) and '"K"' in str(refused.value)


def test_load_refuses_a_target_of_another_unit(made: Made) -> None:
    fields = tuple(replace(f, unit="1") if f.name == "humidity" else f for f in SMALL.fields)
    with pytest.raises(JobError, match=r'target "humidity" was trained in "%", the live contract has "1"'):
        load(made.folder, replace(SMALL, fields=fields))


def test_load_refuses_another_contract_and_names_both_fingerprints(made: Made) -> None:
    other = replace(SMALL, horizons_ms=(6 * HOUR_MS, 12 * HOUR_MS))
    with pytest.raises(JobError) as refused:
        load(made.folder, other)
    here = model_of.fingerprint_of(model_of.shape_of(other, FOLD.input_names, FOLD.input_units))
    assert refused.value.code == "model_refused"
    assert made.trained.manifest["fingerprint"][:16] in str(refused.value)
    assert here[:16] in str(refused.value)
    assert "horizons_h" in str(refused.value)


def test_load_refuses_inputs_the_model_does_not_know(made: Made) -> None:
    with pytest.raises(JobError, match="neighbour_1"):
        model_of.load(made.folder, SMALL, (*FOLD.input_names, "neighbour_1"), (*FOLD.input_units, "degC"))


def test_a_model_from_before_a_support_serves_within_it(made: Made) -> None:
    """What a quantity can be is no part of what a model was trained for: it is cut off where levels leave."""

    def supported(support: tuple[float | None, float | None] | None) -> Contract:
        fields = [replace(f, support=support) if f.name == "humidity" else f for f in SMALL.fields]
        return replace(SMALL, fingerprint="another", fields=tuple(fields))

    test = made.trained.test
    names = [made.trained.manifest["baseline"]["stations"][i] for i in test.station[:400]]
    free, inside = (
        load(made.folder, supported(s)).predict(names, test.t_ms[:400], test.test_inputs[:400])
        for s in (None, (30.0, 70.0))
    )
    humidity = SMALL.targets.index("humidity")
    assert free[:, humidity].min() < 30 and free[:, humidity].max() > 70
    assert np.array_equal(inside[:, humidity], np.clip(free[:, humidity], 30, 70))
    others = [k for k in range(len(SMALL.targets)) if k != humidity]
    assert np.array_equal(inside[:, others], free[:, others], equal_nan=True)


def test_load_takes_a_contract_that_grew_a_field_the_model_never_sees(made: Made) -> None:
    grown = replace(SMALL, fingerprint="another", fields=(*SMALL.fields, replace(SMALL.fields[2], name="snow_depth")))
    assert load(made.folder, grown).version == "1"


@pytest.mark.parametrize("name", ["heads/temperature_6h_q500.txt", "manifest.json"])
def test_load_refuses_a_changed_byte(made: Made, tmp_path: Path, name: str) -> None:
    folder = copy(made, tmp_path)
    text = (folder / name).read_text()
    changed = (
        text.replace("shrinkage", "shrinkagf", 1) if name.endswith("txt") else text.replace('"seed": 7', '"seed": 8')
    )
    assert changed != text
    (folder / name).write_text(changed)
    with pytest.raises(JobError) as refused:
        load(folder)
    assert refused.value.code == "model_refused"
    assert name in str(refused.value)


def test_load_refuses_a_missing_head_and_no_model_at_all(made: Made, tmp_path: Path) -> None:
    folder = copy(made, tmp_path)
    (folder / "heads/temperature_6h_q500.txt").unlink()
    with pytest.raises(JobError, match="missing"):
        load(folder)
    with pytest.raises(JobError, match="cannot be read"):
        load(tmp_path)


# What it says


def test_predict_equals_training_on_the_same_rows(made: Made) -> None:
    """The columns that training saw and those that serving makes are the same numbers: no skew."""
    test = made.trained.test
    model = load(made.folder)
    names = [model.manifest["baseline"]["stations"][i] for i in test.station]
    columns, base = model.columns(names, test.t_ms, test.test_inputs)
    assert np.array_equal(columns, test.columns, equal_nan=True)
    assert np.array_equal(base.astype(np.float32), test.base, equal_nan=True)


def test_predict_of_a_batch_equals_one_by_one(made: Made) -> None:
    model = load(made.folder)
    test = made.trained.test
    pick = np.linspace(0, len(test.t_ms) - 1, 7).astype(int)
    names = [model.manifest["baseline"]["stations"][i] for i in test.station[pick]]
    together = model.predict(names, test.t_ms[pick], test.test_inputs[pick])
    for i, row in enumerate(pick):
        alone = model.predict([names[i]], test.t_ms[row : row + 1], test.test_inputs[row : row + 1])
        assert np.array_equal(alone[0], together[i])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["boston", "denver", "nowhere"]),
    st.integers(0, 2_000_000_000),
    st.lists(
        st.one_of(st.just(math.nan), st.floats(-1e6, 1e6), st.floats(-30, 110)),
        min_size=len(FOLD.input_names),
        max_size=len(FOLD.input_names),
    ),
)
def test_predict_never_crosses_and_stays_where_it_can_be(
    made: Made, station: str, t_s: int, inputs: list[float]
) -> None:
    out = load_once(made).predict([station], np.array([t_s * 1000]), np.array([inputs]))[0]
    for k, target in enumerate(SMALL.targets):
        low, high = SMALL.field(target).bounds
        said = out[k][~np.isnan(out[k])]
        assert np.all((said >= low) & (said <= high))
        for row in out[k]:
            assert np.isnan(row).all() or np.all(np.diff(row) >= 0)


_loaded: dict[Path, model_of.Model] = {}


def load_once(made: Made) -> model_of.Model:
    if made.folder not in _loaded:
        _loaded[made.folder] = load(made.folder)
    return _loaded[made.folder]


def test_predict_without_any_value(made: Made) -> None:
    model = load_once(made)
    nothing = np.full((2, len(FOLD.input_names)), math.nan)
    out = model.predict(["boston", "nowhere"], np.array([1_480_000_000_000] * 2), nothing)
    assert np.all(np.isfinite(out[0]))  # A known station is at its climatology.
    assert np.all(np.isnan(out[1]))  # Of an unknown one nothing can be said.
    assert model.predict([], np.array([]), nothing[:0]).shape == (0, 2, 2, 7)


def test_predict_of_an_unknown_station_stays_near_persistence(made: Made) -> None:
    model = load_once(made)
    test = made.trained.test
    pick = np.arange(0, len(test.t_ms), 97)
    now = test.test_inputs[pick][:, FOLD.input_names.index("temperature_mean")]
    out = model.predict(["nowhere"] * len(pick), test.t_ms[pick], test.test_inputs[pick])[:, 0, 1, MEDIAN]
    truth = test.truth[pick, 0, 1]
    use = ~np.isnan(truth) & ~np.isnan(out) & ~np.isnan(now)
    assert np.mean(np.abs(out - truth)[use]) < 1.1 * np.mean(np.abs(now - truth)[use])


def singapore(station: str, every: int) -> list[dict[str, Any]]:
    """Windows of a station's minutes, thinned to one observation in `every` minutes."""
    raw = pd.read_csv(SINGAPORE)
    raw = raw[raw["station_id"] == station]
    minute = pd.to_datetime(raw["timestamp"], utc=True).dt.floor("min")
    raw = raw.set_index(minute)[~minute.duplicated().to_numpy()]
    raw = raw[raw.index.minute % every == 0]
    windows = raw.drop(columns=["station_id", "timestamp"]).astype(float).rolling("5min")
    kinds = {kind: getattr(windows, kind)() for kind in ("mean", "std", "min", "max")}
    columns = {
        f.column: kinds[f.kind][f.field].to_numpy() for f in SMALL.features if f.kind in kinds and f.field in raw
    }
    columns["wind_direction_circular_mean"] = raw["wind_direction"].to_numpy(dtype=float)
    ends = [int(at.timestamp() * 1000) + 60_000 for at in raw.index]
    return [
        feature_rows.row(SMALL, station, end, 0, i, {name: float(x[i]) for name, x in columns.items()})
        for i, end in enumerate(ends)
    ]


def test_thinning_a_feed_does_not_move_the_forecast(made: Made) -> None:
    """The cadence trap: a model of hourly rows serves one-minute windows. Stations it has never seen, too."""
    model = load_once(made)
    moved: dict[int, list[float]] = {15: [], 60: []}
    for station in ("sg-s107", "sg-s50"):
        said: dict[int, dict[int, float]] = {}
        for every in (1, *moved):
            state, hours, inputs = FOLD.new_state(), [], []
            for one in singapore(station, every):
                step = FOLD.step(state, one)
                if (one["window_end"] - 60_000) % HOUR_MS == 0:
                    hours.append(one["window_end"])
                    inputs.append(step.inputs)
            medians = model.predict([station] * len(hours), np.array(hours), np.array(inputs))[:, 0, 0]
            said[every] = dict(zip(hours, medians[:, medians.shape[1] // 2].tolist(), strict=True))
        for every, differences in moved.items():
            both = sorted(said[1].keys() & said[every].keys())[24:]
            differences += [abs(said[1][t] - said[every][t]) for t in both]
    for every, differences in moved.items():
        assert len(differences) > 60 and np.median(differences) < 0.15, (every, np.median(differences))


def test_spread_falls_back_to_the_networks_mean(made: Made) -> None:
    model = load_once(made)
    own = [model.spread(s, "temperature") for s in ("boston", "denver", "miami", "seattle")]
    assert model.spread("nowhere", "temperature") == pytest.approx(np.mean(own))
    assert model.spread("miami", "temperature") < model.spread("denver", "temperature")


# Its parts


def test_forget_drops_history_of_fit_rows_only() -> None:
    design = Design(SMALL, FOLD.input_names)
    rng = np.random.default_rng(0)
    inputs = np.zeros((4_000, len(FOLD.input_names)))
    rows = np.arange(4_000) < 2_000
    samples._forget(inputs, rows, design, rng)
    assert not np.isnan(inputs[2_000:]).any()
    lost = {lag: np.isnan(inputs[:2_000, positions]).all(axis=1) for lag, positions in design.lag_inputs().items()}
    assert lost[1].mean() < lost[24].mean() < lost[48].mean()
    assert 0.02 < lost[1].mean() < 0.10
    assert not np.isnan(inputs[:, FOLD.input_names.index("temperature_mean")]).any()


def test_a_change_that_no_weather_makes_is_not_learnt_but_judged() -> None:
    change = np.array([10.0, -10.1, np.nan, 10.1, 10.1, 10.1])[:, None, None]
    split = np.array([samples.FIT, samples.FIT, samples.FIT, samples.WATCH, samples.CALIBRATE, samples.TEST])
    left_out = samples._not_learnt(change, np.full((6, 1), 10.0), split.astype(np.int8))
    assert left_out[:, 0, 0].tolist() == [False, True, False, True, False, False]
    assert not samples._not_learnt(change, np.full((6, 1), np.inf), split.astype(np.int8)).any()


def test_truths_takes_the_nearest_row_within_ten_minutes() -> None:
    t = np.array([0.0, 60.0, 360.0, 371.0]) * 60_000
    values = np.array([[1.0], [2.0], [3.0], [4.0]])
    faulty = np.array([[False], [False], [False], [True]])
    found = samples.truths(t, values, faulty, [6 * HOUR_MS])[:, 0, 0]
    assert found[0] == 3.0
    assert np.isnan(found[1:]).all()
    late = samples.truths(np.array([0.0, 370.0]) * 60_000, values[:2], faulty[:2], [6 * HOUR_MS])[0, 0, 0]
    assert late == 2.0
    assert np.isnan(samples.truths(np.array([0.0, 370.1]) * 60_000, values[:2], faulty[:2], [6 * HOUR_MS])[0, 0, 0])


def test_manifest_says_what_the_model_was_made_of(made: Made) -> None:
    manifest = json.loads((made.folder / "manifest.json").read_text())
    assert manifest["shape"]["inputs"][0] == {"name": "temperature_mean", "unit": "degC"}
    assert manifest["contract_fingerprint"] == SMALL.fingerprint
    assert manifest["training"]["seed"] == 7
    assert len(manifest["files"]) == 12
    assert manifest["metrics"]["temperature_6h_mae_degC"] > 0
    assert not list(made.folder.rglob("*.pkl"))


def test_a_station_without_history_is_named_and_left_to_be_a_stranger(tmp_path: Path) -> None:
    """One that began after the fit, and one that never measured the target."""
    one = replace(CONTRACT, targets=("temperature",), horizons_ms=(6 * HOUR_MS,))
    write_sample(tmp_path / "all", one, "2016-06-01", "2016-12-02", ("boston", "denver", "miami"))
    rows = DeltaTable(str(tmp_path / "all")).to_pandas()
    late = rows["window_end"] >= pd.Timestamp("2016-11-25", tz="UTC")
    rows = rows[(rows["station_id"] != "denver") | late]
    rows.loc[rows["station_id"] == "miami", "temperature_mean"] = float("nan")
    write_deltalake(str(tmp_path / "table"), pa.Table.from_pandas(rows, preserve_index=False))
    said: list[str] = []
    params = train_params(tmp_path / "table", CUT, trees=3, leaves=7, sample_every=6)
    trained = train.train(
        one, params, Inline(), tmp_path / "model", None, lambda _, message=None: said.append(message or "")
    )
    assert trained.manifest["baseline"]["stations"] == ["boston"]
    silent = trained.manifest["training"]["without_history"]
    assert {"denver", "miami"} <= set(silent) and "boston" not in silent
    (line,) = [text for text in said if text.startswith("no history")]
    assert "denver" in line and "backfill them and train again" in line
    nobody = replace(params, from_ms=epoch_ms("2016-11-20"))
    write_deltalake(str(tmp_path / "empty"), pa.Table.from_pandas(rows[rows["station_id"] == "miami"]))
    with pytest.raises(JobError, match="expected values of temperature_mean"):
        train.train(one, replace(nobody, table_path=str(tmp_path / "empty")), Inline(), tmp_path / "no", None, quiet)


def test_heads_of_half_an_hour_are_trained_named_and_loaded(tmp_path: Path) -> None:
    """Gauges without places, without rules, whose horizons are 30 and 90 minutes and three hours."""
    begin, end, rng = epoch_ms("2016-01-01"), epoch_ms("2016-04-01"), np.random.default_rng(5)
    rows: list[dict[str, Any]] = []
    for gauge in ("g-1", "g-2"):
        level = 2.0
        for i, t in enumerate(range(begin, end, 1_800_000)):
            level += 0.02 * rng.normal() - 0.02 * (level - 2.0)
            tide = math.sin(2 * math.pi * t / (24 * HOUR_MS))
            values = {"level_mean": level + tide, "level_min": level + tide, "level_max": level + tide, "rain_sum": 0.0}
            rows.append(feature_rows.row(GAUGES, gauge, t, 0, i, values))
    frame = pd.DataFrame(rows)
    for column in ("window_start", "window_end"):
        frame[column] = pd.to_datetime(frame[column], unit="ms", utc=True).dt.as_unit("us")
    frame["level_rate"] = frame["level_rate"].astype("float64")
    write_deltalake(str(tmp_path / "table"), pa.Table.from_pandas(frame, preserve_index=False))
    params = train_params(tmp_path / "table", "2016-04-01", trees=20, sample_every=1)
    trained = train.train(GAUGES, params, Inline(), tmp_path / "model", None, quiet)
    names = {path.name for path in (tmp_path / "model" / "heads").iterdir()}
    assert names == {f"level_{h}_q{q}.txt" for h in ("30m", "90m", "3h") for q in ("100", "500", "900")}
    assert all(trained.metrics[f"level_{h}_pairs"] > 100 for h in ("30m", "90m", "3h"))
    model = load(tmp_path / "model", GAUGES)
    fold, state = Fold(GAUGES), Fold(GAUGES).new_state()
    steps = [fold.step(state, one) for one in rows[: len(rows) // 2][-200:]]
    last = rows[len(rows) // 2 - 1]
    made = model.forecast(["g-1"], np.array([last["window_end"]]), np.array([steps[-1].inputs]))
    assert made.heads.shape == (1, 1, 3, 3) and np.all(np.isfinite(made.heads))
    assert np.all(np.abs(made.heads[0, 0, :2, 1] - last["level_mean"]) < 1.0), "soon it stands about where it stands"
