"""A topic in memory with what a transactional writer needs: aborted records, markers, fencing. For tests of sinks."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any


@dataclass
class Kept:
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]
    # None while its transaction is open; a marker has no value and nobody reads it.
    committed: bool | None = None
    marker: bool = False


class Log:
    def __init__(self, partitions: int) -> None:
        self.partitions: list[list[Kept]] = [[] for _ in range(partitions)]
        self.epoch = 0

    def producer(self, _: dict[str, Any]) -> LogProducer:
        return LogProducer(self)

    def consumer(self, _: dict[str, Any]) -> LogConsumer:
        return LogConsumer(self)

    def committed(self) -> list[Kept]:
        return [r for partition in self.partitions for r in partition if r.committed and not r.marker]

    def end_open(self, commit: bool) -> None:
        for partition in self.partitions:
            open_records = [r for r in partition if r.committed is None]
            for r in open_records:
                r.committed = commit
            if open_records:
                partition.append(Kept(None, b"", [], committed=commit, marker=True))


class LogProducer:
    def __init__(self, log: Log) -> None:
        self._log, self._epoch = log, -1

    def init_transactions(self, _: float) -> None:
        self._log.end_open(commit=False)
        self._log.epoch += 1
        self._epoch = self._log.epoch

    def _mine(self) -> None:
        if self._epoch != self._log.epoch:
            raise RuntimeError("fenced")

    def begin_transaction(self) -> None:
        self._mine()

    def produce(self, _: str, key: str | None, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        self._mine()
        at = zlib.crc32((key or "").encode()) % len(self._log.partitions)
        self._log.partitions[at].append(Kept(None if key is None else key.encode(), value, headers))

    def poll(self, _: float) -> None:
        pass

    def flush(self, _: float) -> None:
        pass

    def commit_transaction(self, _: float) -> None:
        self._mine()
        self._log.end_open(commit=True)

    def abort_transaction(self, _: float) -> None:
        self._mine()
        self._log.end_open(commit=False)


class End:
    def code(self) -> int:
        return -191


class Message:
    def __init__(self, kept: Kept | None) -> None:
        self._kept = kept

    def error(self) -> End | None:
        return End() if self._kept is None else None

    def headers(self) -> list[tuple[str, bytes]]:
        assert self._kept is not None
        return self._kept.headers


class Found:
    def __init__(self, partitions: int) -> None:
        self.error = None
        self.partitions = dict.fromkeys(range(partitions))


class Topics:
    def __init__(self, topic: str, partitions: int) -> None:
        self.topics = {topic: Found(partitions)}


class LogConsumer:
    """Reads committed records, as librdkafka does by default."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._waiting: list[Kept] = []

    def list_topics(self, topic: str, timeout: float) -> Topics:
        return Topics(topic, len(self._log.partitions))

    def get_watermark_offsets(self, at: Any, timeout: float) -> tuple[int, int]:
        return 0, len(self._log.partitions[at.partition])

    def assign(self, parts: list[Any]) -> None:
        (at,) = parts
        self._waiting = [r for r in self._log.partitions[at.partition][at.offset :] if r.committed and not r.marker]

    def poll(self, _: float) -> Message:
        return Message(self._waiting.pop(0) if self._waiting else None)

    def close(self) -> None:
        pass
