"""Which model an actor scores with: loads the champion beside the running loop and hands it over between two batches.

The worker asks for a look whenever model-events says that an alias moved, and takes what is ready before each batch. A
model that is refused is remembered as a sentence for a person, and the one in use stays. Chooses nothing: the alias in
the registry does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from ray_jobs.generated.job import JobError
from ray_jobs.ledger.conformal import Forecast

Floats = NDArray[np.float64]


class Scores(Protocol):
    """What an actor needs of a model. Shapes: stations [n], t_ms [n], inputs [n, input]; see conformal.Forecast."""

    version: str
    train_from_ms: int
    train_to_ms: int

    @property
    def scales(self) -> Floats:
        """Scale of each band before any station adapts its own. -> [target, horizon, band]."""
        ...

    def forecast(self, stations: list[str], t_ms: NDArray[np.int64], inputs: Floats) -> Forecast: ...

    def spread(self, station: str, target: str) -> float: ...


class Load(Protocol):
    def __call__(self, current: str | None, /) -> Scores | None:
        """The champion, checked and warm; None when it is the version already in use. Errors: JobError."""


class Champion:
    """The model in use, the one before it, and why the last look failed.

    One look at a time: a request during a look makes one more look follow, so the newest alias always wins.
    """

    def __init__(self, load: Load, start: Callable[[Callable[[], None]], None] | None = None) -> None:
        self._load = load
        self._start = start if start is not None else _in_thread
        self._lock = threading.Lock()
        self._looking = False
        self._again = False
        self._ready: Scores | None = None
        self.current: Scores | None = None
        self.previous: Scores | None = None
        self.refusal: str | None = None
        self.swaps = 0

    def refresh(self) -> None:
        """Asks the registry again, without waiting."""
        with self._lock:
            if self._looking:
                self._again = True
                return
            self._looking = True
        self._start(self._run)

    @property
    def looking(self) -> bool:
        with self._lock:
            return self._looking

    def take(self) -> Scores | None:
        """The model for the next batch; None until the first one is loaded."""
        with self._lock:
            if self._ready is not None:
                if self.current is not None:
                    self.previous = self.current
                    self.swaps += 1
                self.current, self._ready = self._ready, None
            return self.current

    def _run(self) -> None:
        while True:
            with self._lock:
                newest = self._ready or self.current
            found: Scores | None = None
            refusal: str | None = None
            try:
                found = self._load(None if newest is None else newest.version)
            except JobError as error:
                refusal = f"{error.code}: {error}"
            except Exception as error:  # Whatever a broken model raises, the one in use goes on.
                refusal = f"model_refused: {type(error).__name__} {error}"
            with self._lock:
                self.refusal = refusal
                if found is not None:
                    self._ready = found
                if not self._again:
                    self._looking = False
                    return
                self._again = False


def _in_thread(run: Callable[[], None]) -> None:
    threading.Thread(target=run, name="champion", daemon=True).start()
