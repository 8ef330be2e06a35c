"""Results as records of a Kafka topic: JSON, the contract's key as key.

Exactly once for readers of committed records: a batch is one transaction, its records say in the header `batch` which,
and a batch that comes again finds its own name at the topic's end and sends nothing. One writer at a time: whoever
begins with the same transactional id fences the one before and ends its open transaction. Rows pass through the driver,
one after the other: a sink for results, not for copies of a topic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from spark_jobs.results.sink import MicroBatch

HEADER = "batch"
# A broker answers in milliseconds; one that has just begun to lead a partition takes seconds.
KAFKA_S = 30.0
# Before a transaction that nobody ends is ended by the broker; ours allows no more (infra/local/kafka). A batch's rows
# are computed before it begins, so it holds their sending alone.
TRANSACTION_MS = 60_000
# Records from the end that are looked at first; eight times as many each time none of them says a batch.
TAIL = 16


class TopicSink:
    """`config`: librdkafka's properties. `key`: the column that becomes the record's key, where rows have it."""

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        key: str,
        transactional_id: str,
        producer: Callable[[dict[str, Any]], Any] = Producer,
        consumer: Callable[[dict[str, Any]], Any] = Consumer,
    ) -> None:
        self._config, self._topic, self._key, self._consumer = dict(config), topic, key, consumer
        self._producer = producer(
            self._config
            | {
                "transactional.id": transactional_id,
                "transaction.timeout.ms": TRANSACTION_MS,
                "compression.type": "snappy",
                "partitioner": "murmur2_random",
            }
        )
        # What a killed predecessor left open is ended here, so what is read from now on stays.
        self._producer.init_transactions(KAFKA_S)
        self._last = self._last_batch()

    def append(self, rows: DataFrame, batch: MicroBatch) -> None:
        if self.holds(batch):
            return
        value = F.to_json(F.struct("*"), {"ignoreNullFields": "false"}).alias("value")
        key: Column = F.col(self._key).cast("string") if self._key in rows.columns else F.lit(None).cast("string")
        headers = [(HEADER, f"{batch.epoch}-{batch.number}".encode())]
        self._producer.begin_transaction()
        try:
            for row in rows.select(key.alias("key"), value).toLocalIterator():
                self._send(row["key"], row["value"], headers)
            self._producer.commit_transaction(KAFKA_S)
        except BaseException:
            self._producer.abort_transaction(KAFKA_S)
            raise
        self._last = batch

    def holds(self, batch: MicroBatch) -> bool:
        return self._last is not None and self._last >= batch

    def replace(self, rows: DataFrame, run_ms: int) -> None:
        raise NotImplementedError("a topic's records cannot be replaced: the generator refuses such a query")

    def _send(self, key: str | None, value: str, headers: list[tuple[str, bytes]]) -> None:
        record = {"key": key, "value": value.encode(), "headers": headers}
        try:
            self._producer.produce(self._topic, **record)
        except BufferError:
            # The queue is full: what it holds is sent first.
            self._producer.flush(KAFKA_S)
            self._producer.produce(self._topic, **record)
        self._producer.poll(0)

    def _last_batch(self) -> MicroBatch | None:
        """The last committed batch: the greatest among the partitions' last ones, for a batch is in all its partitions
        or in none."""
        consumer = self._consumer(
            self._config
            | {"group.id": f"{self._topic}-last-batch", "enable.auto.commit": False, "enable.partition.eof": True}
        )
        try:
            found = consumer.list_topics(self._topic, timeout=KAFKA_S).topics[self._topic]
            if found.error is not None:
                raise KafkaException(found.error)
            lasts = [self._last_of(consumer, partition) for partition in found.partitions]
        finally:
            consumer.close()
        return max((last for last in lasts if last is not None), default=None)

    def _last_of(self, consumer: Any, partition: int) -> MicroBatch | None:
        low, high = consumer.get_watermark_offsets(TopicPartition(self._topic, partition), timeout=KAFKA_S)
        tail = TAIL
        while True:
            start = max(low, high - tail)
            consumer.assign([TopicPartition(self._topic, partition, start)])
            batches = [batch_of(headers) for headers in headers_from(consumer, high)]
            named = [batch for batch in batches if batch is not None]
            if named:
                return max(named)
            if start == low:
                return None
            tail *= 8


def headers_from(consumer: Any, end: int) -> Iterator[list[tuple[str, bytes]] | None]:
    """Headers of the committed records up to the partition's end. The end may be a marker, which no reader sees."""
    while True:
        message = consumer.poll(KAFKA_S)
        if message is None:
            raise TimeoutError(f"Cannot read the last batch: expected records up to offset {end} within {KAFKA_S} s")
        if message.error() is not None:
            # The end of the partition comes as an error of its own.
            if message.error().code() == PARTITION_END:
                return
            raise KafkaException(message.error())
        yield message.headers()


# librdkafka's RD_KAFKA_RESP_ERR__PARTITION_EOF.
PARTITION_END = -191


def batch_of(headers: list[tuple[str, bytes]] | None) -> MicroBatch | None:
    for name, value in headers or []:
        if name == HEADER:
            epoch, _, number = value.decode().partition("-")
            return MicroBatch(int(epoch), int(number))
    return None
