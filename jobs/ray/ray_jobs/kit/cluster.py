"""Runs a function over many jobs as Ray tasks, a bounded number at once, and hands back each result as it comes; and
lets jobs compete with Ray Tune, where the worse ones are stopped early.

Used by train.py. Ray runs a task again when its worker dies, so a function handed in here must be pure; `Inline` runs
the same in this process, for tests of the pure parts. Knows nothing of what is computed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

# A worker that is killed loses its task, not the run; four deaths of one task are no accident.
TASK_RETRIES = 3


# What Ray Tune is told by its environment alone. An interrupt ends the run instead of going on with half of the trials,
# and nothing is written for tools that nobody here reads.
TUNE_ENVIRONMENT = {
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


class Race(NamedTuple):
    """When the worse of competing jobs stop: at the reports `grace`, `grace` * `halving`, ... of at most `reports`."""

    reports: int
    grace: int
    halving: int


class Pool(Protocol):
    @property
    def at_once(self) -> int:
        """Tasks, or threads of one task, that run at a time."""
        ...

    def put(self, value: Any) -> Any:
        """Shares one copy of a value between tasks."""
        ...

    def map(self, function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        """Yields (index of the job, result) in the order of completion."""
        ...

    def compete(
        self,
        function: Callable[..., Iterator[tuple[int, float]]],
        jobs: Sequence[Any],
        shared: tuple[Any, ...],
        race: Race,
        hear: Callable[[int, int, float], None],
    ) -> None:
        """Runs function(job, *shared), which yields (rounds, loss), and hands on every report as (job's index, rounds,
        loss), a job's first report first. A job may be stopped where its loss is among the worse half.
        """
        ...


class Cluster:
    """Tasks on the Ray cluster this process belongs to, or on the one that is already connected."""

    def __init__(self, workers: int) -> None:
        import ray

        if not ray.is_initialized():
            ray.init(log_to_driver=False)
        cpus = int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]
        self.at_once = max(1, min(workers, cpus))
        self._ray = ray

    def put(self, value: Any) -> Any:
        return self._ray.put(value)

    def map(self, function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        remote = self._ray.remote(num_cpus=1, max_retries=TASK_RETRIES)(function)
        waiting = list(enumerate(jobs))[::-1]
        running: dict[Any, int] = {}
        try:
            while waiting or running:
                while waiting and len(running) < self.at_once:
                    index, job = waiting.pop()
                    running[remote.remote(*job)] = index
                ready, _ = self._ray.wait(list(running), num_returns=1)
                for reference in ready:
                    yield running.pop(reference), self._ray.get(reference)
        finally:
            for reference in running:
                self._ray.cancel(reference)

    def compete(
        self,
        function: Callable[..., Iterator[tuple[int, float]]],
        jobs: Sequence[Any],
        shared: tuple[Any, ...],
        race: Race,
        hear: Callable[[int, int, float], None],
    ) -> None:
        """By Ray Tune under asynchronous successive halving (ASHA), one trial at a time.

        ASHA compares a trial with those that were there before it: with two trials side by side it would depend on
        their speed which are stopped. So a trial takes all the CPUs that tasks may have (of one node), for threads of
        its own, and the trials follow each other. A trial whose worker dies starts over, says the same again, and
        meets the same decisions.
        """
        os.environ |= TUNE_ENVIRONMENT
        from ray import tune

        node = max(int(n["Resources"].get("CPU", 1)) for n in self._ray.nodes() if n["Alive"])  # type: ignore[no-untyped-call]
        held = [self._ray.put(value) for value in shared]
        ray = self._ray

        def trial(config: dict[str, Any]) -> None:
            for rounds, loss in function(jobs[config["job"]], *ray.get(held)):
                tune.report({"rounds": rounds, "loss": loss})

        listener = _Listener(hear)

        class TrialCallback(tune.Callback):
            def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **_: Any) -> None:
                listener.hear(int(trial.config["job"]), int(result["rounds"]), float(result["loss"]))

        with tempfile.TemporaryDirectory(prefix="millrace-tune-") as scratch:
            found = tune.Tuner(
                tune.with_resources(trial, {"CPU": min(self.at_once, node)}),
                param_space={"job": tune.grid_search(list(range(len(jobs))))},
                tune_config=tune.TuneConfig(
                    metric="loss",
                    mode="min",
                    max_concurrent_trials=1,
                    # A worker takes seconds to start, as long as a small trial.
                    reuse_actors=True,
                    scheduler=tune.schedulers.ASHAScheduler(
                        max_t=race.reports, grace_period=race.grace, reduction_factor=race.halving
                    ),
                ),
                run_config=tune.RunConfig(
                    name="trials",
                    storage_path=scratch,
                    verbose=0,
                    failure_config=tune.FailureConfig(max_failures=TASK_RETRIES),
                    callbacks=[TrialCallback()],
                ),
            ).fit()
        for error in found.errors:
            raise error


class _Listener:
    """Pickles as one that is deaf: Tune keeps its callbacks, and what their class refers to, for a resumption that
    never comes; what hears is no data, and may hold a connection.
    """

    def __init__(self, hear: Callable[[int, int, float], None] = lambda *_: None) -> None:
        self.hear = hear

    def __reduce__(self) -> tuple[type[_Listener], tuple[()]]:
        return _Listener, ()


class Inline:
    """The same, one after another in this process; competing jobs all run to their end."""

    at_once = 1

    def put(self, value: Any) -> Any:
        return value

    def map(self, function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        for index, job in enumerate(jobs):
            yield index, function(*job)

    def compete(
        self,
        function: Callable[..., Iterator[tuple[int, float]]],
        jobs: Sequence[Any],
        shared: tuple[Any, ...],
        race: Race,
        hear: Callable[[int, int, float], None],
    ) -> None:
        for index, job in enumerate(jobs):
            for rounds, loss in function(job, *shared):
                hear(index, rounds, loss)
