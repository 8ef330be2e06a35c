"""A small model judged on the last weeks of the bundled sample: what counts as truth, what it has to beat, and what its
card says.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake
from ray_jobs.generated.job import JobError
from ray_jobs.generated.params import EvaluateParams, Mask
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.judge import card, evaluate, references
from ray_jobs.kit import table
from ray_jobs.kit.cluster import Inline
from ray_jobs.kit.time import HOUR_MS
from ray_jobs.train.train import train
from tests.feature_rows import meters
from tests.tables import CITIES, SAMPLE, epoch_ms, train_params, write_sample

# Not part of make test-quick: trains a model.
pytestmark = pytest.mark.slow

SMALL = replace(CONTRACT, targets=("temperature", "humidity"), horizons_ms=(6 * HOUR_MS, 24 * HOUR_MS))
FROM, CUT = "2016-06-01", "2016-12-01"


def params_of(path: Path, **changed: Any) -> EvaluateParams:
    whole: dict[str, Any] = {
        "namespace": "",
        "job": "weather-evaluate",
        "submission": "test",
        "fingerprint": "test",
        "kafka": None,
        "progress_topic": None,
        "progress_schema_id": 0,
        "table_path": str(path),
        "mlflow_uri": "http://127.0.0.1:1",
        "model_name": "weather",
        "version": "3",
        "split": "test",
        "from_ms": None,
        "to_ms": None,
        "masks": (),
        "masked_by": None,
        "workers": 1,
        "rounds": 200,
        "seed": 1,
    }
    return EvaluateParams(**(whole | changed))


@dataclass
class Made:
    table: Path
    model: Path
    result: dict[str, Any]

    def again(self, **changed: Any) -> dict[str, Any]:
        return evaluate.evaluate(SMALL, params_of(self.table, **changed), Inline(), self.model, "3", lambda *_: None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    root = tmp_path_factory.mktemp("evaluate")
    write_sample(root / "table", SMALL, FROM, "2016-12-02")
    dates = {"calibrate_from_ms": epoch_ms("2016-10-05"), "test_from_ms": epoch_ms("2016-11-01")}
    params = train_params(root / "table", CUT, trees=15, leaves=7, sample_every=6, **dates)
    train(SMALL, params, Inline(), root / "model", "2", lambda *_: None)
    one = Made(root / "table", root / "model", {})
    one.result = one.again()
    yield one


def cell(result: dict[str, Any], target: str, horizon: int, station: str | None = None) -> dict[str, float]:
    return next(
        c["metrics"]
        for c in result["cells"]
        if (c["target"], c["horizon_h"], c["station"]) == (target, horizon, station) and "group" not in c
    )


def test_evaluate_says_what_was_judged(made: Made) -> None:
    result = made.result
    training = json.loads((made.model / "manifest.json").read_text())["training"]
    assert result["split"] == {"name": "test", "from_ms": training["test_from_ms"], "to_ms": training["cut_ms"]}
    assert result["data"]["stations"] == sorted(CITIES)
    assert not result["in_sample"]
    assert len(result["cells"]) == 4 * (1 + len(CITIES))
    for target in SMALL.targets:
        for horizon in SMALL.horizons_h:
            whole = cell(result, target, horizon)
            assert whole["pairs"] == sum(cell(result, target, horizon, s)["pairs"] for s in CITIES) > 2_000
            # Few small trees on half a year: they stay near what they start from.
            assert abs(whole["skill_dap"]) < 0.3
            assert 0.5 < whole["coverage_90"] < 1.0
            assert math.isfinite(whole["alone_skill_dap"]) and math.isfinite(whole["stranger_skill_dap"])
    assert cell(result, "temperature", 6)["skill_persistence"] > 0.05
    counted = 4 * len(CITIES) * 720
    assert sum(result["masks"]["left_out"].values()) + sum(
        cell(result, t, h)["pairs"] for t in SMALL.targets for h in SMALL.horizons_h
    ) == pytest.approx(counted, rel=0.2)


def test_evaluate_compares_with_persistence_and_yesterday_of_the_raw_file(made: Made) -> None:
    """From the sample itself, by pandas, without the table or the fold."""
    raw = pd.read_csv(SAMPLE, parse_dates=["timestamp"])
    miami = raw[raw["station_id"] == "miami"].set_index("timestamp")["temperature"].dropna()
    split = made.result["split"]
    start, end = (pd.Timestamp(split[name], unit="ms", tz="UTC") for name in ("from_ms", "to_ms"))
    issued = miami[(miami.index + pd.Timedelta(minutes=1) >= start) & (miami.index + pd.Timedelta(minutes=1) < end)]
    step = pd.Timedelta(hours=6)
    pairs = [
        (miami[t + step], value, miami[t + step - pd.Timedelta(days=1)])
        for t, value in issued.items()
        if t + step in miami.index and t + step - pd.Timedelta(days=1) in miami.index and t + step < end
    ]
    truth, now, yesterday = np.array(pairs).T
    found = cell(made.result, "temperature", 6, "miami")
    assert found["pairs"] == pytest.approx(len(pairs), rel=0.03)
    assert found["persistence_mae_degC"] == pytest.approx(np.mean(np.abs(now - truth)), rel=0.03)
    assert found["yesterday_mae_degC"] == pytest.approx(np.mean(np.abs(yesterday - truth)), rel=0.03)


def test_evaluate_repeats_and_hashes_the_truths(made: Made) -> None:
    again = made.again()
    assert again["cells"] == made.result["cells"]
    assert again["intervals"] == made.result["intervals"]
    assert again["data"]["sha256"] == made.result["data"]["sha256"]
    later = made.again(from_ms=made.result["split"]["from_ms"] + 24 * HOUR_MS)
    assert later["data"]["sha256"] != made.result["data"]["sha256"]


def test_evaluate_masks_the_truth_and_leaves_the_inputs(made: Made) -> None:
    split = made.result["split"]
    day = split["from_ms"] + 5 * 24 * HOUR_MS
    mask = Mask("miami", "temperature", "spike", day, day + 23 * HOUR_MS)
    result = made.again(masks=(mask,), masked_by="known-anomalies.csv")
    assert result["masks"]["left_out"]["known_anomaly"] == 24 * len(SMALL.horizons_h)
    assert result["masks"]["left_out"]["fault"] == 0
    # What climatology calls a fault counts now, and is told apart: denver's temperatures have some.
    apart = [c for c in result["cells"] if c.get("group") == "without_faults"]
    for c in apart:
        whole = cell(result, c["target"], c["horizon_h"])["pairs"]
        assert 0 < c["metrics"]["pairs"] < whole
        assert c["metrics"]["pairs"] <= cell(made.result, c["target"], c["horizon_h"])["pairs"]
    faults = made.result["masks"]["left_out"]["fault"]
    assert (faults > 0) == bool(apart)
    assert cell(result, "humidity", 6, "miami") == cell(made.result, "humidity", 6, "miami")
    assert cell(result, "temperature", 6, "miami")["pairs"] < cell(made.result, "temperature", 6, "miami")["pairs"]


def test_evaluate_judges_a_truth_beyond_its_support_at_the_edge_and_counts_it(made: Made, tmp_path: Path) -> None:
    """The same rows with 103 % where the sample has 100: a truth and a baseline of one are those of the other."""
    assert made.result["masks"]["beyond_support"] == 0
    rows = DeltaTable(str(made.table)).to_pyarrow_table()
    humidity = rows["humidity_mean"]
    at_the_edge = pc.fill_null(pc.greater_equal(humidity, 100.0), False)
    assert pc.sum(at_the_edge).as_py() > 100
    column = rows.schema.get_field_index("humidity_mean")
    wet = rows.set_column(column, "humidity_mean", pc.if_else(at_the_edge, 103.0, humidity))
    write_deltalake(str(tmp_path / "table"), wet)
    found = made.again(table_path=str(tmp_path / "table"))
    assert found["masks"]["beyond_support"] > 100
    assert "judged at the edge" in card.of_evaluation(found)
    for horizon in SMALL.horizons_h:
        dry, foggy = (cell(r, "humidity", horizon) for r in (made.result, found))
        # Heads and masks have seen other inputs, but what a truth beyond the edge costs is not among their errors.
        for name in ("persistence_mae_pct", "yesterday_mae_pct"):
            assert foggy[name] == pytest.approx(dry[name], rel=0.01)
        assert foggy["mae_pct"] == pytest.approx(dry["mae_pct"], rel=0.05)
        assert cell(found, "temperature", horizon)["pairs"] == cell(made.result, "temperature", horizon)["pairs"]


def test_evaluate_marks_a_span_the_model_has_learnt_from_and_a_station_it_has_not(made: Made, tmp_path: Path) -> None:
    write_sample(tmp_path / "table", SMALL, FROM, CUT, ("boston", "chicago"))
    found = made.again(table_path=str(tmp_path / "table"), from_ms=epoch_ms("2016-09-01"), to_ms=epoch_ms("2016-09-20"))
    assert found["in_sample"]
    assert found["data"]["strangers"] == ["chicago"]
    groups = {c["group"]: c["metrics"] for c in found["cells"] if c.get("group") and c["horizon_h"] == 6}
    assert {"trained_on", "never_seen"} <= groups.keys()
    assert groups["never_seen"]["pairs"] > 0
    assert "never seen" in card.of_evaluation(found)


def test_evaluate_judges_a_station_that_was_left_out_of_training_apart(made: Made, tmp_path: Path) -> None:
    params = train_params(made.table, CUT, trees=5, leaves=7, sample_every=12, leave_out=("miami",))
    trained = train(SMALL, params, Inline(), tmp_path / "model", None, lambda *_: None)
    assert trained.manifest["baseline"]["stations"] == ["boston", "denver", "seattle"]
    judged = params_of(made.table)
    found = evaluate.evaluate(SMALL, judged, Inline(), tmp_path / "model", "4", lambda *_: None)
    assert found["data"]["strangers"] == ["miami"]
    alone = cell(found, "temperature", 6, "miami")
    groups = {c["group"]: c["metrics"] for c in found["cells"] if c.get("group") and c["target"] == "temperature"}
    assert groups["never_seen"]["pairs"] == cell(found, "temperature", 24, "miami")["pairs"]
    # It has nothing more to forget: what the model knows of strangers is what it gets.
    assert alone["stranger_over_served"] == pytest.approx(1.0)
    with pytest.raises(JobError, match="atlantis"):
        train(SMALL, replace(params, leave_out=("atlantis",)), Inline(), tmp_path / "no", None, lambda *_: None)


def test_evaluate_replays_the_calibration_split_apart_from_the_others(made: Made) -> None:
    found = made.again(split="calibrate")
    assert found["split"]["from_ms"] == epoch_ms("2016-10-05")
    assert found["split"]["to_ms"] == epoch_ms("2016-11-01") - 72 * HOUR_MS
    assert found["calibrated_on"] and not found["in_sample"]
    assert "bands were calibrated on this span" in card.of_evaluation(found)
    # On what they were calibrated on, bands hold their share whatever the heads are worth.
    for target in SMALL.targets:
        assert 0.85 < cell(found, target, 6)["fixed_coverage_90"] < 0.95
    manifest = json.loads((made.model / "manifest.json").read_text())
    span = evaluate.evaluation_span(manifest, params_of(made.table))
    assert span.from_ms - 28 * 24 * HOUR_MS < span.warm_from == epoch_ms("2016-10-05") < span.from_ms
    assert evaluate.evaluation_span(manifest, params_of(made.table, split="calibrate")).warm_from == epoch_ms(
        "2016-10-05"
    )


def test_evaluate_follows_the_bands_over_the_months_before_the_split_ends(made: Made) -> None:
    """Half a year leaves one month with a past that no head has learnt from: the test split's."""
    found = made.result["track"]
    assert found["months"] == [{"from_ms": epoch_ms("2016-11-01"), "to_ms": epoch_ms(CUT)}]
    for one in found["cells"]:
        whole = cell(made.result, one["target"], one["horizon_h"])
        assert one["pairs"] == whole["pairs"]
        # Calibrated by October alone, while the model's scales know the whole calibration split: nearly the same.
        assert one["coverage_90"] == pytest.approx(whole["coverage_90"], abs=0.04)
        assert one["least_coverage"] <= one["coverage_90"] <= one["most_coverage"]
        assert 0.8 < one["winkler_over_static"] < 1.2
    # Errors can grow only where something was issued before: nothing was before the only month.
    assert found["growth"]["starts_ms"] == []
    assert "The 90 % band over 1 months" in card.of_evaluation(made.result)
    # Where no month has such a past there is nothing to follow.
    assert made.again(split="calibrate")["track"] is None


def test_evaluate_refuses_a_split_that_training_had_not_and_a_span_without_rows(made: Made) -> None:
    with pytest.raises(JobError) as refused:
        made.again(split="tomorrow")
    assert refused.value.code == "config_invalid" and "expected test or calibrate" in str(refused.value)
    # A model without such weeks: what to do about it.
    manifest = json.loads((made.model / "manifest.json").read_text())
    del manifest["training"]["calibrate_from_ms"]
    with pytest.raises(JobError, match=r"expected test; .* train one with --calibrate-from"):
        evaluate.evaluation_span(manifest, params_of(made.table, split="calibrate"))
    with pytest.raises(JobError, match="run the backfill over them first"):
        made.again(from_ms=epoch_ms("2018-01-01"), to_ms=epoch_ms("2018-02-01"))


def test_references_use_nothing_after_the_fit_split_and_nothing_after_their_row() -> None:
    """Whatever happens later, a forecast of an earlier row stays the same."""
    rng = np.random.default_rng(0)
    t_ms = np.arange(3_000) * float(HOUR_MS) + 60_000
    values = rng.normal(size=(3_000, 2)).cumsum(axis=0) * 0.1 + np.sin(t_ms / HOUR_MS / 24 * 2 * np.pi)[:, None]
    fit_to, issued = 2_000 * HOUR_MS, np.arange(2_100, 2_400)
    horizons_ms = [6 * HOUR_MS, 24 * HOUR_MS]

    def forecasts(values: np.ndarray) -> dict[str, np.ndarray]:
        use = t_ms < fit_to
        fitted = references.base_of.fit(("a",), np.zeros(1), [(t_ms[use], values[use])], horizons_ms, 600_000)
        series = references.Series(t_ms, values, 0, 0.0)
        return references.reference_forecasts(fitted, series, issued, fit_to, horizons_ms, 600_000)

    changed = values.copy()
    changed[issued[-1] + 1 :] = rng.normal(50, 20, size=changed[issued[-1] + 1 :].shape)
    before, after = forecasts(values), forecasts(changed)
    assert set(before) == set(references.NAMES)
    for name in references.NAMES:
        assert np.isfinite(before[name]).all()
        assert np.array_equal(before[name], after[name]), name


def test_references_hold_the_newest_value_for_a_day() -> None:
    t_ms = np.arange(60) * float(HOUR_MS)
    values = np.full((60, 1), np.nan)
    values[10] = 5.0
    held = references._newest_within_a_day(t_ms, values)[:, 0]
    assert np.isnan(held[:10]).all() and (held[10:35] == 5.0).all() and np.isnan(held[35:]).all()


def test_replay_takes_the_first_row_of_each_hour(made: Made) -> None:
    fold = evaluate.Fold(SMALL)
    found = table.read(
        str(made.table), table.pin(str(made.table)), SMALL, table.columns_of(SMALL), None, epoch_ms("2016-06-03")
    )
    _, rows = next(table.by_station(found, SMALL.key))
    twice = rows.set_column(
        rows.schema.get_field_index("window_end"),
        "window_end",
        [[t // (2 * HOUR_MS) * 2 * HOUR_MS + 60_000 * (1 + t // HOUR_MS % 2) for t in rows["window_end"].to_pylist()]],
    )
    span = evaluate.EvaluationSpan(0, 0, *[epoch_ms("2016-06-02")] * 2, epoch_ms("2016-06-03"))
    ends, inputs = evaluate.replay(SMALL, fold, twice, span, evaluate.NOBODY)
    assert (ends % (2 * HOUR_MS) == 60_000).all()
    assert inputs.shape == (12, len(fold.input_names))


def test_adapted_moves_bands_by_truths_that_are_known_by_then() -> None:
    rng = np.random.default_rng(0)
    ends = (np.arange(600) * HOUR_MS + 60_000).astype(np.int64)
    heads = np.tile(np.array([-1.0, 0.0, 1.0]), (600, 2, 2, 1))
    scales = np.tile(np.array([0.4, 0.8, 1.0]), (2, 2, 1))
    values = rng.normal(0, 2.0, size=(600, 2))

    def scaled(values: np.ndarray) -> np.ndarray:
        series = references.Series(ends.astype(np.float64), values, 0, 0.0)
        return evaluate.adapted(SMALL, scales, heads, series, ends)

    found = scaled(values)
    # The truth of the first forecast, 6 h ahead, is known at the row 6 h and the lateness later: the seventh after it.
    assert np.array_equal(found[:7], np.broadcast_to(scales, (7, 2, 2, 3)))
    assert not np.array_equal(found[7], scales)
    assert (np.diff(found, axis=-1) >= 0).all()
    # Errors twice as wide as the heads thought: the bands grow until they hold what they say.
    assert found[-100:, :, :, 2].mean() > 2.0
    changed = values.copy()
    changed[301:] += 50
    assert np.array_equal(scaled(changed)[:301], found[:301])


def test_another_domain_trains_and_is_judged(tmp_path: Path) -> None:
    """Meters of another contract: other key, units, quantiles, cadence, and nobody around."""
    contract = meters()
    rng = np.random.default_rng(0)
    start, count = epoch_ms("2016-01-01"), 4 * 24 * 50
    parts = []
    for number in range(3):
        t_ms = start + (np.arange(count) + 1) * 900_000
        day = np.sin(2 * np.pi * t_ms / (24 * HOUR_MS) + number)
        drift = np.convolve(rng.normal(size=count + 40), np.exp(-np.arange(40) / 12), "valid")[:count]
        power = np.round(20 + 6 * day + 2 * drift, 2)
        parts.append(
            pd.DataFrame(
                {
                    contract.key: f"m-{number}",
                    "window_end": pd.to_datetime(t_ms, unit="ms", utc=True).as_unit("us"),
                    "plan_epoch": np.zeros(count, dtype=np.int32),
                    "revision": np.arange(count),
                    "measurement_count": np.ones(count, dtype=np.int32),
                    **{f"{f.field}_count": np.ones(count, dtype=np.int32) for f in contract.features},
                    **{f.column: power if f.field == "power" else np.full(count, 1.0) for f in contract.features},
                }
            )
        )
    rows = pa.Table.from_pandas(pd.concat(parts), preserve_index=False)
    write_deltalake(str(tmp_path / "table"), rows)
    params = train_params(tmp_path / "table", "2016-02-19", trees=20, leaves=7, sample_every=2)
    train(contract, params, Inline(), tmp_path / "model", None, lambda *_: None)
    judged = params_of(tmp_path / "table", model_name="meters")
    found = evaluate.evaluate(contract, judged, Inline(), tmp_path / "model", "1", lambda *_: None)
    whole = cell(found, "power", 1)
    assert whole["pairs"] > 300
    assert whole["skill_persistence"] > 0
    assert 0.6 < whole["coverage_80"] < 0.95 and "coverage_90" not in whole
    assert whole["mae_kW"] < 4 and "mape_kelvin_pct" not in whole and "alone_skill_dap" not in whole
    text = card.of_evaluation(found)
    assert "power 1 h, kW" in text and "m-2" in text


# The card


def test_card_says_what_it_must(made: Made) -> None:
    result = made.result
    text = card.of_evaluation(result)
    for wanted in (
        "weather version 3",
        result["data"]["sha256"],
        result["model"]["digest"],
        result["model"]["contract_fingerprint"],
        "parent",
        "temperature degC, humidity %",
        "without a certificate",
        "without a list of known anomalies",
        "persistence",
        "yesterday",
        "climatology",
        "ridge",
        "skill DAP",
        "coverage 90 %",
        "Winkler 80 %",
        "worst days",
        "cost: predict_ms_per_100_rows",
        "asked for and not for decisions",
        "training test from",
        *CITIES,
    ):
        assert wanted in text, wanted
    assert text.count("<svg") == 5
    assert "http" not in text.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    ).replace("https://matplotlib.org", "")
    assert card.of_evaluation(result) == text


def test_card_of_a_training_needs_its_manifest_only(made: Made) -> None:
    manifest = json.loads((made.model / "manifest.json").read_text())
    text = card.of_training(manifest, manifest["metrics"], "weather")
    for wanted in (manifest["digest"], "temperature_6h_mae_degC", "data sha256", "boston", "without a certificate"):
        assert wanted in text, wanted


def test_result_is_json_that_has_no_nan(made: Made) -> None:
    def refuse(word: str) -> float:
        raise AssertionError(word)

    parsed = json.loads(evaluate.dump({"a": math.nan, "b": [math.inf, 1.0], **made.result}), parse_constant=refuse)
    assert parsed["a"] is None and parsed["b"] == [None, 1.0]
    metrics = evaluate.metrics_of(made.result, "test")
    assert all(math.isfinite(value) for value in metrics.values())
    assert metrics["test_temperature_6h_mae_degC"] == cell(made.result, "temperature", 6)["mae_degC"]
    assert not any("%" in name for name in metrics)
