"""The ring of cells behind a station's lags: each cell keeps the newest row of its span, the ring keeps the newest
cells.

The fold writes it, weather-history is its changelog, a restore reads it back. Knows cells and their numbers only: no
Kafka, no lags, no verdicts. All times are UTC epoch ms. A missing value is NaN in memory and null in a record.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ray_jobs.generated.contract import Contract
from ray_jobs.state import changelog

NONE = -(1 << 62)
NO_VERSION = 0
# Kinds of history records.
CELL, CURSOR, CLOCK = "cell", "cursor", "clock"


class Cell(NamedTuple):
    """The newest row of one span of window ends, and which versions were applied in it.

    `cell` is absolute: cell c holds window ends in (c * cell_ms, (c + 1) * cell_ms], start exclusive, end inclusive.
    `versions` has one number a slide slot (see `version`), 0 where no row came. `values` follows
    contract.history_values. `partition` and `offset` say which feature record the newest row was; -1 as offset for a
    seed.
    """

    cell: int
    window_end: int
    plan_epoch: int
    revision: int
    partition: int
    offset: int
    versions: tuple[int, ...]
    values: tuple[float, ...]


class StationState:
    """All that the fold remembers of one station: ring slot -> cell, and the number of the newest cell (NONE when
    empty).

    It is a function of the station's history records alone, so a restored state equals the one that wrote them. Cells
    that have left the ring may linger in their slots until a newer one takes their place; their number tells them
    apart. `memories` and `caches` hold what the stages around the ring keep of a station, by their slots (slots.py):
    memories live and die with the state, caches follow from the cells and can be dropped at any time.
    """

    __slots__ = ("caches", "cells", "memories", "newest")

    def __init__(self) -> None:
        self.cells: dict[int, Cell] = {}
        self.newest = NONE
        self.memories: dict[Any, Any] = {}
        self.caches: dict[Any, Any] = {}

    @property
    def newest_end(self) -> int:
        """The largest window end that was applied, NONE when empty."""
        return max((cell.window_end for cell in self.cells.values() if cell.cell == self.newest), default=NONE)

    def put(self, cell: Cell, ring_cells: int) -> None:
        """Takes a cell from a history record. Edges: an older cell never displaces a newer one of the same slot."""
        slot = cell.cell % ring_cells
        held = self.cells.get(slot)
        if held is None or held.cell <= cell.cell:
            self.cells[slot] = cell
        if cell.cell > self.newest:
            self.newest = cell.cell
        self.caches.clear()

    def live(self, ring_cells: int) -> dict[int, Cell]:
        """Absolute cell number -> cell, without those that have left the ring."""
        floor = self.newest - ring_cells
        return {c.cell: c for c in self.cells.values() if c.cell > floor}


def cell_of(window_end: int, cell_ms: int) -> int:
    """The cell that holds a window end. Edges: an end on a boundary belongs to the cell that ends there."""
    return (window_end - 1) // cell_ms


def latest_end(contract: Contract, append_ms: int) -> int:
    """The last window end that a record which the broker took at `append_ms` can speak of, epoch ms, inclusive.

    Its newest observation led its clock by `lead_ms` at most, and that the broker's by as much; the window reaches no
    further than its length beyond that. A later one is not true, whoever wrote it, and would move a station's ring to
    where no row follows.
    """
    return append_ms + 2 * contract.lead_ms + contract.window_ms


def version(plan_epoch: int, revision: int) -> int:
    """One number that orders (plan_epoch, revision); above 0 for every row, so 0 can mean none.

    Errors: ValueError beyond revisions of 2^48 - 2 and epochs of 2^15 - 1, which an Avro long would not hold.
    """
    if not (0 <= revision < (1 << 48) - 1 and 0 <= plan_epoch < 1 << 15):
        raise ValueError(f"version ({plan_epoch}, {revision}) is out of range")
    return plan_epoch << 48 | revision + 1


def slots(contract: Contract) -> int:
    """Slide slots of a cell. Raises ValueError when a cell is not a whole number of slides or a ring not one of
    cells.
    """
    if contract.cell_ms % contract.slide_ms or contract.depth_ms != contract.ring_cells * contract.cell_ms:
        raise ValueError(
            f"cell_ms {contract.cell_ms} must be whole slides of {contract.slide_ms}"
            f" and depth_ms {contract.depth_ms} {contract.ring_cells} cells"
        )
    return contract.cell_ms // contract.slide_ms


def cell_key(station: str, cell: int, ring_cells: int) -> bytes:
    """Kafka key of a cell's history record: a later cell of the same slot replaces it, which bounds the compacted
    topic.
    """
    return changelog.key_of(CELL, cell % ring_cells, station=station)


def cursor_key(partition: int) -> bytes:
    return changelog.key_of(CURSOR, partition)


def clock_key(partition: int) -> bytes:
    return changelog.key_of(CLOCK, partition)


def to_record(key: str, station: str, cell: Cell) -> dict[str, Any]:
    """The history record of a cell; `key` is the contract's key column."""
    return changelog.change_record(
        CELL,
        key,
        station,
        cell=cell.cell,
        window_end=cell.window_end,
        plan_epoch=cell.plan_epoch,
        revision=cell.revision,
        feature_partition=cell.partition,
        feature_offset=cell.offset,
        versions=cell.versions,
        values=[None if math.isnan(v) else v for v in cell.values],
    )


def cursor_record(key: str, partition: int, next_offset: int) -> dict[str, Any]:
    """Says which feature offset of the partition comes next; written in the transaction that covers everything before
    it.
    """
    return changelog.change_record(
        CURSOR, key, None, feature_partition=partition, feature_offset=next_offset - 1, next_offset=next_offset
    )


def clock_record(key: str, partition: int, payload: bytes) -> dict[str, Any]:
    """How far the time of a partition has settled, see partition.py."""
    return changelog.change_record(CLOCK, key, None, feature_partition=partition, payload=payload)


def from_record(record: dict[str, Any]) -> Cell:
    """The cell of a history record of kind `cell`."""
    return Cell(
        record["cell"],
        record["window_end"],
        record["plan_epoch"],
        record["revision"],
        record["feature_partition"],
        record["feature_offset"],
        tuple(record["versions"]),
        tuple(math.nan if v is None else v for v in record["values"]),
    )
