"""Each stage of the actor alone, with the stages around it made by hand; and the order in which a pipeline has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ray_jobs.detect.after import VERDICTS, Judgement, VerdictStage, joined
from ray_jobs.detect.before import FINDINGS, RulesStage
from ray_jobs.detect.rules import CLEAR, Verdict
from ray_jobs.fold.fold import Fold
from ray_jobs.fold.stage import FoldStage
from ray_jobs.generated.contract import Contract
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.kit.io import BadRecord, Decoder
from ray_jobs.ledger.bands import BANDS, Bands
from ray_jobs.ledger.conformal import bounds_of
from ray_jobs.ledger.forecasts import FORECASTS, Forecasts
from ray_jobs.ledger.identity import Identity
from ray_jobs.ledger.settle import RetiredStage, SettleStage
from ray_jobs.model.forecast import MODELS, ForecastStage
from ray_jobs.state.batch import Applied, Batch, Incoming, Part
from ray_jobs.state.changelog import kind_of
from ray_jobs.state.partition import Partition
from ray_jobs.state.ring import StationState
from ray_jobs.state.stage import Tick
from ray_jobs.stream.encode import EncodeStage, Names
from ray_jobs.stream.stages import records_of, stages_of
from tests.feature_rows import HOUR_MS, meters, row
from tests.generated.ray.gauges_contract import CONTRACT as GAUGES
from tests.scores import FakeModel
from tests.topics import codecs_of

T0 = 1_480_550_400_000
NOW = 1_700_000_000_000
MINUTE = 60_000
T = "temperature_mean"
ARMS = Names("ns", "ns-weather-features", "champion", ("challenger",))
IDENTITY = Identity(CONTRACT, "ns")


def incoming(offset: int, value: bytes | None = b"\x00\x00\x00\x00\x07", partition: int = 0) -> Incoming:
    return Incoming(partition, offset, NOW, b"boston", value, {})


def batch_of(*rows: dict[str, Any] | None) -> tuple[Batch, Callable[[bytes | None], dict[str, Any]]]:
    """A batch, and a decoder that knows each of its values; None is a record that cannot be read."""

    def decode(value: bytes | None) -> dict[str, Any]:
        found = rows[int(value or b"0")]
        if found is None:
            raise BadRecord("undecodable", "by hand")
        return dict(found)

    return Batch([incoming(i, str(i).encode()) for i in range(len(rows))], {"champion"}), decode


def feature(window_end: int, temperature: float = 1.0, station: str = "boston", revision: int = 1) -> dict[str, Any]:
    return row(CONTRACT, station, window_end, 1, revision, {T: temperature})


def applied(*rows: dict[str, Any], state: StationState | None = None) -> Batch:
    """A batch behind the fold."""
    fold, batch = Fold(CONTRACT), Batch([], {"champion", "challenger"})
    states: dict[str, StationState] = {} if state is None else {rows[0][CONTRACT.key]: state}
    for i, one in enumerate(rows):
        station = one[CONTRACT.key]
        step = fold.step(states.setdefault(station, fold.new_state()), one)
        assert step.cell is not None
        seen = Applied(incoming(i), one, station, step.state, step.inputs, step.completeness, step.cell, step.earlier)
        batch.applied.append(seen)
    return batch


# fold


class Noted:
    def __init__(self) -> None:
        self.newest: list[int] = []

    def note(self, batch: Batch, one: Applied) -> None:
        assert batch.applied[-1] is one
        self.newest.append(one.state.newest_end)


def test_fold_counts_every_row_once_and_shows_each_ring_as_it_stands_at_its_row() -> None:
    rows = [feature(T0), None, feature(T0), feature(T0 + MINUTE, revision=2), feature(T0 + 1), feature(T0, station="")]
    batch, decode = batch_of(*rows)
    witness, states = Noted(), {}
    FoldStage(CONTRACT, decode, [witness]).step(batch, states)
    out = batch.out
    assert (out.rows, out.skipped, out.expired, out.rejected, batch.covered) == (6, 1, 0, 3, 6)
    assert [bad.reason for _, bad in batch.rejected] == ["undecodable", "unscorable", "missing_key"]
    assert [one.row["window_end"] for one in batch.applied] == [T0, T0 + MINUTE]
    assert witness.newest == [T0, T0 + MINUTE], "and not all of them as the last row left it"
    assert out.next_offsets == {0: 6} and list(states[0]) == ["boston"]
    assert [(c.key, c.record and c.record["window_end"]) for c in batch.changes] == [
        (b"cell|" + str((T0 - 1) // 600_000 % 1440).encode() + b"|boston", T0),
        (b"cell|" + str(T0 // 600_000 % 1440).encode() + b"|boston", T0 + MINUTE),
    ]
    assert batch.applied[1].earlier == batch.applied[0].cell


# detect, before and after


def test_rules_judge_each_row_against_the_one_before_it() -> None:
    batch = applied(feature(T0, 1.0), feature(T0 + HOUR_MS, 20.0), feature(T0 + 9 * HOUR_MS, 60.0))
    RulesStage(CONTRACT).step(batch, {})
    (verdicts,) = (FINDINGS.of(batch) or {}).values()
    assert [(v.is_anomaly, v.type) for v in verdicts] == [(False, None), (True, "step"), (False, None)]


def test_the_verdict_is_the_strongest_finding_with_everybodys_evidence() -> None:
    step, spike = Verdict(True, 0.6, "step", ("a",)), Verdict(True, 0.9, "spike", ("b",))
    loud = Verdict(False, 0.95, None, ())
    assert joined((step,)) is step
    assert joined((step, spike, CLEAR)) == Verdict(True, 0.9, "spike", ("a", "b"))
    assert joined((loud, step)) == Verdict(True, 0.6, "step", ("a",)), "an anomaly stands before a score"
    batch = applied(feature(T0), feature(T0 + MINUTE))
    FINDINGS.put(batch, {"rules": [CLEAR, step], "forest": [spike, CLEAR]})
    VerdictStage().step(batch, {})
    assert VERDICTS.of(batch) == Judgement("rules+forest", [spike, step])


def test_nobody_judges_where_no_detector_is() -> None:
    batch = applied(feature(T0))
    VerdictStage().step(batch, {})
    assert VERDICTS.of(batch) is None


# forecast


def test_each_arm_forecasts_with_its_own_model_and_only_the_served_one_rejects() -> None:
    batch = applied(feature(T0), feature(T0 + MINUTE, 13.0), feature(T0 + 2 * MINUTE))
    models: Mapping[str, Any] = {a: FakeModel(CONTRACT, v) for a, v in (("champion", "3"), ("challenger", "4"))}
    MODELS.put(batch, models)
    ForecastStage("challenger", rejects=False).step(batch, {})
    assert batch.rejected == []
    ForecastStage("champion").step(batch, {})
    made = FORECASTS.of(batch) or {}
    assert {arm: (f.version, f.rows) for arm, f in made.items()} == {
        "challenger": ("4", [0, 2]),
        "champion": ("3", [0, 2]),
    }
    assert [(one.offset, bad.reason) for one, bad in batch.rejected] == [(1, "unscorable")]
    assert made["champion"].made is not None and made["champion"].made.heads.shape == (2, 3, 3, 3)


def test_an_arm_without_a_model_says_nothing() -> None:
    batch = applied(feature(T0))
    MODELS.put(batch, {"champion": FakeModel(CONTRACT, "3")})
    ForecastStage("challenger").step(batch, {})
    assert FORECASTS.of(batch) is None


# settle


def forecasts_of(batch: Batch, version: str) -> Forecasts:
    """What a model would have said of every row."""
    model = FakeModel(CONTRACT, version)
    inputs = np.array([one.inputs for one in batch.applied])
    ends = np.array([one.row["window_end"] for one in batch.applied])
    made = model.forecast([one.station for one in batch.applied], ends, inputs)
    return Forecasts(version, 0, 0, model.scales, list(range(len(batch.applied))), made)


def settled(
    state: StationState, *rows: dict[str, Any], arms: tuple[str, ...] = ("champion",), version: str = "3"
) -> Batch:
    """Rows of one station through the settling of these arms, which have a model each."""
    fold, batch = Fold(CONTRACT), Batch([], arms)
    stages = [*(SettleStage(CONTRACT, arm, IDENTITY) for arm in arms), RetiredStage(CONTRACT, arms)]
    for i, one in enumerate(rows):
        step = fold.step(state, one)
        assert step.cell is not None
        seen = Applied(incoming(i), one, "boston", state, step.inputs, step.completeness, step.cell, step.earlier)
        batch.applied.append(seen)
        for stage in stages:
            stage.note(batch, seen)
    FORECASTS.put(batch, {arm: forecasts_of(batch, version) for arm in arms})
    for stage in stages:
        stage.step(batch, {})
    return batch


def kinds(batch: Batch) -> list[tuple[str, str | None]]:
    return [(kind_of(c.record), c.record["arm"]) for c in batch.changes if c.record is not None]


def test_settle_issues_once_an_hour_and_judges_when_the_truth_is_there() -> None:
    state = StationState()
    first = settled(state, feature(T0), feature(T0 + MINUTE, revision=2))
    assert kinds(first) == [("pending", "champion")] and first.verifications == []
    assert len(BANDS.of(first) or {}) == 1
    # The hour's truth, and a row behind the lateness that takes it.
    later = settled(state, feature(T0 + 6 * HOUR_MS, 9.0, revision=3), feature(T0 + 7 * HOUR_MS, revision=4))
    assert {(r["status"], r["horizon_h"], r["arm"]) for _, r in later.verifications} == {
        ("verified", 6, "champion"),
        ("unverifiable", 6, "champion"),
    }
    assert kinds(later) == [("pending", "champion"), ("pending", "champion"), ("calibration", "champion")]


def test_two_arms_settle_beside_each_other_as_each_would_alone() -> None:
    """Two stages over one batch: the same promises, truths and corrections as with one, under each its own name."""
    rows = [feature(T0 + i * HOUR_MS, float(i % 7), revision=i) for i in range(40)]
    both = settled(StationState(), *rows, arms=("champion", "challenger"))
    for arm in ("champion", "challenger"):
        alone = settled(StationState(), *rows, arms=(arm,))
        assert [r for _, r in both.verifications if r["arm"] == arm] == [r for _, r in alone.verifications]
        assert [c for c in both.changes if c.record is not None and c.record["arm"] == arm] == alone.changes
    assert len({r["id"] for _, r in both.verifications}) == len(both.verifications) > 100


def test_an_arm_that_is_served_no_more_is_judged_and_promises_nothing() -> None:
    state = StationState()
    settled(state, feature(T0), arms=("challenger",))
    batch = settled(state, feature(T0 + 6 * HOUR_MS), feature(T0 + 7 * HOUR_MS))
    assert [r["arm"] for _, r in batch.verifications] == ["challenger"] * 3
    assert kinds(batch) == [("pending", "champion")] * 2 + [("calibration", "challenger")]


def test_an_arm_that_has_no_model_now_is_judged_and_promises_nothing() -> None:
    state = StationState()
    settled(state, feature(T0), arms=("champion", "challenger"))
    fold, batch, stage = Fold(CONTRACT), Batch([], {"champion"}), SettleStage(CONTRACT, "challenger", IDENTITY)
    for i, hours in enumerate((6, 7)):
        one = feature(T0 + hours * HOUR_MS)
        step = fold.step(state, one)
        assert step.cell is not None
        batch.applied.append(Applied(incoming(i), one, "boston", state, step.inputs, 1.0, step.cell, None))
        stage.note(batch, batch.applied[-1])
    stage.step(batch, {})
    assert {r["arm"] for _, r in batch.verifications} == {"challenger"} and kinds(batch) == [
        ("calibration", "challenger")
    ]


def test_settle_closes_what_an_evicted_station_has_promised_and_forgets_all_its_keys() -> None:
    """The ring may still hold a truth that no row came to take; all else is unverifiable. Every key has a tombstone."""
    state, written = StationState(), set()
    for hours in (0, 1, 6):
        batch = settled(state, feature(T0 + hours * HOUR_MS, revision=hours), arms=("champion", "challenger"))
        written |= {change.key for change in batch.changes}
    end = Batch([], {"champion"})
    tick = Tick(0, Partition(), T0 + 400 * HOUR_MS, {"boston": state})
    SettleStage(CONTRACT, "champion", IDENTITY).tick(end, tick)
    RetiredStage(CONTRACT, ["champion"]).tick(end, tick)
    assert {change.record for change in end.changes} == {None}
    assert written <= {change.key for change in end.changes}
    said = [
        (r["arm"], r["issued"], r["horizon_h"], r["status"])
        for _, r in end.verifications
        if r["target"] == "temperature"
    ]
    assert len(said) == len(set(said)) == 2 * 3 * 3
    assert [s for s in said if s[3] == "verified"] == [(arm, T0, 6, "verified") for arm in ("champion", "challenger")]
    assert {r["judged"] for _, r in end.verifications} == {T0 + 400 * HOUR_MS}


def test_an_arm_that_no_key_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="history key"):
        SettleStage(CONTRACT, "a|b", IDENTITY)


# encode


def encoded(batch: Batch, names: Names = ARMS) -> list[dict[str, Any]]:
    codecs = codecs_of(CONTRACT)
    EncodeStage(CONTRACT, names, codecs, IDENTITY, lambda: NOW).step(batch, {})
    schema = CONTRACT.schemas["predictions"]
    decode = Decoder({"103": schema}, schema)
    return [decode(value) for _, value in batch.out.predictions]


def banded(arms: tuple[str, ...]) -> Batch:
    """A batch of two rows behind the settling of these arms."""
    batch = applied(feature(T0), feature(T0 + MINUTE))
    versions = {arm: str(3 + i) for i, arm in enumerate(arms)}
    FORECASTS.put(batch, {arm: forecasts_of(batch, versions[arm]) for arm in arms})
    MODELS.put(batch, {arm: FakeModel(CONTRACT, versions[arm]) for arm in arms})
    bands = {}
    for arm in arms:
        made = forecasts_of(batch, versions[arm]).made
        assert made is not None
        bands[arm] = Bands(made.heads, FakeModel(CONTRACT, "3").scales, bounds_of(CONTRACT))
        for _ in batch.applied:
            bands[arm].add((1.0,) * 27)
    BANDS.put(batch, bands)
    return batch


def test_encode_writes_a_prediction_for_each_arm_and_counts_rows_once() -> None:
    batch = banded(("champion", "challenger"))
    predictions = encoded(batch)
    assert [(p["arm"], p["model_version"], p["timestamp"]) for p in predictions] == [
        ("champion", "3", T0),
        ("champion", "3", T0 + MINUTE),
        ("challenger", "4", T0),
        ("challenger", "4", T0 + MINUTE),
    ]
    assert len({p["id"] for p in predictions}) == 4 and batch.out.predicted == 2
    assert {p["anomaly"]["method"] for p in predictions} == {"none"}, "no detector has judged"


def test_encode_takes_the_verdicts_and_leaves_nothing_behind() -> None:
    batch = banded(("champion",))
    VERDICTS.put(batch, Judgement("rules", [CLEAR, Verdict(True, 0.6, "step", ("a",))]))
    batch.reject(incoming(7), BadRecord("unscorable", "by hand"))
    _, second = encoded(batch)
    assert second["anomaly"]["evidence"] == ["a"] and second["anomaly"]["method"] == "rules"
    assert len(batch.out.rejects) == 1 and batch.rejected == batch.changes == batch.verifications == []


# The order, and what a pipeline lacks


def names_of(contract: Contract, names: Names = ARMS) -> list[str]:
    return [type(stage).__name__ for stage in stages_of(contract, names, codecs_of(contract), lambda: NOW).ordered]


def test_stages_stand_in_one_order_with_each_arms_own() -> None:
    assert names_of(CONTRACT) == [
        "FoldStage",
        "RulesStage",
        "ForecastStage",
        "ForecastStage",
        "SettleStage",
        "SettleStage",
        "RetiredStage",
        "VerdictStage",
        "EventStage",
        "EncodeStage",
    ]


def test_a_pipeline_without_a_part_has_fewer_stages() -> None:
    none = {"targets": (), "horizons_ms": (), "datums": {}}
    assert names_of(replace(CONTRACT, **none)) == [
        "FoldStage",
        "RulesStage",
        "VerdictStage",
        "EventStage",
        "EncodeStage",
    ]
    bare = replace(meters(), steps=(), fields=tuple(replace(f, range=None) for f in meters().fields), **none)
    assert names_of(bare) == ["FoldStage", "EncodeStage"]
    unjudged = ["FoldStage", "ForecastStage", "SettleStage", "RetiredStage", "EncodeStage"]
    assert names_of(GAUGES, Names("ns", "ns-gauges-features", "champion")) == unjudged, "ranges alone are no rules"
    assert [type(one).__name__ for one in records_of(bare)] == ["AnomalyRecords"] and len(records_of(CONTRACT)) == 2


def test_two_parts_never_meet_whatever_they_are_called() -> None:
    batch, first, second = Batch([]), Part[int]("bands"), Part[int]("bands")
    first.put(batch, 1)
    assert (first.of(batch), second.of(batch)) == (1, None)
    batch.begin()
    assert first.of(batch) is None, "parts are a segment's"


# tick


def ticked(ends: list[int], alarm: int) -> list[tuple[int, int]]:
    """(settled time, rows covered before it) of each tick that a stage with this alarm is given."""
    rows = [feature(end, revision=i) for i, end in enumerate(ends)]
    batch, decode = batch_of(*rows)
    fold, states, ticks = FoldStage(CONTRACT, decode, alarms=[lambda state: alarm]), {}, []
    while True:
        fold.step(batch, states)
        if batch.rang is None:
            return ticks
        partition, settled_ms = batch.rang
        ticks.append((settled_ms, batch.covered))
        fold.tick(batch, Tick(partition, states[partition], settled_ms, {}))
        batch.begin()


def test_a_stage_is_ticked_when_the_partitions_settled_time_reaches_its_alarm() -> None:
    """Each row is a micro-batch of its own here: what two before has left has settled."""
    ends = [T0 + i * MINUTE for i in range(5)]
    assert ticked(ends, T0 + 5 * MINUTE) == []
    assert ticked(ends, T0 + 2 * MINUTE) == [(T0 + 2 * MINUTE, 4)], "before the row that begins the next"
    assert ticked(ends, T0 + MINUTE) == [(T0 + MINUTE, 3), (T0 + 2 * MINUTE, 4)], "once a micro-batch while it stands"
