"""Judges what the whole line has committed in one namespace: nothing lost, nothing doubled, every window right.

Reads the topics of a run that is over or about to be (it waits until the last observation has come through) and
compares them with the file that was sent, with oracle.py over the raw topic, and with one pass of the scorer over the
feature topic, which is a run without kills. Kills nobody and starts nothing. `python -m tests.line_check
ARGUMENTS.json` (see Arguments) prints one JSON line and leaves with 1 when something is wrong.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec
from ray_jobs.detect.events import OPEN
from ray_jobs.fold.fold import Fold
from ray_jobs.generated.contract import Contract
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.kit import registry
from ray_jobs.kit.io import Decoder, Encoder
from ray_jobs.ledger.verify import LEDGERS
from ray_jobs.model import heads as models
from ray_jobs.state.changelog import kind_of
from ray_jobs.state.ring import CURSOR, StationState
from ray_jobs.stream.predict import Codecs, Incoming, Names, Scorer
from ray_jobs.stream.worker import restore
from tests.compacted import compacted, scored
from tests.heard import HeardFold, heard, rows_of, wrong_heard

sys.path.append(str(Path(__file__).resolve().parents[2] / "pyspark"))
from spark_jobs.certify import oracle

SCHEMA_OF = {"raw": "observation"}
# Of the run itself: when it happened, and how far the actor had read the history of others.
OF_THE_RUN = ("stages",)
SHOWN = 40
COUNTED = (
    "rows",
    "predicted",
    "skipped",
    "expired",
    "rejected",
    "verified",
    "unverifiable",
    "beyond_support",
    "evicted",
)


@dataclass(frozen=True)
class Arguments:
    """From a JSON file with all keys. `tables`: topic -> schema id -> Avro JSON; `writers`: topic -> schema id.
    `sample` is the file that was sent, `sent` how many of its rows by the source's cursor.
    """

    bootstrap: str
    mlflow: str
    model: str
    model_cache: str
    namespace: str
    topics: dict[str, str]
    tables: dict[str, dict[str, str]]
    writers: dict[str, int]
    group: str
    arm: str
    sample: str
    sent: int
    deadline_s: float


class Line:
    """The topics of one namespace, decoded."""

    def __init__(self, arguments: Arguments, contract: Contract) -> None:
        self.arguments = arguments
        self.contract = contract
        self.admin = AdminClient({"bootstrap.servers": arguments.bootstrap})
        self.decoders = {
            what: Decoder(table, contract.schemas[SCHEMA_OF.get(what, what)])
            for what, table in arguments.tables.items()
        }

    def consumer(self, **settings: Any) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.arguments.bootstrap,
                "group.id": f"{self.arguments.namespace}-check",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
            }
            | settings
        )

    def partitions(self, what: str) -> list[int]:
        topic = self.arguments.topics[what]
        return sorted(self.admin.list_topics(topic, timeout=30).topics[topic].partitions)

    def follow(self, what: str, until_end: bool) -> Iterator[list[Message]]:
        """Committed records in offset order a partition; with `until_end` up to what is decided, else for ever."""
        partitions = self.partitions(what)
        consumer = self.consumer(**{"enable.partition.eof": True})
        topic = self.arguments.topics[what]
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
        ended: set[int] = set()
        try:
            while not until_end or len(ended) < len(partitions):
                found = consumer.consume(10_000, 0.5)
                errors = [m for m in found if m.error() is not None]
                for message in errors:
                    if message.error().code() != KafkaError._PARTITION_EOF:  # type: ignore[union-attr]
                        raise RuntimeError(f"cannot read {topic}: {message.error()}")
                    ended.add(message.partition() or 0)
                yield [m for m in found if m.error() is None]
        finally:
            consumer.close()

    def read(self, what: str) -> list[Message]:
        return [message for some in self.follow(what, True) for message in some]

    def decoded(self, what: str, messages: Iterable[Message]) -> Iterator[tuple[Message, dict[str, Any]]]:
        decoder = self.decoders[what]
        return ((m, decoder(m.value())) for m in messages)

    def ends(self, what: str) -> dict[int, int]:
        topic = self.arguments.topics[what]
        wanted = {TopicPartition(topic, p): OffsetSpec.latest() for p in self.partitions(what)}
        return {tp.partition: future.result().offset for tp, future in self.admin.list_offsets(wanted).items()}

    def committed(self) -> dict[int, int | None]:
        topic = self.arguments.topics["features"]
        asked = ConsumerGroupTopicPartitions(
            self.arguments.group, [TopicPartition(topic, p) for p in self.partitions("features")]
        )
        (future,) = self.admin.list_consumer_group_offsets([asked]).values()
        return {tp.partition: tp.offset if tp.offset >= 0 else None for tp in future.result().topic_partitions}


def sent(path: Path, contract: Contract) -> list[dict[str, Any]]:
    """The rows of a CSV file; times as epoch milliseconds, an empty cell is None."""
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as lines:
        return [
            {
                contract.key: row[contract.key],
                "event_time": round(datetime.fromisoformat(row[contract.event_time]).timestamp() * 1000),
            }
            | {f.name: float(row[f.name]) if row[f.name] else None for f in contract.measured}
            for row in csv.DictReader(lines)
        ]


def observations(line: Line) -> list[oracle.Observation]:
    contract = line.contract
    return [
        {name: o[name] for name in (contract.key, *(f.name for f in contract.measured))}
        | {
            "event_time": o[contract.event_time],
            "raw_partition": m.partition(),
            "raw_offset": m.offset(),
            "append_time": m.timestamp()[1],
        }
        for m, o in line.decoded("raw", line.read("raw"))
    ]


def wrong_raw(raw: list[oracle.Observation], rows: list[dict[str, Any]], contract: Contract) -> Iterator[str]:
    """The raw topic holds every row once, with its values, and no other."""

    def identity(o: oracle.Observation) -> tuple[Any, ...]:
        return (o[contract.key], o["event_time"], *(o[f.name] for f in contract.measured))

    wanted = Counter(map(identity, rows))
    got = Counter(map(identity, raw))
    yield from (f"raw: lost {n} of {i}" for i, n in (wanted - got).items())
    yield from (f"raw: {n} too many of {i}" for i, n in (got - wanted).items())


def await_features(line: Line, wanted: dict[tuple[str, int], oracle.Row], deadline: float) -> None:
    """Returns once every window has a row of its last revision, or at the deadline: the comparison says what lacks."""
    open_windows = {at: row["revision"] for at, row in wanted.items()}
    for some in line.follow("features", False):
        for _, row in line.decoded("features", some):
            at = (row[line.contract.key], row["window_end"])
            if row["revision"] >= open_windows.get(at, 1 << 62):
                del open_windows[at]
        if not open_windows or time.monotonic() > deadline:
            return


def await_covered(line: Line, deadline: float) -> Iterator[str]:
    """The group's committed offsets are the ends of the feature topic."""
    while True:
        ends, committed = line.ends("features"), line.committed()
        if ends == {p: o or 0 for p, o in committed.items()}:
            return
        if time.monotonic() > deadline:
            yield f"features: the group's committed offsets are {committed}, the topic ends at {ends}"
            return
        time.sleep(0.2)


def check_windows(line: Line, features: list[Message], wanted: dict[tuple[str, int], oracle.Row]) -> list[str]:
    """The last version of each window equals the oracle; none is missing, none is extra."""
    last: dict[tuple[str, int], dict[str, Any]] = {}
    for _, row in line.decoded("features", features):
        at = (row[line.contract.key], row["window_end"])
        held = last.get(at)
        if held is None or (row["plan_epoch"], row["revision"]) >= (held["plan_epoch"], held["revision"]):
            last[at] = row
    return [f"window {text}" for text in oracle.differences(last, wanted)]


def check_rejects(line: Line, raw: list[oracle.Observation]) -> tuple[list[str], int]:
    """Every value out of its range has its reject and nothing else has one; repeats of one identity are counted."""
    topics = line.arguments.topics
    wanted = {
        (topics["raw"], o["raw_partition"], o["raw_offset"], f.name)
        for o in raw
        for f in line.contract.measured
        if o[f.name] is not None and not oracle.in_range(o[f.name], f.range)
    }
    got = Counter(
        (r["topic"], r["partition"], r["offset"], r["field"]) for _, r in line.decoded("rejects", line.read("rejects"))
    )
    wrong = [f"reject missing: {i}" for i in wanted - got.keys()] + [f"reject extra: {i}" for i in got.keys() - wanted]
    return wrong, sum(got.values()) - len(got)


def check_predictions(line: Line, features: list[Message], summary: dict[str, Any]) -> Iterator[str]:
    """What one pass over the feature topic makes is what was committed: every offset covered once, every prediction and
    every verification once, the history and the state restored from it the same.
    """
    arguments, contract = line.arguments, line.contract
    fold = Fold(contract)
    version, folder = registry.champion(arguments.mlflow, arguments.model, arguments.model_cache)
    champion = models.load(folder, contract, fold.input_names, fold.input_units, version)
    schemas, ids = contract.schemas, arguments.writers
    codecs = Codecs(
        features=line.decoders["features"],
        predictions=Encoder(schemas["predictions"], ids["predictions"]),
        verifications=Encoder(schemas["verifications"], ids["verifications"]),
        history=Encoder(schemas["history"], ids["history"]),
        rejects=Encoder(schemas["rejects"], ids["rejects"]),
        anomalies=Encoder(schemas["anomalies"], ids["anomalies"]),
    )
    names = Names(arguments.namespace, arguments.topics["features"], arguments.arm)
    scorer = Scorer(contract, names, codecs, lambda: 0)
    batch = [
        Incoming(m.partition() or 0, m.offset() or 0, m.timestamp()[1], m.key(), m.value(), {})  # type: ignore[arg-type]
        for m in features
    ]
    got = [p for _, p in line.decoded("predictions", line.read("predictions"))]
    rows = rows_of(contract, (row for _, row in line.decoded("features", features)))
    yield from wrong_heard(contract, got, rows)
    summary["heard"] = sum(1 for p in got for _ in heard(contract, fold, p))
    summary["moved_by_neighbours"] = moved_by_neighbours(got, champion, contract, fold.own_inputs)
    if not summary["moved_by_neighbours"]:
        yield "predictions: none depends on a neighbour, so this run shows nothing about them"
    scorer.fold = HeardFold(contract, got)
    outcome = scored(scorer, batch, champion, [])
    for count in COUNTED:
        summary[count] = getattr(outcome, count)
    decode = line.decoders["predictions"]
    yield from wrong_predictions(
        got,
        [decode(value) for _, value in outcome.predictions],
    )
    decode = line.decoders["verifications"]
    yield from wrong_verifications(
        [v for _, v in line.decoded("verifications", line.read("verifications"))],
        [decode(value) for _, value in outcome.verifications],
    )
    decode = line.decoders["anomalies"]
    turns = [a for _, a in line.decoded("anomalies", line.read("anomalies"))]
    summary["anomaly_turns"] = len(turns)
    yield from wrong_turns(turns, [decode(value) for _, value in outcome.anomalies])
    decode = line.decoders["history"]
    committed = [
        (m.partition() or 0, m.key() or b"", m.value(), None if m.value() is None else decode(m.value()))
        for m in line.read("history")
    ]
    unbroken = compacted(outcome.history)
    summary["history_keys"] = len(unbroken)
    yield from wrong_history(committed, unbroken)  # type: ignore[arg-type]
    restored = restore(
        contract,
        line.decoders["history"],
        lambda: line.consumer(**{"enable.partition.eof": True}),
        line.committed,
        arguments.topics["history"],
        line.partitions("history"),
        60.0,
    )
    found = {p: r.states for p, (r, _) in restored.items()}
    live = [state.live(contract.ring_cells) for states in found.values() for state in states.values()]
    summary["restored_cells"] = sum(map(len, live))
    yield from wrong_states(remembered(found, contract), remembered(scorer.states, contract))


def moved_by_neighbours(
    predictions: list[dict[str, Any]], champion: models.Model, contract: Contract, own_inputs: int
) -> int:
    """How many forecasts would differ had the station heard of nobody."""
    if not predictions:
        return 0
    stations = [p[contract.key] for p in predictions]
    t_ms = np.array([p["timestamp"] for p in predictions], dtype=np.int64)
    inputs = np.array([p["inputs"] for p in predictions], dtype=np.float64)
    alone = inputs.copy()
    alone[:, own_inputs:] = np.nan
    with_them, by_itself = (champion.forecast(stations, t_ms, x).heads for x in (inputs, alone))
    differ = ~np.isclose(with_them, by_itself, rtol=0, atol=0, equal_nan=True)
    return int(differ.any(axis=(1, 2, 3)).sum())


def remembered(states: dict[int, dict[str, StationState]], contract: Contract) -> dict[tuple[int, str], Any]:
    """Everything in the state of each station that a restore has to bring back."""
    return {
        (p, station): (
            sorted(state.live(contract.ring_cells).items()),
            sorted((OPEN.of(state) or {}).items()),
            [(arm, ledger.remembered()) for arm, ledger in sorted((LEDGERS.of(state) or {}).items())],
        )
        for p, of_partition in states.items()
        for station, state in of_partition.items()
    }


def wrong_predictions(got: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> Iterator[str]:
    """Each wanted id committed once with the same content, and no other. Changes the provenance of `wanted`."""
    by_id = {p["id"]: p for p in wanted}
    seen = Counter(p["id"] for p in got)
    yield from (f"prediction {i}: committed {n} times" for i, n in seen.items() if n > 1)
    yield from (f"prediction {i}: never committed" for i in by_id.keys() - seen.keys())
    yield from (f"prediction {i}: no run without kills makes it" for i in seen.keys() - by_id.keys())
    for prediction in got:
        other = by_id.get(prediction["id"])
        if other is None:
            continue
        other["provenance"]["history_offsets"] = prediction["provenance"]["history_offsets"]
        for name in prediction.keys() - set(OF_THE_RUN):
            # As text: NaN equals NaN.
            if repr(prediction[name]) != repr(other[name]):
                yield f"prediction {prediction['id']} {name}: {prediction[name]!r}, without kills {other[name]!r}"


def wrong_verifications(got: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> Iterator[str]:
    """Each truth taken once, with what a run without kills says of it."""
    by_id = {v["id"]: v for v in wanted}
    seen = Counter(v["id"] for v in got)
    yield from (f"verification {i}: committed {n} times" for i, n in seen.items() if n > 1)
    yield from (f"verification {i}: never committed" for i in by_id.keys() - seen.keys())
    yield from (f"verification {i}: no run without kills makes it" for i in seen.keys() - by_id.keys())
    for one in got:
        other = by_id.get(one["id"])
        if other is not None and repr(one) != repr(other):
            yield f"verification {one['id']}: {one!r}, without kills {other!r}"


def wrong_turns(got: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> Iterator[str]:
    """Each turn in the life of an anomaly once, in the order of its life, as a run without kills makes it."""
    lives: dict[str, tuple[list[str], list[str]]] = {}
    for side, turns in enumerate((got, wanted)):
        for one in turns:
            lives.setdefault(one["id"], ([], []))[side].append(repr(one))
    yield from (f"anomaly {i}: {life}, without kills {other}" for i, (life, other) in lives.items() if life != other)


def wrong_history(
    committed: Iterable[tuple[int, bytes, bytes | None, dict[str, Any] | None]],
    unbroken: dict[tuple[int, bytes], bytes],
) -> Iterator[str]:
    """The last value of each key is that of a run without kills, what that run has forgotten is forgotten, and no
    feature offset was covered twice: the cursors of a partition only rise. `committed`: (partition, key, value, record)
    in order, tombstones with neither.
    """
    committed = list(committed)
    latest = compacted((partition, key, value) for partition, key, value, _ in committed)
    cursors: dict[int, int] = {}
    for partition, _, _, record in committed:
        if record is not None and kind_of(record) == CURSOR:
            if record["next_offset"] <= cursors.get(partition, 0):
                yield f"history: partition {partition} covers {record['next_offset']} after {cursors[partition]}"
            cursors[partition] = record["next_offset"]
    yield from (f"history {at}: missing" for at in unbroken.keys() - latest.keys())
    yield from (f"history {at}: extra" for at in latest.keys() - unbroken.keys())
    yield from (f"history {at}: differs" for at in latest.keys() & unbroken.keys() if latest[at] != unbroken[at])


def wrong_states(got: dict[tuple[int, str], Any], wanted: dict[tuple[int, str], Any]) -> Iterator[str]:
    """What a restore finds is what a run without kills remembers."""
    yield from (f"restored {at}: missing" for at in wanted.keys() - got.keys())
    yield from (f"restored {at}: extra" for at in got.keys() - wanted.keys())
    # As text: NaN equals NaN.
    yield from (
        f"restored {at}: its cells or forecasts differ"
        for at in got.keys() & wanted.keys()
        if repr(got[at]) != repr(wanted[at])
    )


def check(arguments: Arguments, contract: Contract) -> tuple[dict[str, Any], list[str]]:
    """Counts of what was compared, and one line for each thing that is wrong."""
    line = Line(arguments, contract)
    deadline = time.monotonic() + arguments.deadline_s
    raw = observations(line)
    wanted = oracle.feature_rows(raw, contract)
    await_features(line, wanted, deadline)
    wrong = list(await_covered(line, deadline))
    wrong += wrong_raw(raw, sent(Path(arguments.sample), contract)[: arguments.sent], contract)
    features = line.read("features")
    wrong += check_windows(line, features, wanted)
    summary: dict[str, Any] = {"observations": len(raw), "windows": len(wanted), "features": len(features)}
    rejects, repeated = check_rejects(line, raw)
    wrong += rejects
    wrong += check_predictions(line, features, summary)
    return summary | {"rejects_repeated": repeated}, wrong


def main() -> None:
    arguments = Arguments(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    summary, wrong = check(arguments, CONTRACT)
    print(json.dumps(summary | {"wrong": len(wrong), "first_wrong": [line[:600] for line in wrong[:SHOWN]]}))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
