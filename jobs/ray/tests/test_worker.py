"""The parts of the worker that can be shown without a broker: when a restore is complete, and which calls are tried
again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.kit.io import Decoder, Encoder
from ray_jobs.kit.transactions import patiently
from ray_jobs.state import ring
from ray_jobs.state.ring import Cell
from ray_jobs.stream import worker
from ray_jobs.stream.worker import Failed, restore

T0 = 1_480_550_400_000
NOW = 1_700_000_000_000
HOUR_MS = 3_600_000
YEAR_2073 = 3_250_454_400_000
SCHEMA = CONTRACT.schemas["history"]
DECODE = Decoder({"9": SCHEMA}, SCHEMA)
ENCODE = Encoder(SCHEMA, 9)
KEY = CONTRACT.key


class Record:
    def __init__(
        self, partition: int, value: bytes | None, error: KafkaError | None = None, key: bytes | None = None
    ) -> None:
        self._partition, self._value, self._error, self._key = partition, value, error, key

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return 0

    def topic(self) -> str:
        return "history"

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_LOG_APPEND_TIME, NOW

    def error(self) -> KafkaError | None:
        return self._error


def cell(partition: int, end: int = T0) -> Record:
    number = ring.cell_of(end, CONTRACT.cell_ms)
    held = Cell(number, end, 1, 7, partition, 3, (1,) * 10, (1.0,) * len(CONTRACT.history_values))
    key = ring.cell_key("boston", number, CONTRACT.ring_cells)
    return Record(partition, ENCODE(ring.to_record(KEY, "boston", held)), key=key)


def tombstone(partition: int, end: int = T0) -> Record:
    number = ring.cell_of(end, CONTRACT.cell_ms)
    return Record(partition, None, key=ring.cell_key("boston", number, CONTRACT.ring_cells))


def cursor(partition: int, next_offset: int) -> Record:
    return Record(partition, ENCODE(ring.cursor_record(KEY, partition, next_offset)), key=ring.cursor_key(partition))


def end(partition: int) -> Record:
    return Record(partition, None, KafkaError(KafkaError._PARTITION_EOF))


class Replayed:
    """A consumer that hands out prepared polls, then nothing."""

    def __init__(self, *polls: list[Record]) -> None:
        self._polls = list(polls)
        self.closed = False

    def assign(self, _partitions: Any) -> None: ...

    def consume(self, _rows: int, _wait_s: float) -> list[Record]:
        return self._polls.pop(0) if self._polls else []

    def close(self) -> None:
        self.closed = True


def run(consumer: Replayed, committed: Callable[[], dict[int, int | None]], partitions: list[int]) -> Any:
    make: Any = lambda: consumer  # noqa: E731
    return restore(CONTRACT, DECODE, make, committed, "history", partitions, 0.5)


def test_restore_ends_where_cursor_and_committed_offset_agree() -> None:
    consumer = Replayed([cell(0), cursor(0, 5), end(0), cell(2), cursor(2, 9)], [end(2)])
    found = run(consumer, lambda: {0: 5, 2: 9}, [0, 2])
    assert {p: (sorted(r.states), r.cursor, at) for p, (r, at) in found.items()} == {
        0: (["boston"], 5, 5),
        2: (["boston"], 9, 9),
    }
    assert consumer.closed


def test_restore_reads_on_past_an_end_that_does_not_agree_yet() -> None:
    """A transaction whose markers are still being written: the end moves, and only then is the state the committed
    one.
    """
    consumer = Replayed([cursor(0, 5), end(0)], [cell(0), cursor(0, 8)], [end(0)])
    (restoration, at) = run(consumer, lambda: {0: 8}, [0])[0]
    assert restoration.cursor == at == 8 and restoration.records == 3


def test_restore_asks_for_the_committed_offset_again_when_the_history_is_ahead() -> None:
    answers = iter([{0: 5}, {0: 8}])
    (restoration, at) = run(Replayed([cell(0), cursor(0, 8), end(0)]), lambda: next(answers), [0])[0]
    assert restoration.cursor == at == 8


def test_restore_of_a_seed_and_of_nothing_starts_at_the_beginning() -> None:
    found = run(Replayed([cell(0), end(0), end(1)]), lambda: {0: None, 1: None}, [0, 1])
    assert found[0][0].start(None) is None and sorted(found[0][0].states) == ["boston"]
    assert found[1][0].start(None) is None and found[1][0].states == {}


def test_restore_forgets_what_a_row_of_the_future_left() -> None:
    latest = ring.latest_end(CONTRACT, NOW)
    records = [cell(0), cell(0, YEAR_2073), cell(0, latest), cell(0, latest + 1), cursor(0, 9), end(0)]
    restoration, _ = run(Replayed(records), lambda: {0: 9}, [0])[0]
    state = restoration.states["boston"]
    assert state.newest == ring.cell_of(latest, CONTRACT.cell_ms)
    assert {c.window_end for c in state.cells.values()} == {T0, latest}


def test_restore_forgets_an_evicted_station_and_knows_it_again_when_it_came_back() -> None:
    gone = [cell(0), cell(0, T0 + HOUR_MS), tombstone(0), tombstone(0, T0 + HOUR_MS), cursor(0, 9), end(0)]
    restoration, _ = run(Replayed(gone), lambda: {0: 9}, [0])[0]
    assert restoration.states == {} and restoration.records == 5
    back = [*gone[:-2], cell(0, T0 + 2 * HOUR_MS), cursor(0, 9), end(0)]
    restoration, _ = run(Replayed(back), lambda: {0: 9}, [0])[0]
    (state,) = restoration.states.values()
    assert {c.window_end for c in state.cells.values()} == {T0 + 2 * HOUR_MS}
    assert state.newest == ring.cell_of(T0 + 2 * HOUR_MS, CONTRACT.cell_ms)


def test_restore_gives_up_with_what_it_saw_last() -> None:
    consumer = Replayed([cursor(3, 5), end(3)])
    with pytest.raises(Failed, match=r'"history" did not reach .* partition 3: cursor 5, committed 9'):
        run(consumer, lambda: {3: 9}, [3])
    assert consumer.closed


def test_restore_refuses_a_history_it_cannot_read() -> None:
    with pytest.raises(Failed, match="bad_framing"):
        run(Replayed([Record(0, b"nonsense")]), lambda: {0: None}, [0])


@pytest.mark.parametrize(
    ("retriable", "fatal", "abort", "calls"), [(True, False, False, 3), (True, False, True, 1), (False, True, False, 1)]
)
def test_patiently_repeats_only_what_may_help(retriable: bool, fatal: bool, abort: bool, calls: int) -> None:
    made = 0

    def call() -> str:
        nonlocal made
        made += 1
        if made == 3:
            return "done"
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "late", fatal, retriable, abort))

    if calls == 3:
        assert patiently(call, 5.0) == "done"
    else:
        with pytest.raises(KafkaException):
            patiently(call, 5.0)
    assert made == calls


def test_limits_stand_in_the_right_order() -> None:
    """A record may not outlive its transaction, nor a call of ours give up before Kafka has decided one."""
    assert worker.TRANSACTION_MS / 1000 < worker.CALL_S < worker.RESTORE_S
