"""Runs a function over many jobs as Ray tasks, a bounded number at once, and hands back each result as it comes.

Used by train.py. Ray runs a task again when its worker dies, so a function handed in here must be pure; `Inline` runs
the same in this process, for tests of the pure parts. Knows nothing of what is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

# A worker that is killed loses its task, not the run; four deaths of one task are no accident.
TASK_RETRIES = 3


class Pool(Protocol):
    def put(self, value: Any) -> Any:
        """Shares one copy of a value between tasks."""
        ...

    def map(self, function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        """Yields (index of the job, result) in the order of completion."""
        ...


class Cluster:
    """Tasks on the Ray cluster this process belongs to, or on the one that is already connected."""

    def __init__(self, workers: int) -> None:
        import ray

        if not ray.is_initialized():
            ray.init(log_to_driver=False)
        cpus = int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]
        self._at_once = max(1, min(workers, cpus))
        self._ray = ray

    def put(self, value: Any) -> Any:
        return self._ray.put(value)

    def map(self, function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        remote = self._ray.remote(num_cpus=1, max_retries=TASK_RETRIES)(function)
        waiting = list(enumerate(jobs))[::-1]
        running: dict[Any, int] = {}
        try:
            while waiting or running:
                while waiting and len(running) < self._at_once:
                    index, job = waiting.pop()
                    running[remote.remote(*job)] = index
                ready, _ = self._ray.wait(list(running), num_returns=1)
                for reference in ready:
                    yield running.pop(reference), self._ray.get(reference)
        finally:
            for reference in running:
                self._ray.cancel(reference)


class Inline:
    """The same, one after another in this process."""

    def put(self, value: Any) -> Any:
        return value

    def map(self, function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        for index, job in enumerate(jobs):
            yield index, function(*job)
