"""Entities that fall silent are evicted by event time, exactly once and at the same row in every run, and leave
nothing: neither in memory nor in the compacted topic.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ray_jobs.fold.neighbours import NOBODY, Rings
from ray_jobs.generated.contract import Contract
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.kit.io import Decoder, Encoder
from ray_jobs.ledger.verify import LEDGERS, Book
from ray_jobs.state import ring
from ray_jobs.state.changelog import change_record, kind_of_key
from ray_jobs.state.history import GlobalTable, Restoration
from ray_jobs.state.partition import Partition
from ray_jobs.state.ring import CURSOR
from ray_jobs.state.silence import silence_ms
from ray_jobs.stream import predict
from ray_jobs.stream.predict import Incoming, Names, Outcome, Scorer
from ray_jobs.stream.stages import records_of
from tests import golden_files
from tests.compacted import Key, compacted, scored
from tests.feature_rows import HOUR_MS, meters, row
from tests.line_check import remembered
from tests.scores import FakeModel
from tests.topics import IDS, codecs_of, decoders_of

# Not part of make test-quick: a day of traffic for each case.
pytestmark = pytest.mark.slow

METERS = meters()
BARE = replace(METERS, targets=(), horizons_ms=(), datums={})
NOW = 2_000_000_000_000
T0 = 1_480_550_400_000
SLIDE = METERS.slide_ms
MINUTE = 60_000
SILENCE = silence_ms(METERS)
ENCODE = {contract.pipeline: Encoder(contract.schemas["features"], IDS["features"]) for contract in (METERS, CONTRACT)}


class Feed:
    """Feature records of one topic: offsets rise by partition, a micro-batch has one processing time."""

    def __init__(self, contract: Contract = METERS, partitions: int = 1) -> None:
        self.contract = contract
        self.rows: list[Incoming] = []
        self._next = [0] * partitions
        self._micro_batch = 0

    def micro_batch(self, *rows: tuple[str, int, float]) -> None:
        """(entity, window end, value) in the order written."""
        self._micro_batch += 1
        for name, end, value in rows:
            self.row(name, end, value)

    def row(self, name: str, end: int, value: float) -> None:
        partition = sum(name.encode()) % len(self._next)
        offset = self._next[partition]
        self._next[partition] += 1
        column = self.contract.history_values[0]
        revision = end // SLIDE % (1 << 20)
        record = row(self.contract, name, end, 1, revision, {column: value}) | {"processing_time": self._micro_batch}
        encoded = ENCODE[self.contract.pipeline](record)
        self.rows.append(Incoming(partition, offset, NOW, name.encode(), encoded, {}))


def scorer(contract: Contract = METERS) -> Scorer:
    return Scorer(contract, Names("ns", "features", "champion"), codecs_of(contract), lambda: NOW)


def restored(log: dict[Key, bytes] | list[tuple[int, bytes, bytes | None]], contract: Contract = METERS) -> Scorer:
    """A scorer that knows what a log says, compacted or whole."""
    decode = decoders_of(contract)["history"]
    entries = [(p, k, v) for (p, k), v in log.items()] if isinstance(log, dict) else log
    found: dict[int, Restoration] = {}
    for partition, key, value in entries:
        if partition not in found:
            found[partition] = Restoration(contract, partition, records_of(contract))
        if value is None:
            found[partition].forget(key)
        else:
            found[partition].take(decode(value), key)
    subject = scorer(contract)
    subject.states = {partition: restoration.states for partition, restoration in found.items()}
    return subject


def compact(history: list[tuple[int, bytes, bytes | None]]) -> list[tuple[int, bytes, bytes | None]]:
    """The log as compaction leaves it, clocks too."""
    kept: dict[Key, bytes | None] = {}
    for partition, key, value in history:
        kept.pop((partition, key), None)
        if value is not None:
            kept[partition, key] = value
    return [(p, k, v) for (p, k), v in kept.items()]


def memory(subject: Scorer) -> str:
    """What is remembered of whom, and each partition's time, as text: NaN equals NaN."""
    states = {partition: stations for partition, stations in subject.states.items() if stations}
    times = [(partition, stations.time_ms) for partition, stations in sorted(states.items())]
    return repr((sorted(remembered(states, subject.contract).items()), times))


def keys_of(subject: Scorer) -> set[Key]:
    """Every key that the compacted history needs for what is remembered; calibrations, which come with the first truth,
    are left out.
    """
    contract, found = subject.contract, set()
    for partition, stations in subject.states.items():
        for station, state in stations.items():
            found |= {(partition, ring.cell_key(station, slot, contract.ring_cells)) for slot in state.cells}
            for arm, ledger in (LEDGERS.of(state) or {}).items():
                found |= {(partition, key) for key in Book(contract).pending_keys(station, arm, ledger)}
    return found


def without(kinds: set[str], keys: Any) -> set[Key]:
    return {(partition, key) for partition, key in keys if kind_of_key(key) not in kinds}


def coming_and_going(ids: int, rows_each: int, every: int, seed: int = 1, partitions: int = 1, apart: int = 1) -> Feed:
    """`every` entities come at once, `apart` slides after the last ones; each speaks a few times within a quarter of an
    hour and is gone.
    """
    rng, feed = np.random.default_rng(seed), Feed(partitions=partitions)
    due: dict[int, list[str]] = {}
    for number in range(ids):
        first = number // every * apart
        later = rng.integers(1, 30, rows_each - 1).tolist()
        for slide in {first, *(first + step for step in later)}:
            due.setdefault(slide, []).append(f"id-{number}")
    for slide in sorted(due):
        end = T0 + slide * SLIDE
        feed.micro_batch(*((name, end, float(rng.normal())) for name in sorted(due[slide])))
    return feed


# The rule


def evicted_at(gap_ms: int) -> int:
    """How many entities are gone after one spoke at T0, and another at T0, then that much later, and then again."""
    feed, subject = Feed(), scorer()
    feed.micro_batch(("a", T0, 1.0), ("b", T0, 1.0))
    feed.micro_batch(("b", T0 + gap_ms, 1.0))
    feed.micro_batch(("b", T0 + gap_ms, 1.0))
    feed.micro_batch(("b", T0 + gap_ms, 1.0))
    out = subject.score(feed.rows, FakeModel(METERS, "3"), [0])
    assert out.rows == 5 and ("a" in subject.states[0]) == (out.evicted == 0) and "b" in subject.states[0]
    return out.evicted


def test_an_entity_is_evicted_when_it_is_silent_for_longer_than_the_bound() -> None:
    assert METERS.depth_ms + HOUR_MS + METERS.lateness_ms == SILENCE
    assert silence_ms(CONTRACT) == CONTRACT.depth_ms + CONTRACT.window_ms + CONTRACT.lateness_ms + 25 * HOUR_MS
    rounded = -(-SILENCE // METERS.cell_ms) * METERS.cell_ms
    assert evicted_at(rounded) == 0
    assert evicted_at(rounded + SLIDE) == 1


def test_a_micro_batch_that_is_written_entity_by_entity_evicts_nobody() -> None:
    """Spark writes all of a micro-batch's rows of one entity before the next one's: weeks, in a catch-up. One that was
    cut off by a kill comes again.
    """
    hours = [T0 + i * HOUR_MS for i in range(60)]
    run_of: Callable[[str], list[tuple[str, int, float]]] = lambda name: [(name, end, 1.0) for end in hours]  # noqa: E731
    feed = Feed()
    feed.micro_batch(("a", T0 - HOUR_MS, 1.0), ("b", T0 - HOUR_MS, 1.0), ("c", T0 - HOUR_MS, 1.0))
    feed.micro_batch(*run_of("a"), *run_of("b")[:30])
    feed.micro_batch(*run_of("a"), *run_of("b"), *run_of("c"))
    feed.micro_batch(*((name, hours[-1] + HOUR_MS, 1.0) for name in "abc"))
    feed.micro_batch(*((name, hours[-1] + 2 * HOUR_MS, 1.0) for name in "abc"))
    subject = scorer()
    out = subject.score(feed.rows, FakeModel(METERS, "3"), [0])
    assert (out.evicted, out.skipped + out.expired, out.predicted) == (0, 90, 3 + 180 + 6)
    lonely = Feed()
    lonely.micro_batch(("c", T0 - HOUR_MS, 1.0))
    lonely.micro_batch(*run_of("c"))
    lonely.micro_batch(("c", hours[-1] + HOUR_MS, 1.0))
    lonely.micro_batch(("c", hours[-1] + 2 * HOUR_MS, 1.0))
    alone = scorer().score(lonely.rows, FakeModel(METERS, "3"), [0])
    assert inputs_of(out, "c") == inputs_of(alone, "c"), "its lags are there, whatever was written before it"


def inputs_of(out: Outcome, name: str) -> list[str]:
    decode = decoders_of(METERS)["predictions"]
    predictions = [decode(value) for key, value in out.predictions if key == name.encode()]
    return [repr((p["timestamp"], p["inputs"])) for p in predictions]


def test_what_comes_back_begins_anew_as_a_stranger_and_its_inputs_cannot_tell() -> None:
    def comes_back(others: int) -> Outcome:
        """a speaks, falls silent and comes back; `others` speak meanwhile, so that a is evicted or is not."""
        feed = Feed()
        for i in range(40):
            feed.micro_batch(("a", T0 + i * 5 * MINUTE, float(i % 7)))
        last = T0 + 39 * 5 * MINUTE
        for i in range(others):
            feed.micro_batch(("b", last + SILENCE + (i + 2) * METERS.cell_ms, 1.0))
        for i in range(5):
            feed.micro_batch(("a", last + SILENCE + 20 * METERS.cell_ms + i * MINUTE, 2.0))
        return scorer().score(feed.rows, FakeModel(METERS, "3"), [0])

    evicted, stayed = comes_back(4), comes_back(0)
    assert (evicted.evicted, stayed.evicted) == (1, 0)
    assert inputs_of(evicted, "a") == inputs_of(stayed, "a")


def test_what_an_evicted_entity_had_promised_is_closed_once() -> None:
    """Every promise of every target and horizon has one verification in the end, with the truth where there is one."""
    feed = coming_and_going(200, 5, 2, partitions=2)
    last = T0 + 400 * SLIDE
    for i in range(4):
        feed.micro_batch(*((name, last + 2 * SILENCE + i * SLIDE, 1.0) for name in ("even", "odd")))
    subject = scorer()
    out = scored(subject, feed.rows, FakeModel(METERS, "3"), [0, 0])
    assert out.evicted == 200 and sum(map(len, subject.states.values())) == 2
    decode = decoders_of(METERS)["verifications"]
    judged = [decode(value) for _, value in out.verifications]
    assert len({v["id"] for v in judged}) == len(judged)
    issued = {(v["meter"], v["issued"]) for v in judged}
    assert {name for name, _ in issued} == {f"id-{i}" for i in range(200)} and len(issued) >= 200
    assert out.verified + out.unverifiable == len(judged) and out.unverifiable > 0


def test_the_neighbours_forget_an_evicted_station_alike() -> None:
    """In the rings of its own actor, and in the table that every actor reads from the history."""
    feed, subject, table = Feed(CONTRACT), scorer(CONTRACT), GlobalTable(CONTRACT, 1)
    silence = silence_ms(CONTRACT)
    decode = decoders_of(CONTRACT)["history"]
    log: list[tuple[int, bytes, bytes | None]] = []

    def score(*ends: int, name: str) -> None:
        begun = len(feed.rows)
        for end in ends:
            feed.micro_batch((name, end, 1.0))
        for entry in subject.score(feed.rows[begun:], FakeModel(CONTRACT, "3"), [0]).history:
            _, key, value = entry
            if value is None:
                table.forget(0, len(log), key)
            else:
                table.take(0, len(log), decode(value))
            log.append(entry)

    score(*(T0 + i * 10 * MINUTE for i in range(30)), name="boston")
    asked = T0 + 5 * HOUR_MS
    assert table.as_of("boston", asked) is not None
    assert Rings(CONTRACT, subject.states, NOBODY).as_of("boston", asked) is not None
    score(*(T0 + 2 * silence + i * MINUTE for i in range(4)), name="new-york")
    assert table.as_of("boston", asked) is None and table.stations == 1 and table.offsets == [len(log)]
    for said in (log, compact(log)):
        back = restored(said, CONTRACT)
        for states in (subject.states, back.states):
            assert list(states[0]) == ["new-york"]
            assert Rings(CONTRACT, states, table).as_of("boston", asked) is None


# Every cut, every restore


@pytest.mark.parametrize("seed", range(4))
def test_any_cut_evicts_at_the_same_row_and_a_restore_from_the_compacted_topic_is_the_live_state(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = coming_and_going(250, 4, 1, seed, partitions=2, apart=4)
    model = FakeModel(METERS, "3")
    whole = scorer()
    straight = scored(whole, feed.rows, model, [0, 0])
    assert 100 < straight.evicted < 250 and straight.tombstones > 400
    cuts, subject, at = np.random.default_rng(seed), scorer(), 0
    log: list[tuple[int, bytes, bytes | None]] = []
    parts = Outcome()
    # Small enough that transactions end at ticks, too.
    monkeypatch.setattr(predict, "TOMBSTONES", 20)
    while at < len(feed.rows):
        out = subject.score(feed.rows[at : at + int(cuts.integers(1, 60))], model, [0, 0])
        at += out.rows
        log += out.history
        parts.predictions += out.predictions
        parts.verifications += out.verifications
        parts.evicted += out.evicted
        if cuts.random() < 0.4:
            live = memory(subject)
            for said in (log, compact(log)):
                subject = restored(said)
                assert memory(subject) == live
    assert parts.predictions == straight.predictions
    assert parts.verifications == straight.verifications
    assert parts.evicted == straight.evicted
    assert compacted(log) == compacted(straight.history)
    assert memory(subject) == memory(whole)


def test_a_micro_batch_of_weeks_can_be_cut_anywhere() -> None:
    """The clock of a partition does not follow from its states there: it is in the history."""
    feed = Feed()
    hours = [T0 + i * HOUR_MS for i in range(40)]
    feed.micro_batch(*((f"id-{i}", hours[at], 1.0) for i in range(6) for at in range(i * 5, 5 + i * 7)))
    feed.micro_batch(*((f"id-{i}", hours[at], 1.0) for i in range(6) for at in range(5 + i * 7, 40, 1 + i)))
    for i in range(4):
        feed.micro_batch(("id-9", hours[-1] + (1 + i) * HOUR_MS, 1.0), ("id-0", hours[-1] + (1 + i) * HOUR_MS, 1.0))
    model, whole = FakeModel(METERS, "3"), scorer()
    straight = whole.score(feed.rows, model, [0])
    assert straight.evicted > 0
    for cut in range(1, len(feed.rows), 4):
        subject = scorer()
        first = subject.score(feed.rows[:cut], model, [0])
        back = restored(compact(first.history))
        assert memory(back) == memory(subject)
        second = back.score(feed.rows[cut:], model, [0])
        assert first.predictions + second.predictions == straight.predictions
        assert first.verifications + second.verifications == straight.verifications
        assert first.evicted + second.evicted == straight.evicted, cut
        assert compacted([*first.history, *second.history]) == compacted(straight.history)


@pytest.mark.slow
@pytest.mark.parametrize(("ids", "contract"), [(100_000, BARE), (16_000, METERS)], ids=["cells", "all stages"])
def test_ids_come_and_go_and_memory_and_topic_stay_flat(ids: int, contract: Contract) -> None:
    """A hundred thousand through the stages of a pipeline without a forecast, some of them through all."""
    every, silence, size = 20, silence_ms(contract), 2_000
    feed = coming_and_going(ids, 1, every)
    model, subject = FakeModel(METERS, "3"), scorer(contract)
    # What a slide brings, over all slides that may be alive: the bound, rounded up to cells, and two micro-batches.
    most = every * (silence // SLIDE + METERS.cell_ms // SLIDE + 4)
    topic: dict[Key, bytes] = {}
    alive, live_keys, evicted = [], [], 0
    for number, at in enumerate(range(0, len(feed.rows), size)):
        out = subject.score(feed.rows[at : at + size], model, [0])
        assert out.rows == size
        evicted += out.evicted
        for partition, key, value in out.history:
            topic.pop((partition, key), None)
            if value is not None:
                topic[partition, key] = value
        alive.append(len(subject.states[0]))
        live_keys.append(len(topic))
        if number % 16 == 4:
            assert memory(restored(topic, contract)) == memory(subject)
    assert evicted + alive[-1] == ids and evicted > ids // 5 and max(alive) <= most
    # Once the first ones have gone; a micro-batch more or less.
    flat = slice(silence // SLIDE * every // size + 1, None)
    assert len(alive[flat]) > 0 and max(alive[flat]) - min(alive[flat]) <= 10 * every
    assert max(live_keys[flat]) - min(live_keys[flat]) <= 30 * every
    assert without({CURSOR, "clock", "calibration"}, topic) == keys_of(subject), "no key of anybody who is gone"


# What is there from before


def test_keys_of_a_history_of_before_go_with_their_station() -> None:
    """Names of before, shapes that nobody reads, kinds that only another version knows: all forgotten with it."""
    before = golden_files.GOLDEN.parent / "before"
    applied = json.loads((before / "state/default/applied-weather.json").read_text(encoding="utf-8"))
    schema = CONTRACT.schemas["history"]
    decode = Decoder(applied["tables"]["history"] | {"99": schema, str(IDS["history"]): schema}, schema)
    records = json.loads((before / "topics/history.json").read_text(encoding="utf-8"))
    for partition in {r["partition"] for r in records}:
        entries = [(r["key"].encode(), bytes.fromhex(r["value"])) for r in records if r["partition"] == partition]
        station = next(s for s in (decode(v)["station_id"] for _, v in entries) if s is not None)
        encode = Encoder(schema, 99)
        drift = change_record("detect.drift", "station_id", station)
        entries.append((b"detect.drift|" + station.encode(), encode(drift)))
        restoration = Restoration(CONTRACT, partition, records_of(CONTRACT))
        topic: dict[bytes, bytes | None] = {}
        for key, value in entries:
            restoration.take(decode(value), key)
            topic[key] = value
        subject = scorer(CONTRACT)
        subject.states = {partition: restoration.states}
        gone = set(subject.states[partition])
        end = subject.states[partition].time_ms + 2 * silence_ms(CONTRACT)
        feed = Feed(CONTRACT)
        for i in range(4):
            feed.micro_batch(("denver", end + i * MINUTE, 1.0))
        out = subject.score([r._replace(partition=partition) for r in feed.rows], FakeModel(CONTRACT, "3"), [0])
        assert out.evicted == len(gone) and set(subject.states[partition]) == {"denver"}
        back = Restoration(CONTRACT, partition, records_of(CONTRACT))
        for key, value in [*entries, *((k, v) for _, k, v in out.history)]:
            topic.pop(key, None)
            if value is None:
                back.forget(key)
            else:
                topic[key] = value
                back.take(decode(value), key)
        assert set(back.states) == {"denver"}
        assert {key for key in topic if b"denver" not in key} <= {ring.cursor_key(partition), ring.clock_key(partition)}


def test_a_kind_nobody_here_knows_is_left_alone_while_nobody_here_knows_its_station() -> None:
    restoration = Restoration(METERS, 0, records_of(METERS))
    restoration.take(change_record("detect.drift", METERS.key, "a", payload=b"\x01"), b"detect.drift|a")
    assert restoration.states == Partition()
