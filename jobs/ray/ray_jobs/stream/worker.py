"""One actor's loop against Kafka: poll, score a batch, commit predictions, history and offsets in one transaction
(KIP-447).

Between infer.py (Ray) and predict.py (pure). The only file of the Ray jobs that knows consumers and producers. Decides
nothing about features or forecasts.

A partition's life: assigned -> its history is read to the committed offset -> polled, scored, committed in batches ->
revoked, its state dropped. The assignment is eager (all partitions are given back before new ones are taken), so a
rebalance never meets a state that belongs to someone else. What can go wrong with a transaction:
  retriable   the same call again, within a deadline
  abortable   abort, drop the states, restore them from the history, go on from the committed offsets
  fatal       Failed is raised and the process must be left: a younger incarnation of the slot has taken over, or Kafka
  is gone
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import confluent_kafka as kafka
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from ray_jobs.generated.contract import Contract
from ray_jobs.generated.params import InferParams
from ray_jobs.kit.io import BadRecord, Decoder, Encoder
from ray_jobs.kit.transactions import aborts, patiently
from ray_jobs.model.champion import Champion, Scores
from ray_jobs.state import ring
from ray_jobs.state.batch import Incoming, Outcome
from ray_jobs.state.history import GlobalTable, Restoration
from ray_jobs.stream.encode import Codecs, Names
from ray_jobs.stream.predict import Scorer
from ray_jobs.stream.stages import records_of

# One limit for everything that holds others back: an open transaction stops every reader of committed records behind
# it.
TRANSACTION_MS = 10_000
# How long a call is tried again before the slot gives up its process; then Kafka has been gone for half a minute.
CALL_S = 30.0
# A restore reads up to some million small records; without an end it would hide a cursor that never comes.
RESTORE_S = 120.0
# A model that is not there yet is asked for this often; an alias move announces itself.
LOOK_S = 2.0
# Rows of one Spark micro-batch arrive within a few ms of each other; waiting for them saves a transaction each.
GATHER_S = 0.004
# Aborted transactions in a row before the slot gives up its process: the same batch would be aborted for ever.
ABORTS = 20
# Bound on what is read of other tables between two batches.
FOLLOW_ROWS = 2_000
# librdkafka's word for "by the key": RD_KAFKA_PARTITION_UA.
ANY_PARTITION = -1


class Failed(Exception):
    """The loop cannot go on in this process. The text says why."""


class Status:
    """What the loop says of itself; written by its thread, copied by the control methods."""

    def __init__(self) -> None:
        self.state = "starting"
        self.message: str | None = None
        self.counters: dict[str, float] = {}
        self.beat_ms = 0
        # When the call under way to the transactions' coordinator or the group's began; 0 for none.
        self.call_began_ms = 0

    def add(self, name: str, value: float) -> None:
        self.counters[name] = self.counters.get(name, 0.0) + value

    def set(self, name: str, value: float) -> None:
        self.counters[name] = value

    def copy(self) -> dict[str, Any]:
        began_ms = self.call_began_ms
        return {
            "state": self.state,
            "message": self.message,
            "beat_ms": self.beat_ms,
            "call_ms": now_ms() - began_ms if began_ms else 0,
            "counters": dict(self.counters),
        }


class Worker:
    """The loop of one slot. `access` is what kafka_config made: bootstrap and credentials, nothing of ours."""

    def __init__(
        self,
        contract: Contract,
        params: InferParams,
        access: dict[str, Any],
        slot: int,
        champion: Champion,
        stopping: Callable[[], bool],
        status: Status,
    ) -> None:
        self._contract = contract
        self._params = params
        self._access = access
        self._slot = slot
        self._champion = champion
        self._stopping = stopping
        self._status = status
        self._history = Decoder(params.history_schemas, contract.schemas["history"])
        self._model_events = Decoder(params.model_events_schemas, contract.schemas["model_events"])
        self._scorer = Scorer(
            contract,
            Names(params.namespace, params.features_topic, params.arm),
            Codecs(
                features=Decoder(params.features_schemas, contract.schemas["features"]),
                predictions=Encoder(contract.schemas["predictions"], params.predictions_schema_id),
                verifications=Encoder(contract.schemas["verifications"], params.verifications_schema_id),
                history=Encoder(contract.schemas["history"], params.history_schema_id),
                rejects=Encoder(contract.schemas["rejects"], params.rejects_schema_id),
                anomalies=None
                if params.anomalies_schema_id is None
                else Encoder(contract.schemas["anomalies"], params.anomalies_schema_id),
            ),
            now_ms,
        )
        self._next: dict[int, int] = {}
        self._generation = 0
        self._failure: BaseException | None = None
        self._aborts_in_a_row = 0
        self._worst_ms = {"batch_ms": 0.0, "feature_to_commit_ms": 0.0}
        self._worst_since = time.monotonic()

    def run(self) -> None:
        """Runs until `stopping`, then leaves with every batch committed. Errors: Failed, KafkaException."""
        producer = Producer(
            self._access
            | {
                "transactional.id": f"{self._params.transactional_id}-{self._slot}",
                "transaction.timeout.ms": TRANSACTION_MS,
                # Below the transaction's own limit, or the broker ends it while records are still on their way.
                "message.timeout.ms": TRANSACTION_MS - 1_000,
                "socket.timeout.ms": TRANSACTION_MS - 1_000,
                "linger.ms": 1,
                "compression.type": "snappy",
                "partitioner": "murmur2_random",
                "queue.buffering.max.messages": 200_000,
            }
        )
        # Fences an older incarnation of the slot and aborts what it left open, before anything is read.
        self._patiently(lambda: producer.init_transactions(TRANSACTION_MS / 1000))
        self._follower = self._consumer("follower", {"auto.offset.reset": "earliest"})
        try:
            self._table = GlobalTable(self._contract, self._partitions(self._params.history_topic))
            self._scorer.others = self._table
            partitions = range(len(self._table.offsets))
            self._follower.assign(
                [TopicPartition(self._params.history_topic, p, kafka.OFFSET_BEGINNING) for p in partitions]
                + [TopicPartition(self._params.model_events_topic, 0, kafka.OFFSET_BEGINNING)]
            )
            if self._wait_for_model():
                self._loop(producer)
        finally:
            self._follower.close()
            self._status.state = "stopped"

    def _wait_for_model(self) -> bool:
        asked = 0.0
        while not self._stopping():
            if self._champion.take() is not None:
                return True
            self._status.message = (
                f'waiting for a champion of model "{self._params.model_name}"'
                f' at "{self._params.mlflow_uri}": {self._champion.refusal or "asking"}'
            )
            if not self._champion.looking and time.monotonic() - asked > LOOK_S:
                asked = time.monotonic()
                self._champion.refresh()
            self._follow(0.1)
            self._beat()
        return False

    def _loop(self, producer: Producer) -> None:
        params = self._params
        consumer = self._consumer(
            params.group_id,
            {
                "group.instance.id": f"{params.job}-{self._slot}",
                # A killed actor is back within seconds and is given the same partitions without a rebalance.
                "session.timeout.ms": 10_000,
                "heartbeat.interval.ms": 2_000,
                "max.poll.interval.ms": 300_000,
                "partition.assignment.strategy": "roundrobin",
                # Every start is given. When retention overtakes a running loop, the restart counts what was lost.
                "auto.offset.reset": "error",
            },
        )
        try:
            consumer.subscribe(
                [params.features_topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
            )
            self._status.state, self._status.message = "running", "waiting for partitions"
            while not self._stopping():
                self._follow(0.0)
                model = self._champion.take()
                assert model is not None, "the loop starts with a model and never drops it"
                batch = self._poll(consumer)
                while batch:
                    batch = self._transact(consumer, producer, batch, model)
                self._measure(consumer, model)
                self._beat()
        finally:
            # A static member does not leave the group: the next incarnation finds its partitions waiting.
            consumer.close()

    # Polling and partitions

    def _poll(self, consumer: Consumer) -> list[Incoming]:
        generation = self._generation
        first = consumer.poll(self._params.poll_ms / 1000)
        self._raise_failure()
        if first is None:
            return []
        messages = [first]
        if self._params.batch_rows > 1:
            messages += consumer.consume(self._params.batch_rows - 1, GATHER_S)
            self._raise_failure()
        if generation != self._generation:
            # Some of these may have come before the rebalance; the partitions of now are read again from where they
            # stand.
            self._read_from_next(consumer)
            return []
        batch: list[Incoming] = []
        for message in messages:
            error = message.error()
            if error is None:
                batch.append(_incoming(message))
            elif error.fatal() or not error.retriable():
                raise Failed(f"cannot read {self._params.features_topic}: {error}")
        return batch

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Restores before the first row is read. An exception must not cross librdkafka's callback: it waits in
        `_failure`.
        """
        self._generation += 1
        try:
            self._restore(consumer, [p.partition for p in partitions])
            self._read_from_next(consumer)
        except BaseException as error:
            self._failure = error
            consumer.assign([])

    def _revoked(self, consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._generation += 1
        self._scorer.states.clear()
        self._next.clear()
        consumer.unassign()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _read_from_next(self, consumer: Consumer) -> None:
        """Forgets what was fetched and reads on behind the last covered row; also legal where a seek is not yet."""
        consumer.assign([TopicPartition(self._params.features_topic, p, o) for p, o in self._next.items()])

    def _restore(self, consumer: Consumer, partitions: Sequence[int]) -> None:
        """Replaces the states by those of the history, and `_next` by the feature offsets that follow them."""
        began = time.monotonic()
        self._status.message = f"restoring {len(partitions)} partitions"
        restored = restore(
            self._contract,
            self._history,
            lambda: self._consumer(
                "restore", {"enable.partition.eof": True, "auto.offset.reset": "earliest", "fetch.wait.max.ms": 10}
            ),
            lambda: self._committed(consumer, partitions),
            self._params.history_topic,
            partitions,
            RESTORE_S,
        )
        self._scorer.states = {p: r.states for p, (r, _) in restored.items()}
        topic = self._params.features_topic
        self._next = {}
        for partition, (restoration, committed) in restored.items():
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=CALL_S, cached=False)
            start = restoration.start(committed)
            if start is not None and start < low:
                # Retention was faster than we: the rows are gone, and the count says so.
                self._status.add("lost_rows", low - start)
            elif start is not None and start > high:
                raise Failed(
                    f"the history says that offset {start} of {topic}/{partition} is next, but it ends at {high}:"
                    " the topic was made anew without its history"
                )
            self._next[partition] = low if start is None else max(start, low)
        self._status.add("restores", 1)
        self._status.set("restore_ms", (time.monotonic() - began) * 1000)
        self._status.set("restored_records", sum(r.records for r, _ in restored.values()))

    def _committed(self, consumer: Consumer, partitions: Sequence[int]) -> dict[int, int | None]:
        wanted = [TopicPartition(self._params.features_topic, p) for p in partitions]
        # Reading committed, librdkafka asks for stable offsets: a transaction still in flight is waited for, not
        # overlooked.
        answered: list[TopicPartition] = self._patiently(
            lambda: consumer.committed(wanted, timeout=TRANSACTION_MS / 1000)
        )
        for answer in answered:
            if answer.error is not None:
                raise Failed(f"cannot read the committed offset of {answer.topic}/{answer.partition}: {answer.error}")
        return {a.partition: a.offset if a.offset >= 0 else None for a in answered}

    # Transactions

    def _transact(self, consumer: Consumer, producer: Producer, batch: list[Incoming], model: Scores) -> list[Incoming]:
        """Commits one transaction; the rows that it does not cover and that were not given up to be read again."""
        began = time.monotonic()
        outcome = self._scorer.score(batch, model, self._table.offsets)
        try:
            producer.begin_transaction()
            self._produce(producer, outcome)
            offsets = [TopicPartition(self._params.features_topic, p, o) for p, o in outcome.next_offsets.items()]
            # None when the first row was preceded by so many evictions that they fill the transaction.
            if offsets:
                group = consumer.consumer_group_metadata()
                self._patiently(lambda: producer.send_offsets_to_transaction(offsets, group, TRANSACTION_MS / 1000))
            self._patiently(lambda: producer.commit_transaction(TRANSACTION_MS / 1000))
        except KafkaException as error:
            reason = error.args[0]
            if not aborts(reason):
                raise Failed(f"cannot commit a batch of {outcome.rows} rows: {reason}") from error
            self._patiently(lambda: producer.abort_transaction(TRANSACTION_MS / 1000))
            self._status.add("aborts", 1)
            self._aborts_in_a_row += 1
            if self._aborts_in_a_row > ABORTS:
                raise Failed(f"{self._aborts_in_a_row} transactions in a row were aborted: {reason}") from error
            self._restore(consumer, sorted(self._next))
            self._read_from_next(consumer)
            return []
        self._aborts_in_a_row = 0
        self._next.update(outcome.next_offsets)
        self._count(outcome, began, batch)
        return batch[outcome.rows :]

    def _produce(self, producer: Producer, outcome: Outcome) -> None:
        params = self._params
        for key, value in outcome.predictions:
            _enqueue(producer, params.predictions_topic, value, key)
        for key, value in outcome.verifications:
            _enqueue(producer, params.verifications_topic, value, key)
        for key, value in outcome.anomalies:
            assert params.anomalies_topic is not None, "an encoder comes with its topic"
            _enqueue(producer, params.anomalies_topic, value, key)
        for partition, key, change in outcome.history:
            _enqueue(producer, params.history_topic, change, key, partition)
        for reject_key, value in outcome.rejects:
            _enqueue(producer, params.rejects_topic, value, reject_key)

    def _patiently(self, call: Callable[[], Any]) -> Any:
        def once() -> Any:
            self._status.call_began_ms = now_ms()
            try:
                return call()
            finally:
                self._status.call_began_ms = 0

        return patiently(once, CALL_S)

    # What is said about it

    def _count(self, outcome: Outcome, began: float, batch: list[Incoming]) -> None:
        status = self._status
        for name in (
            "rows",
            "predicted",
            "skipped",
            "expired",
            "rejected",
            "verified",
            "unverifiable",
            "beyond_support",
            "evicted",
            "opened",
            "confirmed",
            "resolved",
        ):
            status.add(name, getattr(outcome, name))
        status.add("batches", 1)
        status.set("predict_ms", outcome.predict_ms)
        self._worst("batch_ms", (time.monotonic() - began) * 1000)
        self._worst("feature_to_commit_ms", now_ms() - min(i.append_time for i in batch))

    def _worst(self, name: str, value: float) -> None:
        """Gauges hold the largest value of the last second or two: a mean would hide the batch that was late."""
        if time.monotonic() - self._worst_since > 1.0:
            self._worst_since = time.monotonic()
            self._worst_ms = dict.fromkeys(self._worst_ms, 0.0)
        self._worst_ms[name] = max(self._worst_ms[name], value)
        self._status.set(name, self._worst_ms[name])

    def _measure(self, consumer: Consumer, model: Scores) -> None:
        if now_ms() - self._status.beat_ms < 500:
            return
        lag = 0
        for partition, offset in self._next.items():
            _low, high = consumer.get_watermark_offsets(
                TopicPartition(self._params.features_topic, partition), cached=True
            )
            lag += max(0, high - offset)
        self._status.set("lag", lag)
        self._status.set("partitions", len(self._scorer.states))
        self._status.set("stations", sum(map(len, self._scorer.states.values())))
        self._status.set("global_stations", self._table.stations)
        self._status.set("model_swaps", self._champion.swaps)
        if model.version.isdigit():
            self._status.set("model_version", float(model.version))
        refusal = self._champion.refusal
        self._status.message = (
            None if refusal is None else f"serves version {model.version}, the champion was not taken: {refusal}"
        )

    def _beat(self) -> None:
        if now_ms() - self._status.beat_ms >= 500:
            self._status.beat_ms = now_ms()

    # Other tables

    def _follow(self, wait_s: float) -> None:
        """Takes what is new in the history of all partitions and in the model events."""
        for message in self._follower.consume(FOLLOW_ROWS, wait_s):
            error = message.error()
            if error is not None:
                if error.fatal() or not error.retriable():
                    raise Failed(f"cannot follow {message.topic()}: {error}")
            elif message.topic() == self._params.history_topic:
                if message.value() is None:
                    self._table.forget(*_place(message), required_key(message))
                else:
                    record = decode_message(self._history, message)
                    self._table.take(*_place(message), None if leads(self._contract, record, message) else record)
            elif message.value() is not None:
                try:
                    event = self._model_events(message.value())
                except BadRecord:
                    self._status.add("bad_model_events", 1)
                    continue
                if event["model"] == self._params.model_name:
                    self._champion.refresh()

    def _partitions(self, topic: str) -> int:
        def ask() -> int:
            found = self._follower.list_topics(topic, timeout=TRANSACTION_MS / 1000).topics.get(topic)
            if found is None or found.error is not None or not found.partitions:
                raise Failed(f'topic "{topic}" does not exist')
            return len(found.partitions)

        return int(self._patiently(ask))

    def _consumer(self, group: str, settings: dict[str, Any]) -> Consumer:
        return Consumer(
            self._access
            | {
                "group.id": group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 100,
                "fetch.min.bytes": 1,
                # librdkafka's default second of pause, once its queue is full, would show in every catch-up.
                "fetch.queue.backoff.ms": 5,
                "queued.max.messages.kbytes": 16_384,
                "socket.timeout.ms": TRANSACTION_MS,
            }
            | settings
        )


def restore(
    contract: Contract,
    decoder: Decoder,
    make_consumer: Callable[[], Consumer],
    committed_now: Callable[[], dict[int, int | None]],
    topic: str,
    partitions: Iterable[int],
    deadline_s: float,
) -> dict[int, tuple[Restoration, int | None]]:
    """Reads the history of the partitions until each agrees with its committed feature offset.

    The consumer reads committed, so its end of a partition is the last stable offset. An end before the cursor agrees
    means that a transaction is still being decided: reading goes on, and the committed offsets are asked again.
    Errors: Failed after the deadline, with what was seen last.
    """
    found = {p: Restoration(contract, p, records_of(contract)) for p in partitions}
    if not found:
        return {}
    committed = committed_now()
    ended: set[int] = set()
    done: set[int] = set()
    deadline = time.monotonic() + deadline_s
    consumer = make_consumer()
    try:
        # Offset 0, not "the beginning": librdkafka looks that up half a second later. Compaction never moves the start,
        # and where something did, auto.offset.reset finds it.
        consumer.assign([TopicPartition(topic, p, 0) for p in found])
        while len(done) < len(found):
            if time.monotonic() > deadline:
                late = [
                    f"partition {p}: cursor {found[p].cursor}, committed {committed[p]}" for p in found if p not in done
                ]
                raise Failed(
                    f'the history "{topic}" did not reach the committed offsets in {deadline_s:g} s: {"; ".join(late)}'
                )
            for message in consumer.consume(5_000, 0.2):
                error = message.error()
                if error is not None:
                    if error.code() == KafkaError._PARTITION_EOF:
                        ended.add(_place(message)[0])
                        continue
                    if error.fatal() or not error.retriable():
                        raise Failed(f'cannot read the history "{topic}": {error}')
                    continue
                partition, _ = _place(message)
                ended.discard(partition)
                if message.value() is None:
                    found[partition].forget(required_key(message))
                    continue
                record = decode_message(decoder, message)
                if leads(contract, record, message):
                    found[partition].stray(required_key(message), record[contract.entity_key])
                else:
                    found[partition].take(record, required_key(message))
            disagree = [p for p in ended - done if not found[p].complete(committed[p])]
            if disagree:
                committed = committed_now()
            done |= {p for p in ended if found[p].complete(committed[p])}
    finally:
        consumer.close()
    return {p: (r, committed[p]) for p, r in found.items()}


def decode_message(decoder: Decoder, message: Message) -> dict[str, Any]:
    """A history record. Errors: Failed, since a state with a hole in it must not be served from."""
    try:
        return decoder(message.value())
    except BadRecord as bad:
        raise Failed(f"cannot read {message.topic()}/{message.partition()} at {message.offset()}: {bad}") from bad


def leads(contract: Contract, record: dict[str, Any], message: Message) -> bool:
    """Whether a row of the future left the record, which must not outlive a restart."""
    end = record["window_end"]
    return end is not None and bool(end > ring.latest_end(contract, message.timestamp()[1]))


def required_key(message: Message) -> bytes:
    """The client's types allow for none and for text: no deserializer is configured, and every history record has a
    key.
    """
    key = message.key()
    return key if isinstance(key, bytes) else b""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _incoming(message: Message) -> Incoming:
    headers: dict[str, bytes] = {}
    pairs: Any = message.headers() or []
    for name, content in pairs:
        headers[name] = content or b""
    key, value = message.key(), message.value()
    assert not isinstance(key, str) and not isinstance(value, str), "no deserializer is configured"
    return Incoming(*_place(message), message.timestamp()[1], key, value, headers)


def _place(message: Message) -> tuple[int, int]:
    """Partition and offset. The client's types allow for none, a record it delivered has both."""
    partition, offset = message.partition(), message.offset()
    return -1 if partition is None else partition, -1 if offset is None else offset


def _enqueue(
    producer: Producer, topic: str, value: bytes | None, key: bytes | None, partition: int = ANY_PARTITION
) -> None:
    """Puts one record into the client's queue; when it is full, waits for deliveries, as long as a transaction may
    last.
    """
    deadline = time.monotonic() + TRANSACTION_MS / 1000
    while True:
        try:
            return producer.produce(topic, value, key, partition)
        except BufferError:
            if time.monotonic() > deadline:
                raise
            producer.poll(0.05)
