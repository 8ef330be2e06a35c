"""What a stage of the actor is. Each stands in the room it belongs to; which ones a pipeline has, and in what order, is
said in one place, stream/stages.py.

A stage remembers nothing by itself: of a station in a Slot of its state (slots.py), within a batch in a Part of it
(batch.py). So batches can be cut anywhere, and an actor that was killed goes on where the history says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from ray_jobs.state.batch import Applied, Batch
from ray_jobs.state.partition import Partition
from ray_jobs.state.ring import StationState

# By number.
States = dict[int, Partition]
# The settled time of a partition (partition.py) at which a stage wants a tick because of a station, when no more rows
# of it come.
Alarm = Callable[[StationState], int]


class Tick(NamedTuple):
    """That a partition's settled time, `time_ms`, has come to where a stage wanted to be called, whether rows of its
    stations came or not.

    It comes before the first row of a micro-batch is folded; the stages are ticked in their order. `evicted` holds the
    stations that the fold has dropped at this tick: they are in `stations` no more, and each stage writes a tombstone
    for every key that it has of them.
    """

    partition: int
    stations: Partition
    time_ms: int
    evicted: dict[str, StationState]


class Stage(Protocol):
    def step(self, batch: Batch, states: States) -> None:
        """Takes a segment of the batch one stage further. Errors: whatever is raised leaves the states unusable, they
        are to be restored.
        """
        ...

    def tick(self, batch: Batch, tick: Tick) -> None:
        """What the stage does when no row comes; its records are those of the batch. Errors as above."""
        return None


class Witness(Protocol):
    """A stage that must look at a station's ring as it stands at a row: later rows of the batch may change it."""

    def note(self, batch: Batch, one: Applied) -> None:
        """Called once for every applied row, in order, before the next is folded."""
        ...
