"""Where a stage keeps what it remembers of a station beside its cells.

The stage that owns such a memory makes one Slot, once, and is the only one to say what lies in it; the state carries it
without knowing it. Two slots never meet, whatever they are called.
"""

from __future__ import annotations

from typing import Generic, TypeVar, cast

from ray_jobs.state.ring import StationState

T = TypeVar("T")


class Slot(Generic[T]):
    """One stage's place in every StationState.

    `of_cells`: what lies here follows from the cells alone, so a cell that is put in from the history empties it.
    """

    def __init__(self, name: str, of_cells: bool = False) -> None:
        self.name = name
        self._of_cells = of_cells

    def __repr__(self) -> str:
        return f"Slot({self.name!r})"

    def of(self, state: StationState) -> T | None:
        """What the station's slot holds; None before the first `put`."""
        return cast("T | None", (state.caches if self._of_cells else state.memories).get(self))

    def put(self, state: StationState, value: T) -> None:
        (state.caches if self._of_cells else state.memories)[self] = value

    def clear(self, state: StationState) -> None:
        (state.caches if self._of_cells else state.memories).pop(self, None)
