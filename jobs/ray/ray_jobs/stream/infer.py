"""The streaming job <pipeline>-infer: a Ray driver that keeps its actors running, and the actor, one process around one
worker loop.

Submitted through the Ray Jobs API; the entrypoint calls `run`. No row passes through Ray: actors poll and commit for
themselves, the driver starts them, starts their loop again when Ray has restarted one, and reports for all of them once
a second. Scores nothing.

Ray restarts an actor's process by itself (max_restarts=-1) but not the method that was running in it, hence the
driver's part. The slot number is what survives: it names the group instance and the transactional id, so a new
incarnation fences the old one.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import ray
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray_jobs.fold.fold import Fold
from ray_jobs.generated.contract import Contract
from ray_jobs.generated.job import JobError, Reporter, kafka_config
from ray_jobs.generated.params import InferParams
from ray_jobs.model.champion import Champion, Scores
from ray_jobs.stream.worker import TRANSACTION_MS, Status, Worker, now_ms

REPORT_S = 1.0
# The Ray Jobs API kills a driver three seconds after it asked it to stop; the batch at hand is done long before.
STOP_S = 2.5
BACK_OFF_S = 0.5
BACK_OFF_S_MAX = 10.0
# In a row, without a batch between them: then it is not bad luck, and whoever supervises the job decides.
FAILURES = 8

# Every call of the loop has a limit, the longest being a restore's; a loop silent for longer than that hangs where none
# was meant.
STALE_MS = 240_000
# A single call of a transaction is given TRANSACTION_MS, and librdkafka does not always keep to it:
# send_offsets_to_transaction never comes back once the group's coordinator was killed under it (librdkafka issue 5456).
HUNG_MS = 2 * TRANSACTION_MS

# Counters that only grow, and go on growing over an actor's restart; the rest are gauges of the moment.
TOTALS = (
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
    "batches",
    "aborts",
    "restores",
    "lost_rows",
    "model_swaps",
    "bad_model_events",
)
WORST = ("batch_ms", "feature_to_commit_ms", "predict_ms", "restore_ms", "heartbeat_age_ms")


LoadChampion = Callable[[Contract, InferParams, str | None], Scores | None]


class Infer:
    """The actor. `run` holds the loop in the default concurrency group, `status` and `stop` answer beside it in
    another.
    """

    def __init__(self, contract: Contract, params: InferParams, slot: int, load: LoadChampion) -> None:
        self._load = load
        self._contract = contract
        self._params = params
        self._slot = slot
        self._stopping = threading.Event()
        self._status = Status()
        self._incarnation = time.time_ns()

    def run(self) -> None:
        """Returns after `stop`. Raises what the loop raised: the process must then be left."""
        champion = Champion(lambda current: self._load(self._contract, self._params, current))
        access = kafka_config(self._params.kafka)
        worker = Worker(self._contract, self._params, access, self._slot, champion, self._stopping.is_set, self._status)
        worker.run()

    @ray.method(concurrency_group="control")
    def status(self) -> dict[str, Any]:
        return self._status.copy() | {"incarnation": self._incarnation}

    @ray.method(concurrency_group="control")
    def stop(self) -> None:
        self._stopping.set()


def load_champion(contract: Contract, params: InferParams, current: str | None) -> Scores | None:
    """Fetches, checks and warms the champion; None when `current` is it. Errors: JobError with `model_refused` or
    `job_failed`.
    """
    # Here, not above: the driver never loads a model.
    with _absent("sklearn", "pandas", "pyarrow", "dask", "matplotlib", "cffi"):
        from ray_jobs.kit import registry
        from ray_jobs.model import heads as model
    version, folder = registry.champion(params.mlflow_uri, params.model_name, params.model_cache)
    if version == current:
        return None
    fold = Fold(contract)
    found = model.load(folder, contract, fold.input_names, fold.input_units, version)
    # The first call builds LightGBM's predictors; no row of the stream should pay for that.
    found.predict([""], np.zeros(1, dtype=np.int64), np.full((1, len(fold.input_names)), np.nan))
    return found


@contextmanager
def _absent(*names: str) -> Iterator[None]:
    """Lets imports inside find none of these packages, unless they are loaded already.

    LightGBM imports what it could convert from: 135 MB and more than a second in every actor, for types that never
    reach it.
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


class Calls(Protocol):
    """What a slot needs of Ray, so that its decisions can be shown without one."""

    def ready(self, reference: Any) -> bool: ...

    def result(self, reference: Any) -> Any:
        """Errors: whatever the call raised, RayActorError when its process is gone."""
        ...

    def replace(self, actor: Any) -> None:
        """Ends the actor's process; Ray starts another."""
        ...


class RayCalls:
    def ready(self, reference: Any) -> bool:
        return bool(ray.wait([reference], timeout=0)[0])

    def result(self, reference: Any) -> Any:
        return ray.get(reference)

    def replace(self, actor: Any) -> None:
        ray.kill(actor, no_restart=False)


class ActorSlot:
    """One actor as the driver sees it: its handle, the call that runs its loop, its totals over all incarnations."""

    def __init__(self, index: int, actor: Any, calls: Calls, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.index = index
        self.actor = actor
        self._calls = calls
        self._clock_s = clock_s
        self.running: Any = actor.run.remote()
        self.asking: Any = None
        self.failures = 0
        self.restarts = 0
        self.start_at = 0.0
        self.last_error: str | None = None
        self._hung: int | None = None
        self._batches_at_failure = 0.0
        self._past: dict[str, float] = {}
        self._seen: dict[str, Any] = {}

    def ask(self) -> None:
        if self.asking is None:
            self.asking = self.actor.status.remote()

    def hear(self) -> None:
        """Takes the answer if there is one; a dead or restarting actor gives none and its heartbeat grows old."""
        if self.asking is None or not self._calls.ready(self.asking):
            return
        reference, self.asking = self.asking, None
        try:
            answer = self._calls.result(reference)
        except RayError:
            return
        if self._seen and answer["incarnation"] != self._seen["incarnation"]:
            for name in TOTALS:
                self._past[name] = self._past.get(name, 0.0) + self._seen["counters"].get(name, 0.0)
        self._seen = answer

    @property
    def state(self) -> str:
        return str(self._seen.get("state", "starting")) if self.running is not None else "starting"

    @property
    def message(self) -> str | None:
        if self.running is None:
            return f"starts again after: {self.last_error}"
        said = self._seen.get("message")
        return None if said is None else str(said)

    def counters(self) -> dict[str, float]:
        out = dict(self._seen.get("counters", {}))
        for name in TOTALS:
            out[name] = out.get(name, 0.0) + self._past.get(name, 0.0)
        if self._seen.get("beat_ms"):
            out["heartbeat_age_ms"] = float(now_ms() - self._seen["beat_ms"])
        return out

    def tend(self) -> None:
        """Looks after the loop: notices its end, starts it again after a pause. Errors: JobError `job_failed` when it
        is hopeless.
        """
        if self.running is None:
            if self._clock_s() >= self.start_at:
                self.running = self.actor.run.remote()
            return
        if not self._calls.ready(self.running):
            if self._seen.get("beat_ms") and now_ms() - self._seen["beat_ms"] > STALE_MS:
                print(f"actor {self.index} has been silent for {STALE_MS // 1000} s; replacing its process", flush=True)
                self._seen["beat_ms"] = now_ms()
                self._calls.replace(self.actor)
            elif self._seen.get("call_ms", 0) > HUNG_MS and self._seen["incarnation"] != self._hung:
                within = f"{TRANSACTION_MS // 1000} s"
                print(f"actor {self.index} hangs in a call to Kafka given {within}; replacing its process", flush=True)
                # It may answer once more before it is gone.
                self._hung = self._seen["incarnation"]
                self._calls.replace(self.actor)
            return
        reference, self.running = self.running, None
        try:
            self._calls.result(reference)
            self.last_error = "the loop returned without being asked to"
        except RayTaskError as error:
            self.last_error = str(error.cause) if error.cause is not None else str(error)
            # Whatever went wrong inside, the process is not trusted any more; Ray starts a new one.
            self._calls.replace(self.actor)
        except RayActorError as error:
            self.last_error = str(error).splitlines()[0]
        batches = self.counters().get("batches", 0.0)
        self.failures = 1 if batches > self._batches_at_failure else self.failures + 1
        self._batches_at_failure = batches
        self.restarts += 1
        if self.failures > FAILURES:
            raise JobError(
                "job_failed",
                f"Cannot keep actor {self.index} running: it failed {self.failures} times in a row,"
                f" the last time with: {self.last_error}",
            )
        # The first time at once: a process that was killed costs no more than its own start.
        pause = 0.0 if self.failures == 1 else min(BACK_OFF_S * 2.0 ** (self.failures - 2), BACK_OFF_S_MAX)
        self.start_at = self._clock_s() + pause
        print(f"actor {self.index} stopped: {self.last_error}; starting its loop again in {pause:g} s", flush=True)


def run(
    contract: Contract, params: InferParams, reporter: Reporter, load: LoadChampion = load_champion
) -> dict[str, float]:
    """Runs until it is asked to stop (marker file, SIGTERM or SIGINT), then ends after the batch at hand.

    Errors: JobError `job_failed` when an actor is given up, `config_invalid` for less than one actor. SystemExit after
    a signal, since the last word is then "stopped" whatever the marker file says.
    """
    if params.actors < 1:
        raise JobError("config_invalid", f"Cannot start {params.job}: expected at least one actor, got {params.actors}")
    if not ray.is_initialized():
        ray.init()
    signalled = threading.Event()
    # After ray.init, which installs a handler of its own.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: signalled.set())
    # No CPU is claimed: the loop mostly waits, and training must find its cores free. Ray's own types lack concurrency
    # groups.
    remote: Any = ray.remote
    actor = remote(max_restarts=-1, max_task_retries=0, num_cpus=0, concurrency_groups={"control": 1})(Infer)
    calls = RayCalls()
    slots = [ActorSlot(i, actor.remote(contract, params, i, load), calls) for i in range(params.actors)]
    try:
        while not signalled.is_set() and not reporter.stop_requested():
            for slot in slots:
                slot.hear()
                slot.tend()
                slot.ask()
            state, message = _summary(slots)
            reporter.progress(_counters(slots), state=state, message=message)
            signalled.wait(REPORT_S)
    finally:
        _stop(slots)
    counters = _counters(slots)
    if signalled.is_set():
        reporter.end(counters, "stopped")
        raise SystemExit(0)
    return counters


def _counters(slots: list[ActorSlot]) -> dict[str, float]:
    counters: dict[str, float] = {}
    for slot in slots:
        for name, value in slot.counters().items():
            if name in WORST:
                counters[name] = max(counters.get(name, value), value)
            elif name == "model_version":
                counters[name] = min(counters.get(name, value), value)
            else:
                counters[name] = counters.get(name, 0.0) + value
    counters["actors"] = float(len(slots))
    counters["actor_restarts"] = float(sum(s.restarts for s in slots))
    return counters


def _summary(slots: list[ActorSlot]) -> tuple[str, str | None]:
    said = [f"actor {s.index}: {s.message}" for s in slots if s.message]
    return "running" if all(s.state == "running" for s in slots) else "starting", "; ".join(said) or None


def _stop(slots: list[ActorSlot]) -> None:
    """Ends every loop after its batch and hears its last counters; what takes longer than STOP_S dies with the
    driver.
    """
    deadline = time.monotonic() + STOP_S
    for slot in slots:
        slot.actor.stop.remote()
    running = [slot.running for slot in slots if slot.running is not None]
    if running:
        ray.wait(running, num_returns=len(running), timeout=STOP_S)
    for slot in slots:
        slot.asking = slot.actor.status.remote()
    ray.wait([slot.asking for slot in slots], num_returns=len(slots), timeout=max(0.1, deadline - time.monotonic()))
    for slot in slots:
        slot.hear()
