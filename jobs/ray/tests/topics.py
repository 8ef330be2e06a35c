"""One namespace of topics for the proofs against a real broker: made, filled with features, read back. Test support
only.

Schema ids are arbitrary numbers: the jobs get every writer schema in their parameters, so no registry is needed here.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)
from ray_jobs.generated.contract import Contract
from ray_jobs.generated.params import InferParams
from ray_jobs.kit.io import BadRecord, Decoder, Encoder
from ray_jobs.stream.predict import Codecs, Incoming, Names, Scorer
from tests.compacted import compacted, scored
from tests.feature_rows import row
from tests.heard import HeardFold
from tests.scores import FakeModel

PARTITIONS = 4
IDS = {
    "features": 101,
    "history": 102,
    "predictions": 103,
    "rejects": 104,
    "model_events": 105,
    "verifications": 106,
    "anomalies": 107,
}


def decoders_of(contract: Contract) -> dict[str, Decoder]:
    schemas = contract.schemas
    return {what: Decoder({str(IDS[what]): schemas[what]}, schemas[what]) for what in IDS if what in schemas}


def codecs_of(contract: Contract) -> Codecs:
    schemas = contract.schemas
    return Codecs(
        features=decoders_of(contract)["features"],
        predictions=Encoder(schemas["predictions"], IDS["predictions"]),
        verifications=Encoder(schemas["verifications"], IDS["verifications"]),
        history=Encoder(schemas["history"], IDS["history"]),
        rejects=Encoder(schemas["rejects"], IDS["rejects"]),
        anomalies=Encoder(schemas["anomalies"], IDS["anomalies"]) if "anomalies" in schemas else None,
    )


def usable(values: Iterable[bytes | None], decoder: Decoder) -> Iterator[dict[str, Any]]:
    """The records that can be read."""
    for value in values:
        with suppress(BadRecord):
            yield decoder(value)


class Topics:
    """The topics of one random namespace on a broker."""

    def __init__(self, contract: Contract, bootstrap: str) -> None:
        self.contract = contract
        self.bootstrap = bootstrap
        self.namespace = f"t{uuid.uuid4().hex[:8]}"
        base = f"{self.namespace}-{contract.pipeline}"
        kinds = ("features", "history", "predictions", "verifications", "anomalies", "rejects")
        self.names = {name: f"{base}-{name}" for name in kinds}
        self.names["model_events"] = f"{self.namespace}-model-events"
        admin = AdminClient({"bootstrap.servers": bootstrap})
        appended = {"message.timestamp.type": "LogAppendTime"}
        wanted = [
            NewTopic(
                name,
                num_partitions=1 if what == "model_events" else PARTITIONS,
                replication_factor=1,
                config=appended | ({"cleanup.policy": "compact"} if what in ("history", "model_events") else {}),
            )
            for what, name in self.names.items()
        ]
        for future in admin.create_topics(wanted).values():
            future.result(timeout=30)
        self.decoders = decoders_of(contract)

    def clear(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for future in admin.delete_topics(list(self.names.values())).values():
            future.result(timeout=30)

    def params(self, cache: Path, **changes: Any) -> dict[str, Any]:
        """Parameters of the job as the supervisor would write them."""
        names, schemas = self.names, self.contract.schemas
        return {
            "namespace": self.namespace,
            "job": f"{self.contract.pipeline}-infer",
            "submission": "proof",
            "fingerprint": self.contract.fingerprint,
            "kafka": {"bootstrap": self.bootstrap, "properties": {}, "secrets_path": None},
            "progress_topic": None,
            "progress_schema_id": 0,
            "features_topic": names["features"],
            "history_topic": names["history"],
            "predictions_topic": names["predictions"],
            "verifications_topic": names["verifications"],
            "anomalies_topic": names["anomalies"],
            "rejects_topic": names["rejects"],
            "model_events_topic": names["model_events"],
            "features_schemas": {str(IDS["features"]): schemas["features"]},
            "history_schemas": {str(IDS["history"]): schemas["history"]},
            "model_events_schemas": {str(IDS["model_events"]): schemas["model_events"]},
            "history_schema_id": IDS["history"],
            "predictions_schema_id": IDS["predictions"],
            "verifications_schema_id": IDS["verifications"],
            "anomalies_schema_id": IDS["anomalies"],
            "rejects_schema_id": IDS["rejects"],
            "group_id": f"{self.namespace}-ray-ml-inference",
            "transactional_id": f"{self.namespace}-{self.contract.pipeline}-infer",
            "mlflow_uri": "http://127.0.0.1:1",
            "model_name": f"{self.namespace}-{self.contract.pipeline}",
            "model_cache": str(cache),
            "actors": 1,
            "poll_ms": 50,
            "batch_rows": 500,
            "arm": "champion",
        } | changes

    def produce(self, rows: list[tuple[str, bytes]]) -> None:
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "linger.ms": 5,
            }
        )
        for key, value in rows:
            producer.produce(self.names["features"], value, key)
            producer.poll(0)
        assert producer.flush(60) == 0

    def read(self, what: str, *, committed: bool = True) -> list[Message]:
        """Everything in a topic up to its end, in offset order a partition."""
        with_eof = {
            "enable.partition.eof": True,
            "isolation.level": "read_committed" if committed else "read_uncommitted",
        }
        consumer = Consumer(
            {"bootstrap.servers": self.bootstrap, "group.id": "proof", "auto.offset.reset": "earliest"} | with_eof
        )
        count = 1 if what == "model_events" else PARTITIONS
        consumer.assign([TopicPartition(self.names[what], p, 0) for p in range(count)])
        out: list[Message] = []
        ended: set[int] = set()
        deadline = time.monotonic() + 120
        while len(ended) < count:
            assert time.monotonic() < deadline, f"reading {what} did not end"
            for message in consumer.consume(5_000, 1.0):
                error = message.error()
                if error is None:
                    out.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    ended.add(message.partition() or 0)
        consumer.close()
        return out

    def limit(self, what: str, largest_bytes: int) -> None:
        """Sets the largest record a topic takes, and returns once every partition refuses a larger one.

        The controller agrees before the broker goes by it: a record sent right away could still be taken. So larger
        ones are sent until each partition has refused one; a raised limit, refused before too, is not waited for.
        """
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        entry = ConfigEntry("max.message.bytes", str(largest_bytes), incremental_operation=AlterConfigOpType.SET)
        topic = ConfigResource(ResourceType.TOPIC, self.names[what], incremental_configs=[entry])
        for future in admin.incremental_alter_configs([topic]).values():
            future.result(timeout=30)
        own = {"transactional.id": f"{self.namespace}-limit", "message.max.bytes": 2 * largest_bytes}
        probe = Producer({"bootstrap.servers": self.bootstrap} | own)
        probe.init_transactions(30)
        deadline = time.monotonic() + 30
        answer: list[KafkaError | None] = []
        for partition in range(PARTITIONS):
            answer.clear()
            while not (answer and answer[0] and answer[0].code() == KafkaError.MSG_SIZE_TOO_LARGE):
                assert time.monotonic() < deadline, f"{what}-{partition} still takes {largest_bytes} bytes: {answer}"
                answer.clear()
                # Aborted, one record each: what was taken is seen by nobody who reads committed.
                probe.begin_transaction()
                probe.produce(
                    self.names[what],
                    bytes(largest_bytes),
                    partition=partition,
                    on_delivery=lambda error, _: answer.append(error),
                )
                probe.flush(10)
                probe.abort_transaction(30)

    def forget(self, count: int) -> int:
        """Deletes the oldest `count` feature records of each partition, as retention would; how many that were."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        ends = Counter(m.partition() or 0 for m in self.read("features"))
        cuts = {p: min(count, end) for p, end in ends.items()}
        wanted = [TopicPartition(self.names["features"], p, cut) for p, cut in cuts.items()]
        for future in admin.delete_records(wanted).values():
            future.result(timeout=30)
        return sum(cuts.values())

    def shares(self, group: str) -> list[int]:
        """How many partitions each member of a consumer group has."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        described = admin.describe_consumer_groups([group], request_timeout=10)[group].result()
        return [len(member.assignment.topic_partitions) for member in described.members]

    def follow(self, what: str) -> Iterator[Message | None]:
        """Committed records of a topic as they come; None when nothing came for a moment. Close the generator when
        done.
        """
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "proof",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 50,
            }
        )
        consumer.assign([TopicPartition(self.names[what], p, 0) for p in range(PARTITIONS)])
        try:
            while True:
                message = consumer.poll(0.05)
                yield None if message is None or message.error() is not None else message
        finally:
            consumer.close()


def traffic(contract: Contract, rows: int, seed: int, start_ms: int) -> list[tuple[str, bytes]]:
    """Feature records of five stations: gaps, late rows, revisions, repeats, and one in a hundred unusable."""
    rng = np.random.default_rng(seed)
    encode = Encoder(contract.schemas["features"], IDS["features"])
    stations = dict.fromkeys(("new-york", "boston", "chicago", "miami", "denver"), start_ms)
    out: list[tuple[str, bytes]] = []
    gaps = np.array([1, 1, 1, 10, 60, 180, -5, 0]) * contract.slide_ms
    for i in range(rows):
        station = list(stations)[int(rng.integers(len(stations)))]
        gap = int(rng.choice(gaps))
        t = stations[station] + gap
        stations[station] = max(stations[station], t)
        values = {f.column: None if rng.random() < 0.05 else float(rng.normal()) for f in contract.features}
        value = encode(row(contract, station, t, 1, i // 3, values))
        if rng.random() < 0.01:
            value = value[: len(value) // 2]
        out.append((station, value))
    return out


class Expected(NamedTuple):
    """What one run without any kill makes of the features in the topic."""

    predictions: list[dict[str, Any]]
    verifications: list[dict[str, Any]]
    anomalies: list[dict[str, Any]]
    history: dict[tuple[int, bytes], bytes]
    rejected: set[tuple[int, int]]


def expected(topics: Topics, contract: Contract, heard: Iterable[dict[str, Any]] = ()) -> Expected:
    """`heard`: the predictions whose neighbours this run is to hear; without them it hears what its own order says."""
    names = Names(topics.namespace, topics.names["features"], "champion")
    scorer = Scorer(contract, names, codecs_of(contract), lambda: 0)
    if heard:
        scorer.fold = HeardFold(contract, heard)
    batch = [
        Incoming(m.partition() or 0, m.offset() or 0, m.timestamp()[1], m.key(), m.value(), {})  # type: ignore[arg-type]
        for m in topics.read("features")
    ]
    out = scored(scorer, batch, FakeModel(contract, "1"), [0] * PARTITIONS)
    rejected = [topics.decoders["rejects"](value) for _, value in out.rejects]
    return Expected(
        [topics.decoders["predictions"](value) for _, value in out.predictions],
        [topics.decoders["verifications"](value) for _, value in out.verifications],
        [topics.decoders["anomalies"](value) for _, value in out.anomalies],
        compacted(out.history),
        {(r["partition"], r["offset"]) for r in rejected},
    )


def parse(params: dict[str, Any]) -> InferParams:
    return InferParams.parse(params)
