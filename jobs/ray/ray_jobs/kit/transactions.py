"""Which errors of a transactional producer end the transaction, which the producer, and which only ask for patience."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException


def aborts(reason: KafkaError) -> bool:
    """Whether an error ends the transaction but not the producer. A record refused while others are still being
    enqueued ends it in the background: the client answers the next produce() with _STATE and no flag (librdkafka,
    `rd_kafka_txn_may_enq_msg`).
    """
    return not reason.fatal() and (reason.txn_requires_abort() or reason.code() == KafkaError._STATE)


def patiently(call: Callable[[], Any], deadline_s: float) -> Any:
    """Calls again while Kafka says that trying again may help. The calls themselves wait, so this loop does not
    spin.
    """
    deadline = time.monotonic() + deadline_s
    while True:
        try:
            return call()
        except KafkaException as error:
            reason = error.args[0]
            if reason.fatal() or reason.txn_requires_abort() or not reason.retriable() or time.monotonic() > deadline:
                raise
