"""What stages keep in a station's state: slots that cannot meet, caches that follow the cells, kinds with one owner."""

from __future__ import annotations

import pytest
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.ledger.records import LedgerRecords
from ray_jobs.state.history import Restoration
from ray_jobs.state.ring import Cell, StationState
from ray_jobs.state.slots import Slot

CELL = Cell(1, CONTRACT.cell_ms + 60_000, 1, 0, 0, 0, (1,), (1.0,))


def test_two_slots_never_meet_whatever_they_are_called() -> None:
    state, first, second = StationState(), Slot[int]("ledger"), Slot[str]("ledger")
    first.put(state, 1)
    assert second.of(state) is None
    second.put(state, "b")
    assert (first.of(state), second.of(state)) == (1, "b")
    assert first.of(StationState()) is None, "a slot belongs to one station's state"


def test_a_restored_cell_empties_what_follows_from_cells_and_nothing_else() -> None:
    state, memory, cache = StationState(), Slot[int]("ledger"), Slot[int]("sums", of_cells=True)
    memory.put(state, 1)
    cache.put(state, 2)
    state.put(CELL, CONTRACT.ring_cells)
    assert (memory.of(state), cache.of(state)) == (1, None)


@pytest.mark.parametrize("kind", ["pending", "cell", "cursor"])
def test_a_kind_of_history_record_has_one_owner(kind: str) -> None:
    class Other(LedgerRecords):
        kinds = frozenset({kind})

    with pytest.raises(ValueError, match=kind):
        Restoration(CONTRACT, 0, [LedgerRecords(CONTRACT), Other(CONTRACT)])
