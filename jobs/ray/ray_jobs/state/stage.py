"""What a stage of the actor is. Each stands in the room it belongs to; which ones a pipeline has, and in what order, is
said in one place, stream/stages.py.

A stage remembers nothing by itself: of a station in a Slot of its state (slots.py), within a batch in a Part of it
(batch.py). So batches can be cut anywhere, and an actor that was killed goes on where the history says.
"""

from __future__ import annotations

from typing import Protocol

from ray_jobs.state.batch import Applied, Batch
from ray_jobs.state.ring import StationState

# Partition -> station -> state.
States = dict[int, dict[str, StationState]]


class Stage(Protocol):
    def step(self, batch: Batch, states: States) -> None:
        """Takes the batch one stage further. Errors: whatever is raised leaves the states unusable: restore them."""
        ...


class Witness(Protocol):
    """A stage that must look at a station's ring as it stands at a row: later rows of the batch may change it."""

    def note(self, batch: Batch, one: Applied) -> None:
        """Called once for every applied row, in order, before the next is folded."""
        ...
