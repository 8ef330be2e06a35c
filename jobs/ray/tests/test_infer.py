"""What the driver decides about an actor: when its loop starts again, when it is given up, and totals that outlive a
process.
"""

from __future__ import annotations

import sys
from typing import Any

import pytest
from ray.exceptions import RayActorError, RayTaskError
from ray_jobs.generated.job import JobError
from ray_jobs.stream import infer
from ray_jobs.stream.infer import ActorSlot
from ray_jobs.stream.worker import Failed, now_ms


class Method:
    """An actor's method: each call gets a number as its reference."""

    def __init__(self) -> None:
        self.calls = 0

    def remote(self) -> int:
        self.calls += 1
        return self.calls


class Actor:
    def __init__(self) -> None:
        self.run = Method()
        self.status = Method()


class Outcomes:
    """Ray's side: the next call to look at has ended with this, or nothing has ended yet."""

    def __init__(self) -> None:
        self.next: Any = None
        self.replaced = 0

    def ready(self, _reference: Any) -> bool:
        return self.next is not None

    def result(self, _reference: Any) -> Any:
        outcome, self.next = self.next, None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def replace(self, _actor: Any) -> None:
        self.replaced += 1


def raised(cause: Exception) -> RayTaskError:
    return RayTaskError("run", "Traceback ...", cause)


def answer(incarnation: int, **counters: float) -> dict[str, Any]:
    return {
        "state": "running",
        "message": None,
        "beat_ms": now_ms() - 1,
        "incarnation": incarnation,
        "counters": counters,
    }


class Stage:
    """A slot with a hand-moved clock."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.actor = Actor()
        self.outcomes = Outcomes()
        self.slot = ActorSlot(3, self.actor, self.outcomes, lambda: self.now_s)

    def fails(self, error: Exception) -> None:
        self.outcomes.next = error
        self.slot.tend()

    def says(self, status: dict[str, Any]) -> None:
        self.slot.ask()
        self.outcomes.next = status
        self.slot.hear()

    def waits(self) -> float:
        """Seconds until the loop starts again."""
        begun, calls = self.now_s, self.actor.run.calls
        while self.actor.run.calls == calls:
            self.slot.tend()
            self.now_s += 0.25
        return self.now_s - 0.25 - begun


def test_a_killed_process_is_started_again_at_once_and_then_ever_later() -> None:
    stage = Stage()
    pauses = []
    for _ in range(infer.FAILURES):
        stage.fails(RayActorError())
        assert stage.slot.state == "starting" and "starts again after" in (stage.slot.message or "")
        pauses.append(stage.waits())
    assert pauses == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert stage.outcomes.replaced == 0, "Ray restarts a dead process by itself"


def test_a_loop_that_raised_has_its_process_replaced_and_its_reason_told() -> None:
    stage = Stage()
    stage.fails(raised(Failed("the history did not reach the committed offsets")))
    assert stage.outcomes.replaced == 1
    assert stage.slot.message == "starts again after: the history did not reach the committed offsets"


def test_an_actor_that_only_fails_is_given_up_with_its_last_reason() -> None:
    stage = Stage()
    for _ in range(infer.FAILURES):
        stage.fails(raised(Failed("no")))
        stage.waits()
    with pytest.raises(JobError, match=r"actor 3 .* failed 9 times in a row, the last time with: still no") as given_up:
        stage.fails(raised(Failed("still no")))
    assert given_up.value.code == "job_failed"


def test_a_batch_between_two_failures_starts_the_count_again() -> None:
    stage = Stage()
    for i in range(3 * infer.FAILURES):
        stage.says(answer(i, batches=1.0))
        stage.fails(RayActorError())
        assert stage.waits() == 0.0
    assert stage.slot.restarts == 3 * infer.FAILURES


def test_totals_go_on_over_incarnations_and_gauges_do_not() -> None:
    stage = Stage()
    stage.says(answer(1, rows=10.0, lag=7.0))
    stage.says(answer(1, rows=15.0, lag=3.0))
    stage.says(answer(2, rows=2.0, lag=1.0))
    counters = stage.slot.counters()
    assert counters["rows"] == 17.0 and counters["lag"] == 1.0 and counters["heartbeat_age_ms"] > 0


def test_a_dead_actor_that_does_not_answer_keeps_what_it_said_last() -> None:
    stage = Stage()
    stage.says(answer(1, rows=10.0))
    stage.says(RayActorError())  # type: ignore[arg-type]
    assert stage.slot.counters()["rows"] == 10.0


def test_a_loop_that_hangs_has_its_process_replaced_once() -> None:
    stage = Stage()
    stage.says(answer(1, rows=10.0) | {"beat_ms": now_ms() - infer.STALE_MS + 60_000})
    stage.slot.tend()
    assert stage.outcomes.replaced == 0
    stage.says(answer(1, rows=10.0) | {"beat_ms": now_ms() - infer.STALE_MS - 1})
    stage.slot.tend()
    stage.slot.tend()
    assert stage.outcomes.replaced == 1


def test_an_actor_that_hangs_in_a_call_to_kafka_has_its_process_replaced_once() -> None:
    stage = Stage()
    stage.says(answer(1, rows=10.0) | {"beat_ms": now_ms(), "call_ms": infer.HUNG_MS})
    stage.slot.tend()
    assert stage.outcomes.replaced == 0
    stage.says(answer(1, rows=10.0) | {"beat_ms": now_ms(), "call_ms": infer.HUNG_MS + 1})
    stage.slot.tend()
    # The old process answers once more before it is gone.
    stage.says(answer(1, rows=10.0) | {"beat_ms": now_ms(), "call_ms": infer.HUNG_MS + 900})
    stage.slot.tend()
    assert stage.outcomes.replaced == 1


def test_absent_hides_packages_only_while_it_lasts() -> None:
    sys.modules.pop("this", None)
    with infer._absent("this", "json"):
        import json

        assert json.dumps([]) == "[]", "what is loaded already stays"
        with pytest.raises(ImportError):
            import this  # noqa: F401
    assert "this" not in sys.modules and sys.modules["json"] is json
