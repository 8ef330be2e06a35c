"""An anomaly's life: what opens, confirms and ends it, that a cut between two batches or a restart changes nothing, and
that a station that is forgotten takes none along that is open.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ray_jobs.detect.after import VERDICTS, Judgement
from ray_jobs.detect.events import OPEN, AnomalyRecords, EventStage, key_of
from ray_jobs.detect.life import Anomaly, from_payload, to_payload, turns
from ray_jobs.detect.rules import CLEAR, Verdict
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.kit.io import Decoder
from ray_jobs.state.batch import Applied, Batch, Incoming
from ray_jobs.state.history import Restoration
from ray_jobs.state.partition import Partition
from ray_jobs.state.ring import Cell, StationState
from ray_jobs.state.stage import Tick
from ray_jobs.stream.predict import Outcome, Scorer
from ray_jobs.stream.stages import records_of
from tests.feature_rows import HOUR_MS, row
from tests.scores import FakeModel
from tests.test_predict import HISTORY, feature, incoming, scorer

T0 = 1_480_550_400_000
MINUTE, WINDOW = 60_000, 300_000
STEP = Verdict(True, 0.7, "step", ("temperature changed by +9 degC",))
RANGE = Verdict(True, 1.0, "range", ("humidity from -4 to 40",))
ANOMALIES = Decoder({"12": CONTRACT.schemas["anomalies"]}, CONTRACT.schemas["anomalies"])


def lives(*judged: tuple[int, Verdict]) -> list[dict[str, Any]]:
    """What one station's windows, (minutes after T0, verdict), leave in the topic."""
    batch, state = Batch([]), StationState()
    for i, (minutes, _) in enumerate(judged):
        one = row(CONTRACT, "boston", T0 + minutes * MINUTE, 1, i, {})
        at = Incoming(2, 40 + i, T0, b"boston", b"", {})
        cell = Cell(0, one["window_end"], 1, i, 2, 40 + i, (), ())
        batch.applied.append(Applied(at, one, "boston", state, [], 1.0, cell, None))
    VERDICTS.put(batch, Judgement("rules", [verdict for _, verdict in judged]))
    EventStage(CONTRACT, "ns").step(batch, {})
    return [record for _, record in batch.anomalies]


def told(records: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    return [(r["anomaly_type"], r["state"], (r["timestamp"] - T0) // MINUTE) for r in records]


def test_a_spike_that_overlapping_windows_repeat_is_opened_and_resolved_and_never_confirmed() -> None:
    found = lives(*((m, STEP) for m in range(5)), *((m, CLEAR) for m in range(5, 12)))
    assert told(found) == [("step", "opened", 0), ("step", "resolved", 9)], "window 9 holds nothing of window 4"
    opened, resolved = found
    assert opened["id"] == resolved["id"] and len(opened["id"]) == 32
    assert (resolved["windows"], resolved["last"], resolved["resolved"]) == (5, T0 + 4 * MINUTE, T0 + 9 * MINUTE)
    assert (resolved["cause"], opened["cause"], opened["resolved"]) == ("clear", "flagged", None)
    assert (opened["feature_partition"], opened["feature_offset"], opened["revision"]) == (2, 40, 0)


def test_what_lasts_is_confirmed_once_with_its_peak_and_its_evidence() -> None:
    worse = STEP._replace(score=0.9, evidence=("worse",))
    found = lives((0, STEP), (3, worse), (5, STEP), (6, STEP), (12, CLEAR))
    assert told(found) == [("step", "opened", 0), ("step", "confirmed", 5), ("step", "resolved", 12)]
    assert [r["confirmed"] for r in found] == [None, T0 + 5 * MINUTE, T0 + 5 * MINUTE]
    assert [(r["severity"], r["peak"], r["evidence"], r["windows"]) for r in found[1:]] == [
        (0.9, T0 + 3 * MINUTE, ["worse"], 3),
        (0.9, T0 + 3 * MINUTE, ["worse"], 4),
    ]
    assert len({r["id"] for r in found}) == 1


def test_each_type_has_a_life_of_its_own_and_a_second_one_another_id() -> None:
    found = lives((0, STEP), (1, RANGE), (6, CLEAR), (60, STEP), (70, CLEAR))
    assert told(found) == [
        ("step", "opened", 0),
        ("range", "opened", 1),
        ("range", "resolved", 6),
        ("step", "resolved", 6),
        ("step", "opened", 60),
        ("step", "resolved", 70),
    ]
    assert len({r["id"] for r in found}) == 3


def test_a_late_window_raises_the_severity_and_moves_no_time_back() -> None:
    held = {"step": Anomaly("a", "step", T0, None, T0 + 9 * MINUTE, T0, 0.7, 2, (), "rules")}
    louder = STEP._replace(score=0.8)
    (turn,) = turns(held, louder, "rules", T0 + 2 * MINUTE, WINDOW, "b")
    assert turn.state is None and (turn.anomaly.last, turn.anomaly.windows) == (T0 + 9 * MINUTE, 2)
    assert turn.anomaly.severity == 0.8
    assert list(turns(held, CLEAR, "rules", T0 + 2 * MINUTE, WINDOW, "b")) == []


def test_a_station_that_is_forgotten_ends_what_is_open_of_it() -> None:
    state = StationState()
    OPEN.put(state, {"step": Anomaly("a", "step", T0, None, T0, T0, 0.7, 1, ("x",), "rules")})
    batch = Batch([])
    EventStage(CONTRACT, "ns").tick(batch, Tick(3, Partition(), T0 + 400 * HOUR_MS, {"boston": state}))
    ((station, record),) = batch.anomalies
    assert (station, record["state"], record["cause"], record["resolved"]) == (
        "boston",
        "resolved",
        "silent",
        T0 + 400 * HOUR_MS,
    )
    assert [(c.partition, c.key, c.record) for c in batch.changes] == [(3, b"anomaly|step|boston", None)]


def test_what_is_open_comes_back_from_the_history_bit_for_bit_and_a_tombstone_forgets_it() -> None:
    anomaly = Anomaly("a", "step", T0, T0 + 1, T0 + 2, T0, 0.1 + 0.2, 3, ("grüß|dich", "x"), "rules")
    assert from_payload(to_payload(anomaly)) == anomaly
    records, states = AnomalyRecords(), {}
    of = lambda station: states.setdefault(station, StationState())  # noqa: E731
    key = records.take("bos|ton", {"payload": to_payload(anomaly)})
    records.settle(of)
    assert key == key_of("step", "bos|ton") and OPEN.of(states["bos|ton"]) == {"step": anomaly}
    records.forget(key or b"")
    records.settle(of)
    assert OPEN.of(states["bos|ton"]) is None
    with pytest.raises(ValueError, match="expected 1 parts"):
        records.forget(b"anomaly")


def faulty(seed: int) -> list[Incoming]:
    """Two stations whose temperature jumps now and then and comes back later; rows late and revised among them."""
    rng = np.random.default_rng(seed)
    out, t, level = [], T0, 10.0
    for i in range(400):
        t += int(rng.choice([MINUTE, MINUTE, 2 * MINUTE, 10 * MINUTE, -3 * MINUTE]))
        if rng.random() < 0.08:
            level = 40.0 if level == 10.0 else 10.0
        station = ["new-york", "boston"][int(rng.integers(2))]
        out.append(incoming(i, feature(t, int(rng.integers(40)), level, station), partition=len(station) % 2))
    return out


def turned(outs: list[Outcome]) -> list[tuple[bytes, bytes]]:
    return [one for out in outs for one in out.anomalies]


@pytest.mark.parametrize("seed", [1, 2])
def test_any_cut_and_any_restart_leads_the_same_lives_bit_for_bit(seed: int) -> None:
    records, model = faulty(seed), FakeModel(CONTRACT, "3")
    whole = scorer().score(records, model, [0, 0])
    states = {ANOMALIES(value)["state"] for _, value in whole.anomalies}
    assert states == {"opened", "confirmed", "resolved"}
    assert (whole.opened, whole.resolved) == (
        sum(ANOMALIES(v)["state"] == "opened" for _, v in whole.anomalies),
        sum(ANOMALIES(v)["state"] == "resolved" for _, v in whole.anomalies),
    )
    cuts = np.random.default_rng(seed)
    outs: list[Outcome] = []
    changelog: list[tuple[int, bytes, bytes | None]] = []
    subject: Scorer = scorer()
    at = 0
    while at < len(records):
        size = int(cuts.integers(1, 30))
        outs.append(subject.score(records[at : at + size], model, [0, 0]))
        changelog += outs[-1].history
        at += size
        if cuts.random() < 0.5:
            subject = scorer()
            for partition in (0, 1):
                restoration = Restoration(CONTRACT, partition, records_of(CONTRACT))
                for p, key, value in changelog:
                    if p == partition and value is None:
                        restoration.forget(key)
                    elif p == partition and value is not None:
                        restoration.take(HISTORY(value), key)
                subject.states[partition] = restoration.states
    assert turned(outs) == whole.anomalies


def test_a_pipeline_whose_windows_nobody_judges_restores_none() -> None:
    unjudged = replace(CONTRACT, parts=tuple(p for p in CONTRACT.parts if p != "anomaly"))
    assert not any(isinstance(one, AnomalyRecords) for one in records_of(unjudged))
