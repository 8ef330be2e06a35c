"""The batch between poll and produce: every record covered once, ids, verdicts, provenance, rejects, and models that
choke.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from ray_jobs.generated.contract import Contract
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.kit.io import BadRecord, Decoder, Encoder
from ray_jobs.ledger.conformal import Forecast
from ray_jobs.ledger.verify import LEDGERS
from ray_jobs.model.confidence import confidence
from ray_jobs.state import ring
from ray_jobs.state.changelog import kind_of
from ray_jobs.state.history import GlobalTable, Restoration
from ray_jobs.stream.predict import Codecs, Incoming, Names, Outcome, Scorer
from ray_jobs.stream.stages import records_of
from tests.feature_rows import HOUR_MS, meters, row
from tests.generated.ray.gauges_contract import CONTRACT as GAUGES
from tests.scores import FakeModel

T0 = 1_480_550_400_000
T = "temperature_mean"
NOW = 1_700_000_000_000
MINUTE, YEAR_2073 = 60_000, 3_250_454_400_000
FEATURES = Encoder(CONTRACT.schemas["features"], 7)
PREDICTIONS = Decoder({"8": CONTRACT.schemas["predictions"]}, CONTRACT.schemas["predictions"])
HISTORY = Decoder({"9": CONTRACT.schemas["history"]}, CONTRACT.schemas["history"])
VERIFICATIONS = Decoder({"11": CONTRACT.schemas["verifications"]}, CONTRACT.schemas["verifications"])
REJECTS = Decoder({"10": CONTRACT.schemas["rejects"]}, CONTRACT.schemas["rejects"])


def scorer(contract: Contract = CONTRACT, arm: str = "champion", challengers: tuple[str, ...] = ()) -> Scorer:
    codecs = Codecs(
        features=Decoder({"7": contract.schemas["features"]}, contract.schemas["features"]),
        predictions=Encoder(contract.schemas["predictions"], 8),
        verifications=Encoder(contract.schemas["verifications"], 11),
        history=Encoder(contract.schemas["history"], 9),
        rejects=Encoder(contract.schemas["rejects"], 10),
        anomalies=Encoder(contract.schemas["anomalies"], 12) if contract.judges else None,
    )
    return Scorer(contract, Names("ns", "ns-weather-features", arm, challengers), codecs, lambda: NOW)


def incoming(offset: int, value: bytes | None, partition: int = 0, key: bytes | None = b"new-york") -> Incoming:
    return Incoming(partition, offset, NOW - 50, key, value, {"clock": b"1"})


def feature(
    window_end: int, revision: int, temperature: float | None, station: str = "new-york", epoch: int = 1
) -> bytes:
    return FEATURES(row(CONTRACT, station, window_end, epoch, revision, {T: temperature}))


def decode(outcome: Outcome) -> list[dict[str, Any]]:
    return [PREDICTIONS(value) for _, value in outcome.predictions]


def test_score_covers_every_record_in_exactly_one_way() -> None:
    batch = [
        incoming(0, feature(T0, 5, 1.0)),
        incoming(1, b"\x01nonsense"),
        incoming(2, feature(T0, 5, 1.0)),
        incoming(3, b"\x00\x00\x00\x00\x63" + b"x"),
        incoming(4, feature(T0 + 60_000, 6, 2.0)),
        incoming(5, feature(T0 - 400 * HOUR_MS, 7, 2.0)),
        incoming(6, feature(T0 + 1, 8, 2.0)),
        incoming(7, feature(T0, 9, 3.0) + b"\x00"),
        incoming(8, feature(T0 + 120_000, 10, 2.0, station="")),
        incoming(9, None),
        incoming(17, feature(T0, 11, 3.0), partition=2),
    ]
    out = scorer().score(batch, FakeModel(CONTRACT, "3"), [1, 2, 3, 4])
    assert (out.rows, out.predicted, out.skipped, out.expired, out.rejected) == (11, 3, 1, 1, 6)
    assert out.next_offsets == {0: 10, 2: 18}
    rejected = {r["offset"]: r for r in (REJECTS(value) for _, value in out.rejects)}
    assert {o: r["reason"] for o, r in rejected.items()} == {
        1: "bad_framing",
        3: "unknown_schema",
        6: "unscorable",
        7: "undecodable",
        8: "missing_key",
        9: "bad_framing",
    }
    assert (
        rejected[7]["value"] == batch[7].value
        and rejected[7]["schema_id"] == 7
        and rejected[7]["headers"] == {"clock": b"1"}
    )
    assert rejected[3]["schema_id"] == 99 and rejected[9]["value"] is None
    assert "multiple of the slide" in rejected[6]["detail"]


@pytest.mark.parametrize("end", [YEAR_2073, 253_402_300_800_000 - MINUTE, 253_402_300_800_000 + 4 * MINUTE])
def test_a_row_of_the_future_is_a_reject_and_the_stations_next_rows_live(end: int) -> None:
    rows = [T0, T0 + MINUTE, end, *(T0 + i * MINUTE for i in range(2, 200))]
    batch = [incoming(i, feature(t, i, 1.0)) for i, t in enumerate(rows)]
    subject = scorer()
    out = subject.score(batch, FakeModel(CONTRACT, "3"), [1, 2, 3, 4])
    assert (out.rows, out.predicted, out.expired, out.rejected) == (201, 200, 0, 1)
    (reject,) = (REJECTS(value) for _, value in out.rejects)
    assert (reject["reason"], reject["offset"], reject["value"]) == ("time_jump", 2, batch[2].value)
    assert max(p["timestamp"] for p in decode(out)) == T0 + 199 * MINUTE
    assert subject.states[0]["new-york"].newest == ring.cell_of(T0 + 199 * MINUTE, CONTRACT.cell_ms)


def test_a_row_may_lead_its_append_time_as_far_as_an_observation_may() -> None:
    latest = (NOW - 50) + 2 * CONTRACT.lead_ms + CONTRACT.window_ms
    last = latest // MINUTE * MINUTE
    batch = [incoming(0, feature(last, 1, 1.0)), incoming(1, feature(last + MINUTE, 2, 1.0))]
    out = scorer().score(batch, FakeModel(CONTRACT, "3"), [1, 2, 3, 4])
    assert (out.predicted, out.rejected) == (1, 1)


def test_rows_of_the_first_years_are_rows_as_any_other() -> None:
    rows = [-62_135_647_200_000, -62_135_596_800_000 + MINUTE, -468_288_000_000, 0, MINUTE, T0]
    batch = [incoming(i, feature(t, i, 1.0)) for i, t in enumerate(rows)]
    out = scorer().score(batch, FakeModel(CONTRACT, "3"), [1, 2, 3, 4])
    assert (out.predicted, out.rejected) == (len(rows), 0)


def test_prediction_says_what_it_is_and_where_it_came_from() -> None:
    model = FakeModel(CONTRACT, "3", train_to_ms=T0 + 60_000)
    out = scorer().score(
        [incoming(4, feature(T0, 5, 1.5)), incoming(5, feature(T0 + 60_000, 6, 2.5))], model, [1, 2, 3, 4]
    )
    first, second = decode(out)
    identity = f"ns|weather|new-york|{T0}|1|5|3|champion"
    assert first["id"] == hashlib.sha256(identity.encode()).hexdigest()[:32]
    assert first["timestamp"] == T0 and first["window_start"] == T0 - CONTRACT.window_ms
    assert first["model_version"] == "3" and first["arm"] == "champion"
    assert (first["in_sample"], second["in_sample"]) == (True, False), "the training range ends exclusive"
    assert first["provenance"] == {
        "feature_topic": "ns-weather-features",
        "feature_partition": 0,
        "feature_offset": 4,
        "feature_schema_id": 7,
        "raw_topic": None,
        "raw_partition": 0,
        "first_offset": 4,
        "last_offset": 5,
        "history_offsets": [1, 2, 3, 4],
    }
    assert first["stages"]["feature_append_time"] == NOW - 50 and first["stages"]["predict_time"] == NOW
    known = sum(x for x in first["inputs"] if not math.isnan(x))
    assert first["predictions"]["temperature_6h"] == pytest.approx(known - 15)
    assert first["predictions"]["humidity_12h"] == pytest.approx(known + 52.5 + 1.1)
    ends = {"q05": -1, "q10": -8 / 9, "q25": -5 / 9, "q50": 0, "q75": 5 / 9, "q90": 8 / 9, "q95": 1}
    assert first["quantiles"]["pressure_24h"] == pytest.approx(
        {name: known + 800 + 2.2 + end for name, end in ends.items()}
    )
    assert first["inputs"][0] == 1.5 and len(first["inputs"]) == len(scorer().fold.input_names)
    assert first["confidence"]["completeness"] == 0.0
    assert first["confidence"]["temperature_confidence"] == pytest.approx(0.5 * (1 - 2 / (3.2897 * 2)), abs=1e-4)
    assert first["confidence"]["overall_confidence"] == pytest.approx(first["confidence"]["temperature_confidence"])
    assert first["anomaly"] == {
        "is_anomaly": False,
        "anomaly_score": 0.0,
        "anomaly_type": None,
        "evidence": [],
        "method": "rules",
    }


class Seasonal(FakeModel):
    """Knows what is usual: 10 degC and 95 %, for new-york alone, and of pressure nothing."""

    humidity = 95.0

    def forecast(self, stations: list[str], t_ms: NDArray[np.int64], inputs: NDArray[np.float64]) -> Forecast:
        made = super().forecast(stations, t_ms, inputs)
        usual = np.broadcast_to(np.array([10.0, self.humidity, np.nan])[:, None], made.dap.shape).copy()
        usual[[station != "new-york" for station in stations]] = np.nan
        return made._replace(usual=usual)


def test_a_forecast_carries_what_is_usual_then_where_the_model_knows_it() -> None:
    """The widest band of a normal distribution around the climatology, 1.645 spreads of 2, cut at what can be."""
    batch = [incoming(0, feature(T0, 5, 1.0)), incoming(1, feature(T0, 6, 1.0, station="seattle"), key=b"seattle")]
    known, stranger = decode(scorer().score(batch, Seasonal(CONTRACT, "3"), [0]))
    assert stranger["climatology"] is None
    for horizon in CONTRACT.horizons_h:
        usual = known["climatology"][f"temperature_{horizon}h"]
        assert usual["mean"] == 10.0
        assert (usual["lower"], usual["upper"]) == pytest.approx((10 - 3.2897, 10 + 3.2897), abs=1e-4)
        wet = known["climatology"][f"humidity_{horizon}h"]
        assert (wet["lower"], wet["upper"]) == pytest.approx((95 - 3.2897, 95 + 3.2897), abs=1e-4)
        assert known["climatology"][f"pressure_{horizon}h"] is None
    # Beyond 100 % there is no humidity.
    high = Seasonal(CONTRACT, "3")
    high.humidity = 99.0
    (cut,) = decode(scorer().score(batch[:1], high, [0]))
    assert cut["climatology"]["humidity_6h"]["upper"] == 100.0
    assert decode(scorer().score(batch[:1], FakeModel(CONTRACT, "3"), [0]))[0]["climatology"] is None


class Foggy(FakeModel):
    """Heads of 59.6, 104.6 and 1000 with one unit either way, whatever the inputs: trees leave what can be."""

    def forecast(self, stations: list[str], t_ms: NDArray[np.int64], inputs: NDArray[np.float64]) -> Forecast:
        middle = np.broadcast_to(np.array([59.6, 104.6, 1000.0])[:, None], (len(stations), *self.scales.shape[:2]))
        return Forecast(np.stack([middle - 1, middle, middle + 1], axis=3), middle)


def test_a_forecast_stays_where_its_quantity_can_be_and_so_does_what_it_is_judged_by() -> None:
    """Heads up to 105.6 %, sensors in fog at 103 %: the record has nothing beyond 100 %, the verification neither."""
    wet: dict[str, float | None] = {T: 55.0, "humidity_mean": 103.0, "pressure_mean": 1000.0}
    batch = [incoming(i, FEATURES(row(CONTRACT, "seattle", T0 + i * HOUR_MS, 1, i, wet))) for i in range(8)]
    out = scorer().score(batch, Foggy(CONTRACT, "3"), [0])
    for record in decode(out):
        for horizon in CONTRACT.horizons_h:
            assert set(record["quantiles"][f"humidity_{horizon}h"].values()) == {100.0}, "all of it lies beyond"
            assert record["predictions"][f"humidity_{horizon}h"] == 100.0
            # What has no support goes on to its range, as it always did.
            assert record["quantiles"][f"temperature_{horizon}h"]["q95"] == 60.0
            assert record["predictions"][f"temperature_{horizon}h"] == 59.6
            assert record["quantiles"][f"pressure_{horizon}h"]["q95"] == pytest.approx(1001.0, abs=0.1)
        assert record["confidence"]["humidity_confidence"] > record["confidence"]["temperature_confidence"]
    decoder = Decoder({"11": CONTRACT.schemas["verifications"]}, CONTRACT.schemas["verifications"])
    judged = [r for r in (decoder(value) for _, value in out.verifications) if r["target"] == "humidity"]
    assert len(judged) == out.beyond_support == 1, "the first hour's six hours ahead"
    assert judged[0]["truth"] == judged[0]["persistence"]["value"] == judged[0]["dap"]["value"] == 100.0
    said = judged[0]["model"]
    assert (said["value"], said["error"], said["width"], said["winkler"], said["pinball"]) == (
        100.0,
        0.0,
        0.0,
        0.0,
        0.0,
    )
    assert said["covered_50"] and said["covered_80"] and said["covered_90"]


def test_another_domain_goes_through_with_its_own_names() -> None:
    contract = meters()
    schemas = contract.schemas
    codecs = Codecs(
        features=Decoder({"7": schemas["features"]}, schemas["features"]),
        predictions=Encoder(schemas["predictions"], 8),
        verifications=Encoder(schemas["verifications"], 11),
        history=Encoder(schemas["history"], 9),
        rejects=Encoder(schemas["rejects"], 10),
        anomalies=Encoder(schemas["anomalies"], 12),
    )
    subject = Scorer(contract, Names("", "meters-features", "champion"), codecs, lambda: NOW)
    end = T0 + contract.slide_ms
    values: dict[str, float | None] = {"power_mean": 4.0, "power_min": -60.0, "power_max": 4.0}
    good = Encoder(schemas["features"], 7)(row(contract, "m-1", end, 1, 3, values))
    out = subject.score([incoming(0, good, key=b"m-1"), incoming(1, b"", key=b"m-1")], FakeModel(contract, "1"), [0])
    (only,) = (Decoder({"8": schemas["predictions"]}, schemas["predictions"])(value) for _, value in out.predictions)
    assert only["meter"] == "m-1" and only["quantiles"]["power_1h"].keys() == {"q10", "q25", "q50", "q75", "q90"}
    assert only["confidence"].keys() == {"power_confidence", "overall_confidence", "completeness"}
    assert only["anomaly"]["evidence"] == ["power from -60 to 4 leaves [-50, 100] kW"]
    (refused,) = (Decoder({"10": schemas["rejects"]}, schemas["rejects"])(value) for _, value in out.rejects)
    assert refused["meter"] == "m-1" and refused["reason"] == "bad_framing"


def test_a_forecast_nobody_can_make_is_null_and_its_confidence_zero() -> None:
    out = scorer().score(
        [incoming(0, feature(T0, 5, 1.5, station="unheard-of"))], FakeModel(CONTRACT, "3"), [0, 0, 0, 0]
    )
    (only,) = decode(out)
    assert set(only["predictions"].values()) == {None} and set(only["quantiles"].values()) == {None}
    assert only["confidence"]["overall_confidence"] == 0.0


def test_one_row_the_model_chokes_on_is_rejected_and_the_others_are_scored() -> None:
    subject = scorer()
    batch = [
        incoming(0, feature(T0, 5, 1.0)),
        incoming(1, feature(T0 + 60_000, 6, 13.0)),
        incoming(2, feature(T0 + 120_000, 7, 2.0)),
    ]
    out = subject.score(batch, FakeModel(CONTRACT, "3"), [0, 0, 0, 0])
    assert (out.rows, out.predicted, out.rejected) == (3, 2, 1)
    assert [REJECTS(value)["detail"] for _, value in out.rejects] == ["ValueError: thirteen"]
    cells = [r for r in (HISTORY(value) for _, _, value in out.history) if kind_of(r) == "cell"]
    assert [c["window_end"] for c in cells] == [T0, T0 + 120_000], "its row is part of the history all the same"


def test_history_holds_the_last_cell_of_each_key_and_then_the_cursors() -> None:
    out = scorer().score(
        [incoming(i, feature(T0 + (i + 1) * 60_000, i, float(i))) for i in range(25)], FakeModel(CONTRACT, "3"), [0]
    )
    records = [(partition, key.decode(), HISTORY(value)) for partition, key, value in out.history]
    assert [(kind_of(r), r["window_end"]) for _, _, r in records] == [
        ("cell", T0 + 600_000),
        ("cell", T0 + 1_200_000),
        ("cell", T0 + 1_500_000),
        ("pending", T0 + 60_000),
        ("cursor", None),
    ]
    assert [key for _, key, _ in records][-1] == "cursor|0" and records[-1][2]["next_offset"] == 25
    assert all(partition == 0 for partition, _, _ in records)
    assert records[0][1] == f"cell|{(T0 // 600_000) % CONTRACT.ring_cells}|new-york"
    assert records[2][2]["versions"] == [(1 << 48) + i + 1 for i in range(20, 25)] + [0] * 5


def memory(subject: Scorer) -> str:
    """What the ledgers of all stations hold, as text: NaN equals NaN."""
    return repr(
        sorted(
            (partition, station, arm, ledger.remembered())
            for partition, states in subject.states.items()
            for station, state in states.items()
            for arm, ledger in (LEDGERS.of(state) or {}).items()
        )
    )


@pytest.mark.slow
def test_any_cut_into_batches_gives_the_same_predictions_and_a_restore_between_them_changes_nothing() -> None:
    """Batches, restarts and one straight run: same predictions in the same order, same verifications, same compacted
    history, same memory. Some rows the model refuses, whose hours then have no forecast.
    """
    rng = np.random.default_rng(5)
    records, t = [], T0
    for i in range(600):
        t += int(rng.choice([60_000, 60_000, 600_000, 1_800_000, -300_000]))
        station = ["new-york", "boston", "chicago"][int(rng.integers(3))]
        temperature = 13.0 if rng.random() < 0.02 else float(rng.normal())
        value = b"\x00bad" if rng.random() < 0.03 else feature(t, int(rng.integers(40)), temperature, station)
        records.append(incoming(i, value, partition=len(station) % 2))
    model = FakeModel(CONTRACT, "3")

    whole = scorer()
    straight = whole.score(records, model, [0, 0])
    assert straight.verified > 200 and straight.unverifiable > 100
    compacted = {(p, k): v for p, k, v in straight.history}
    for seed in range(3):
        cuts = np.random.default_rng(seed)
        changelog: list[tuple[int, bytes, bytes]] = []
        predictions: list[tuple[bytes, bytes]] = []
        verifications: list[tuple[bytes, bytes]] = []
        subject, at = scorer(), 0
        while at < len(records):
            size = int(cuts.integers(1, 30))
            out = subject.score(records[at : at + size], model, [0, 0])
            at += size
            predictions += out.predictions
            verifications += out.verifications
            changelog += out.history
            if cuts.random() < 0.5:
                subject = scorer()
                for partition in (0, 1):
                    restoration = Restoration(CONTRACT, partition, records_of(CONTRACT))
                    for p, key, value in changelog:
                        if p == partition:
                            again(restoration, key, value)
                    subject.states[partition] = restoration.states
        assert predictions == straight.predictions
        assert verifications == straight.verifications
        assert memory(subject) == memory(whole)
        assert {(p, k): v for p, k, v in changelog} == compacted


def again(restoration: Restoration, key: bytes, value: bytes | None) -> None:
    """A record of the history as a restore reads it; without a value a tombstone."""
    if value is None:
        restoration.forget(key)
    else:
        restoration.take(HISTORY(value), key)


def hourly(first: int, count: int, seed: int = 3) -> list[Incoming]:
    """One row an hour of one station, whose temperatures no forecast of a FakeModel foresees."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0.0, 20.0, first + count).tolist()
    return [incoming(i, feature(T0 + i * HOUR_MS, i, values[i])) for i in range(first, first + count)]


class Steady(FakeModel):
    """Says the middle of the range and one unit either way, whatever the row."""

    def forecast(self, stations: list[str], t_ms: Any, inputs: Any) -> Forecast:
        median = np.broadcast_to(self.middle[:, None], (len(stations), *self._shape)).copy()
        return Forecast(np.stack([median - 1, median, median + 1], axis=3), median)


def restored(subject: Scorer, changelog: list[tuple[int, bytes, bytes]]) -> Scorer:
    restoration = Restoration(CONTRACT, 0, records_of(CONTRACT))
    for _, key, value in changelog:
        again(restoration, key, value)
    subject.states[0] = restoration.states
    return subject


def test_a_verification_says_who_promised_and_two_arms_keep_their_promises_apart() -> None:
    """The actor comes back under another arm with another model, twice: what the first had promised is judged as its
    own, and no hour of one arm takes the place of the other's.
    """
    first, second = FakeModel(CONTRACT, "3"), FakeModel(CONTRACT, "4")
    out = scorer().score(hourly(0, 5), first, [0])
    changelog = out.history
    subject = restored(scorer(arm="challenger"), changelog)
    out = subject.score(hourly(5, 30), second, [0])
    changelog += out.history
    judged = [VERIFICATIONS(value) for _, value in out.verifications]
    promised = {(v["issued"] < T0 + 5 * HOUR_MS, v["arm"], v["model_version"]) for v in judged}
    assert promised == {(True, "champion", "3"), (False, "challenger", "4")}
    assert len({v["id"] for v in judged}) == len(judged)
    back = restored(scorer(), changelog).score(hourly(35, 30), first, [0])
    changelog += back.history
    judged = [VERIFICATIONS(value) for _, value in back.verifications]
    assert {(v["issued"] < T0 + 35 * HOUR_MS, v["arm"]) for v in judged} == {(True, "challenger"), (False, "champion")}
    kinds = {key: HISTORY(value) for _, key, value in changelog if value is not None}
    for arm in ("champion", "challenger"):
        of_arm = [r["cell"] for r in kinds.values() if kind_of(r) == "pending" and r["arm"] == arm]
        assert len(of_arm) == len(set(of_arm)) == 28
    assert {r["arm"] for r in kinds.values() if kind_of(r) == "calibration"} == {"champion", "challenger"}


def test_a_new_model_does_not_wear_the_corrections_of_the_one_before() -> None:
    """After a swap bands are the new model's own until its own promises are judged, whatever is learnt of the old
    one's meanwhile; a model that comes back within a day finds its corrections, and what was added to them.
    """
    subject, changelog = scorer(), []
    old, new = Steady(CONTRACT, "3"), Steady(CONTRACT, "4")

    def score(model: FakeModel, first: int, count: int) -> list[float]:
        """Widths of the widest band of temperature in 6 h, one a row."""
        out = subject.score(hourly(first, count), model, [0])
        changelog.extend(out.history)
        return [p["quantiles"]["temperature_6h"]["q95"] - p["quantiles"]["temperature_6h"]["q05"] for p in decode(out)]

    worn = score(old, 0, 60)
    assert worn[0] == pytest.approx(2.0) and worn[-1] > 2.2
    fresh = score(new, 60, 12)
    # A promise for 6 h is judged by the row an hour later: before the lateness is over it is not known.
    assert fresh[:7] == pytest.approx([2.0] * 7) and fresh[-1] > 2.0
    meanwhile = restored(scorer(), changelog)
    assert memory(meanwhile) == memory(subject)
    again = score(old, 72, 1)
    assert again[0] > worn[-1] > fresh[-1], "misses of the last twelve hours were its own"


@pytest.mark.slow
def test_a_challenger_changes_nothing_of_what_the_served_arm_says() -> None:
    """Two arms over the same batches: the champion's records are those of a run without one, byte for byte, and the
    challenger's are those it would make as the only one, but for the neighbours that hear nothing of it.
    """
    rng = np.random.default_rng(11)
    records = [
        incoming(i, feature(T0 + i * 20 * MINUTE, i, 13.0 if i == 7 else float(rng.normal()), station))
        for i, station in enumerate(["new-york", "boston"] * 150)
    ]
    models = FakeModel(CONTRACT, "3"), FakeModel(CONTRACT, "4")
    beside, alone = scorer(challengers=("challenger",)), scorer()
    of_arm: dict[str, list[Any]] = {"champion": [], "challenger": []}
    for at in range(0, len(records), 40):
        batch = records[at : at + 40]
        both = beside.score(batch, models[0], [0], {"challenger": models[1]})
        one = alone.score(batch, models[0], [0])
        counted = ("rows", "predicted", "skipped", "expired", "rejected")
        assert [getattr(both, name) for name in counted] == [getattr(one, name) for name in counted]
        assert [p for p in both.predictions if PREDICTIONS(p[1])["arm"] == "champion"] == one.predictions
        assert [v for v in both.verifications if VERIFICATIONS(v[1])["arm"] == "champion"] == one.verifications
        served = [h for h in both.history if h[2] is None or HISTORY(h[2])["arm"] != "challenger"]
        assert served == one.history and both.rejects == one.rejects
        for arm, found in of_arm.items():
            found += [p["id"] for p in decode(both) if p["arm"] == arm]
            found += [v["id"] for v in (VERIFICATIONS(x) for _, x in both.verifications) if v["arm"] == arm]
    assert len(of_arm["champion"]) == len(of_arm["challenger"]) > 400
    assert len({*of_arm["champion"], *of_arm["challenger"]}) == 2 * len(of_arm["champion"])


def test_restoration_is_complete_when_the_cursor_is_the_committed_offset() -> None:
    out = scorer().score([incoming(41, feature(T0, 5, 1.0))], FakeModel(CONTRACT, "3"), [0])
    cell, _, cursor = (HISTORY(value) for _, _, value in out.history)
    subject = Restoration(CONTRACT, 0)
    assert subject.complete(None) and subject.start(None) is None, "empty topic, nothing committed: from the beginning"
    assert not subject.complete(42)
    subject.take(cell)
    assert subject.complete(None) and subject.start(None) is None, "a seed has no cursor"
    assert not subject.complete(42)
    subject.take(cursor)
    assert subject.complete(42) and subject.start(42) == 42
    assert not subject.complete(43)
    assert subject.start(None) == 42, "offsets the broker forgot are in the cursor"


def test_global_table_takes_nothing_fresher_than_the_delay() -> None:
    table = GlobalTable(CONTRACT, 4)
    subject = scorer()
    for i in range(40):
        out = subject.score([incoming(i, feature(T0 + i * 600_000, i, float(i)))], FakeModel(CONTRACT, "3"), [0])
        for _, _, value in out.history:
            table.take(2, i, HISTORY(value))
    last = T0 + 39 * 600_000
    seen = table.as_of("new-york", last)
    assert seen is not None and seen.window_end == last - 1_200_000, "the newest cell at least window + lateness old"
    assert table.as_of("new-york", last + 300_000) is not None
    assert table.as_of("boston", last) is None
    assert table.offsets == [0, 0, 40, 0] and table.stations == 1


def test_decoder_reads_an_older_writer_into_the_reader() -> None:
    """A field added later takes its default, so readers go first in an evolution."""
    import json

    older = json.loads(CONTRACT.schemas["features"])
    older["fields"] = [f for f in older["fields"] if f["name"] != "precipitation_max"]
    value = Encoder(json.dumps(older), 3)(row(CONTRACT, "boston", T0, 1, 1, {T: 4.0}))
    both = {"3": json.dumps(older), "7": CONTRACT.schemas["features"]}
    record = Decoder(both, CONTRACT.schemas["features"])(value)
    assert record[T] == 4.0 and record["precipitation_max"] is None and record["window_end"] == T0
    with pytest.raises(BadRecord, match="unknown_schema"):
        Decoder({"7": CONTRACT.schemas["features"]}, CONTRACT.schemas["features"])(value)


def test_confidence_edges() -> None:
    levels = (0.05, 0.5, 0.95)
    width = 2 * 1.6448536
    band = np.array([[[[-width / 2, 0, width / 2], [-0.1, 0, 0.1]]]])
    one = np.ones((1, 1))
    sharp = 0.5 * (0 + 1 - 0.2 / width)
    assert confidence(band, one, levels, np.ones(1))[0, 0] == pytest.approx(sharp)
    assert confidence(band, one, levels, np.zeros(1))[0, 0] == pytest.approx(sharp / 2)
    assert confidence(band * np.nan, one, levels, np.ones(1))[0, 0] == 0.0
    assert confidence(band, one * 0, levels, np.ones(1))[0, 0] == 0.0
    assert confidence(band, one * np.nan, levels, np.ones(1))[0, 0] == 0.0
    assert confidence(band * 9, one, levels, np.ones(1))[0, 0] == pytest.approx(0.5 * (1 - 1.8 / width))


def test_step_rule_and_range_rule_explain_themselves() -> None:
    def verdicts(*temperatures: float | None, gap_ms: int = HOUR_MS) -> list[dict[str, Any]]:
        batch = [incoming(i, feature(T0 + i * gap_ms, i, x)) for i, x in enumerate(temperatures)]
        return [p["anomaly"] for p in decode(scorer().score(batch, FakeModel(CONTRACT, "3"), [0]))]

    calm, half, jump = verdicts(1.0, 7.0, 20.0)
    assert (calm["anomaly_score"], half["anomaly_score"]) == (0.0, 0.25)
    assert jump["is_anomaly"] and jump["anomaly_type"] == "step" and jump["anomaly_score"] == pytest.approx(13 / 24)
    assert jump["evidence"] == ["temperature changed by +13 degC in 60 min, credible is 12 degC"]
    credible = verdicts(2.0, 14.0)[1]
    assert not credible["is_anomaly"] and credible["evidence"] == [], "the largest credible change is credible"
    assert verdicts(1.0, 40.0, gap_ms=HOUR_MS + 60_000)[1]["anomaly_score"] == 0.0, (
        "beyond within_ms nothing is compared"
    )
    (silent,) = verdicts(1.0, None)[1:]
    assert silent["is_anomaly"] and silent["anomaly_type"] == "range" and silent["anomaly_score"] == pytest.approx(0.6)
    assert silent["evidence"] == ["temperature: 1 of 1 values missing or outside [-90, 60] degC"]
    wide = FEATURES(row(CONTRACT, "new-york", T0, 1, 1, {"temperature_min": 2.0, "temperature_max": 61.0}))
    (outside,) = decode(scorer().score([incoming(0, wide)], FakeModel(CONTRACT, "3"), [0]))
    assert outside["anomaly"]["anomaly_type"] == "range" and outside["anomaly"]["anomaly_score"] == 1.0
    assert outside["anomaly"]["evidence"] == ["temperature from 2 to 61 leaves [-90, 60] degC"]


def test_rules_need_their_columns() -> None:
    without = tuple(v for v in CONTRACT.history_values if v != T)
    with pytest.raises(ValueError, match="step rule of temperature"):
        scorer(replace(CONTRACT, history_values=without))


def test_a_forecast_without_rules_carries_no_verdict() -> None:
    """A level of 100 m leaves the contract's range, of which nobody was asked to judge."""
    rows = [
        row(GAUGES, "g-1", T0 + i * GAUGES.slide_ms, 1, i, {"level_mean": level, "level_max": level})
        for i, level in enumerate([1.0, 100.0])
    ]
    features = Encoder(GAUGES.schemas["features"], 7)
    batch = [incoming(i, features(one), key=b"g-1") for i, one in enumerate(rows)]
    out = scorer(GAUGES).score(batch, FakeModel(GAUGES, "3"), [0])
    predictions = Decoder({"8": GAUGES.schemas["predictions"]}, GAUGES.schemas["predictions"])
    made = [predictions(value) for _, value in out.predictions]
    assert [(p["gauge"], p["timestamp"]) for p in made] == [("g-1", one["window_end"]) for one in rows]
    assert all(set(p["predictions"]) == {"level_30m", "level_90m", "level_3h"} for p in made)
    assert all(None not in p["predictions"].values() for p in made)
    assert not any("anomaly" in p for p in made)
