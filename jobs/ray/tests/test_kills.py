"""Nothing lost or doubled: workers killed in mid-stream against a real broker, and what is committed compared with a
run without kills.

Run with `pytest -m cluster jobs/ray/tests --addresses FILE [--kills N]`.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from ray_jobs.fold.fold import Fold
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.kit.transactions import aborts
from ray_jobs.state.changelog import kind_of
from ray_jobs.state.ring import CURSOR
from tests.compacted import compacted
from tests.heard import heard, rows_of, wrong_heard
from tests.topics import Topics, expected, traffic, usable

T0 = 1_480_550_400_000
HERE = Path(__file__).resolve().parent
TRANSIENT = ("stages", "provenance")
FOLD = Fold(CONTRACT)


@pytest.fixture
def topics(addresses: dict[str, Any]) -> Iterator[Topics]:
    made = Topics(CONTRACT, addresses["bootstrap"])
    yield made
    made.clear()


def start(params: Path, slot: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(HERE / "slot_process.py"), str(params), str(slot)], stdout=subprocess.PIPE, text=True
    )


def check(topics: Topics) -> dict[str, int]:
    """Every feature offset covered exactly once, every prediction, verification and turn of an anomaly committed once,
    the history that of a run without kills.
    """
    got = [topics.decoders["predictions"](m.value()) for m in topics.read("predictions")]
    wanted, verified, turned, history, rejected = expected(topics, CONTRACT, got)
    ids = Counter(p["id"] for p in got)
    assert [i for i, n in ids.items() if n > 1] == [], "a prediction id was committed twice"
    assert ids.keys() == {p["id"] for p in wanted}
    by_id = {p["id"]: p for p in wanted}
    offsets = Counter((p["provenance"]["feature_partition"], p["provenance"]["feature_offset"]) for p in got)
    refused = Counter(
        (r["partition"], r["offset"]) for r in (topics.decoders["rejects"](m.value()) for m in topics.read("rejects"))
    )
    assert set(refused) == rejected and set(refused.values()) <= {1}
    assert not set(offsets) & set(refused) and set(offsets.values()) == {1}
    for prediction in got:
        other = by_id[prediction["id"]]
        for name in prediction.keys() - set(TRANSIENT):
            assert repr(prediction[name]) == repr(other[name]), f"{name} differs from the run without kills"
        assert prediction["provenance"]["feature_offset"] == other["provenance"]["feature_offset"]
    rows = rows_of(CONTRACT, usable((m.value() for m in topics.read("features")), topics.decoders["features"]))
    assert list(wrong_heard(CONTRACT, got, rows)) == []
    heard_of = sum(1 for p in got for _ in heard(CONTRACT, FOLD, p))
    assert heard_of > 0, "the traffic has no neighbours: it shows nothing about them"
    judged = [topics.decoders["verifications"](m.value()) for m in topics.read("verifications")]
    assert sorted(map(repr, judged)) == sorted(map(repr, verified)), "each truth is taken once, and says the same"
    turns = [topics.decoders["anomalies"](m.value()) for m in topics.read("anomalies")]
    assert sorted(map(repr, turns)) == sorted(map(repr, turned)), "each turn of an anomaly is taken once"
    assert {t["state"] for t in turns} >= {"opened", "resolved"}, "the traffic shows nothing about anomalies"
    written = topics.read("history")
    assert compacted((m.partition(), m.key(), m.value()) for m in written) == history
    # Skipped rows leave no record of their own; the cursors say that they were covered, and in what order.
    reached: dict[int, int] = {}
    for message in written:
        if message.value() is None:
            continue
        record = topics.decoders["history"](message.value())
        if kind_of(record) == CURSOR:
            assert record["next_offset"] > reached.get(message.partition(), 0), "an offset was covered twice"
            reached[message.partition()] = record["next_offset"]
    ends = Counter(m.partition() for m in topics.read("features"))
    assert reached == dict(ends)
    return {
        "features": sum(ends.values()),
        "predictions": len(got),
        "rejects": len(refused),
        "verified": len(judged),
        "turns": len(turns),
    }


class Stream:
    """Features sent in pieces while predictions are read as they are committed, up to the number a run without kills
    makes.
    """

    def __init__(self, topics: Topics, rows: list[tuple[str, bytes]]) -> None:
        self.topics = topics
        self.seen = 0
        self._rows = rows
        self._sent = 0
        self._wanted: int | None = None
        self._followed = topics.follow("predictions")

    def turn(self) -> bool:
        """Sends a piece when the last one is nearly done, reads one prediction; False when all were read."""
        if self._sent < len(self._rows) and self.seen >= self._sent - 1_200:
            self.topics.produce(self._rows[self._sent : self._sent + 500])
            self._sent += 500
            if self._sent >= len(self._rows):
                self._wanted = len(expected(self.topics, CONTRACT)[0])
        if next(self._followed) is not None:
            self.seen += 1
        return self._wanted is None or self.seen < self._wanted

    def close(self) -> None:
        self._followed.close()

    def __str__(self) -> str:
        return f"{self.seen} predictions of {self._wanted}, {self._sent} rows sent"


@pytest.mark.cluster
def test_killed_workers_cover_every_feature_once(topics: Topics, kills: int, tmp_path: Path) -> None:
    """kill -9 at random numbers of committed predictions, with records still coming in. The actor's process and the
    whole Ray job are killed in the proof of the line (ts/rehearse/prove/kills.ts).
    """
    slots = 2
    rng = np.random.default_rng(slots)
    params = tmp_path / "params.json"
    # Small batches: the kills have to meet open transactions.
    params.write_text(json.dumps(topics.params(tmp_path, actors=slots, batch_rows=40)), encoding="utf-8")
    stream = Stream(topics, traffic(CONTRACT, 1_000 * (kills * slots + 1), slots, T0))
    workers = [start(params, slot) for slot in range(slots)]
    killed, due = 0, 200
    deadline = time.monotonic() + 60 * (kills * slots + 2)
    try:
        while stream.turn():
            assert time.monotonic() < deadline, f"{stream}, {killed} kills"
            for worker in workers:
                assert worker.poll() is None, f"a worker left by itself with {worker.returncode}"
            if stream.seen >= due and killed < kills * slots:
                victim = int(rng.integers(slots))
                workers[victim].kill()
                workers[victim].wait()
                workers[victim] = start(params, victim)
                killed += 1
                due = stream.seen + int(rng.integers(50, 600))
        assert killed == kills * slots
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        ends = [json.loads(worker.communicate(timeout=30)[0]) for worker in workers]
    finally:
        stream.close()
        for worker in workers:
            worker.kill()
    assert all(end["state"] == "stopped" for end in ends)
    print(check(topics), "kills", killed)


@pytest.mark.cluster
def test_a_slot_that_stays_dead_leaves_its_partitions_to_the_other(topics: Topics, tmp_path: Path) -> None:
    """Its session runs out, its open transaction is aborted, and the other slot restores what it had not read
    itself.
    """
    params = tmp_path / "params.json"
    params.write_text(json.dumps(topics.params(tmp_path, actors=2, batch_rows=40)), encoding="utf-8")
    stream = Stream(topics, traffic(CONTRACT, 2_000, 3, T0))
    workers = [start(params, slot) for slot in range(2)]
    deadline = time.monotonic() + 120
    try:
        while topics.shares(f"{topics.namespace}-ray-ml-inference") != [2, 2]:
            assert time.monotonic() < deadline
        while stream.turn():
            assert time.monotonic() < deadline, str(stream)
            if stream.seen == 300:
                workers[0].kill()
        workers[1].send_signal(signal.SIGTERM)
        end = json.loads(workers[1].communicate(timeout=30)[0])
    finally:
        stream.close()
        for worker in workers:
            worker.kill()
            worker.wait()
    assert end["counters"]["partitions"] == 4 and end["counters"]["restores"] >= 2, end
    check(topics)


@pytest.mark.cluster
def test_rows_that_retention_took_are_counted(topics: Topics, tmp_path: Path) -> None:
    """A worker that was away for longer than the features are kept goes on with the oldest there is, and says what is
    gone.
    """
    params = tmp_path / "params.json"
    params.write_text(json.dumps(topics.params(tmp_path)), encoding="utf-8")
    rows = traffic(CONTRACT, 1_000, 5, T0)

    def predict(wanted: int) -> dict[str, float]:
        worker = start(params, 0)
        followed = topics.follow("predictions")
        deadline = time.monotonic() + 120
        seen = 0
        try:
            while seen < wanted:
                assert time.monotonic() < deadline and worker.poll() is None, f"{seen} of {wanted}"
                seen += next(followed) is not None
            worker.send_signal(signal.SIGTERM)
            counters: dict[str, float] = json.loads(worker.communicate(timeout=30)[0])["counters"]
            return counters
        finally:
            followed.close()
            worker.kill()
            worker.wait()

    topics.produce(rows[:500])
    first = predict(len(expected(topics, CONTRACT).predictions))
    covered = Counter(m.partition() for m in topics.read("features"))
    assert first["rows"] == 500 and "lost_rows" not in first
    topics.produce(rows[500:])
    forgotten = topics.forget(max(covered.values()) + 20)
    second = predict(int(first["predicted"]) + 1)
    assert second["lost_rows"] == forgotten - 500 > 0


@pytest.mark.cluster
def test_aborted_transactions_are_restored_and_done_again(topics: Topics, tmp_path: Path) -> None:
    """While the predictions topic refuses every record as too large nothing is committed; afterwards nothing is
    missing.
    """
    params = tmp_path / "params.json"
    params.write_text(json.dumps(topics.params(tmp_path, batch_rows=40)), encoding="utf-8")
    topics.produce(traffic(CONTRACT, 600, 4, T0))
    wanted = len(expected(topics, CONTRACT).predictions)
    # Above the size of a transaction marker, or the broker could not even end an aborted one.
    topics.limit("predictions", 1_000)
    worker = start(params, 0)
    followed = topics.follow("predictions")
    deadline = time.monotonic() + 120
    seen = 0
    try:
        # Aborts show as records that only readers of uncommitted records could see: the history's.
        while not topics.read("history", committed=False):
            assert time.monotonic() < deadline and worker.poll() is None
        topics.limit("predictions", 1_048_588)
        while seen < wanted:
            assert time.monotonic() < deadline and worker.poll() is None, f"{seen} of {wanted}"
            seen += next(followed) is not None
        worker.send_signal(signal.SIGTERM)
        end = json.loads(worker.communicate(timeout=30)[0])
    finally:
        followed.close()
        worker.kill()
        worker.wait()
    assert end["counters"]["aborts"] >= 1 and end["counters"]["restores"] >= 2
    check(topics)


@pytest.mark.cluster
def test_a_record_refused_while_others_are_enqueued_ends_the_transaction_only(topics: Topics) -> None:
    """The error then comes from the next produce(), not from the commit."""
    topics.limit("predictions", 1_000)
    producer = Producer({"bootstrap.servers": topics.bootstrap, "transactional.id": topics.namespace, "linger.ms": 0})
    producer.init_transactions(30)
    producer.begin_transaction()
    refused: list[KafkaError | None] = []
    producer.produce(topics.names["predictions"], bytes(5_000), on_delivery=lambda error, _: refused.append(error))
    deadline = time.monotonic() + 30
    while not refused:
        assert time.monotonic() < deadline
        producer.poll(0.1)
    assert refused[0] is not None and refused[0].code() == KafkaError.MSG_SIZE_TOO_LARGE
    with pytest.raises(KafkaException) as next_one:
        producer.produce(topics.names["history"], b"small", b"key")
    reason = next_one.value.args[0]
    assert not reason.txn_requires_abort() and aborts(reason)
    producer.abort_transaction(30)
    producer.begin_transaction()
    producer.produce(topics.names["history"], b"small", b"key")
    producer.commit_transaction(30)
    assert [m.value() for m in topics.read("history")] == [b"small"]
