"""One batch of feature rows on its way through the stages: what came, what the fold took of it, and what each stage
left for those after it and for Kafka.

Knows no stage: whoever leaves something for a later one makes a Part, as whoever remembers something of a station makes
a Slot (slots.py). Does no input or output.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar, cast

from ray_jobs.kit.io import BadRecord
from ray_jobs.state.ring import Cell, StationState

T = TypeVar("T")


class Incoming(NamedTuple):
    """One record of the feature topic. `append_time` is the broker's, epoch ms."""

    partition: int
    offset: int
    append_time: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]


class Applied(NamedTuple):
    """A row that the fold took, as the station's ring stood at it.

    `inputs` of the model (NaN = missing), `completeness` the share of lags present (0..1), `cell` as it stands with the
    row; `earlier` is the row that step rules compare it with, None when there is none.
    """

    incoming: Incoming
    row: Mapping[str, Any]
    station: str
    state: StationState
    inputs: list[float]
    completeness: float
    cell: Cell
    earlier: Cell | None


class HistoryChange(NamedTuple):
    """One record for the history; without one a tombstone, which makes the compacted topic forget the key."""

    partition: int
    key: bytes
    record: Mapping[str, Any] | None


@dataclass
class Outcome:
    """What one transaction is to write. Every row that it covers is in exactly one of predicted, skipped, expired and
    rejected: of those that are predicted, the first arm's forecast counts.

    `predictions`, `verifications`, `anomalies` and `rejects`: (key, value). `history`: (partition, key, value), in an
    order whose last record of each key counts, None for a tombstone; then the cursors. `next_offsets`: partition ->
    first offset not covered. `evicted`: entities that had fallen silent. `opened`, `confirmed`, `resolved`: anomalies.
    """

    predictions: list[tuple[bytes, bytes]] = field(default_factory=list)
    verifications: list[tuple[bytes, bytes]] = field(default_factory=list)
    anomalies: list[tuple[bytes, bytes]] = field(default_factory=list)
    history: list[tuple[int, bytes, bytes | None]] = field(default_factory=list)
    rejects: list[tuple[bytes | None, bytes]] = field(default_factory=list)
    next_offsets: dict[int, int] = field(default_factory=dict)
    rows: int = 0
    predicted: int = 0
    skipped: int = 0
    expired: int = 0
    rejected: int = 0
    verified: int = 0
    unverifiable: int = 0
    beyond_support: int = 0
    evicted: int = 0
    opened: int = 0
    confirmed: int = 0
    resolved: int = 0
    tombstones: int = 0
    predict_ms: float = 0.0


class Batch:
    """The rows of one transaction. `arms` are those that have a model now; only they promise anything.

    It goes through the stages in segments: a segment ends before a row at which a partition's alarm rang (`rang`: the
    partition and its settled time), else with the batch. `applied` and the parts are the segment's, `covered` counts
    the rows of the batch so far, `ticked` names the partitions that a tick came to.

    `rejected`, `changes`, `verifications` and `anomalies` (station, record) wait for the stage that encodes them, which
    adds them to `out`; the other stages count there.
    """

    def __init__(
        self, incoming: Iterable[Incoming], arms: Collection[str] = (), history_offsets: Sequence[int] = ()
    ) -> None:
        self.incoming = list(incoming)
        self.arms = frozenset(arms)
        self.history_offsets = list(history_offsets)
        self.covered = 0
        self.rang: tuple[int, int] | None = None
        self.ticked: set[int] = set()
        self.applied: list[Applied] = []
        self.rejected: list[tuple[Incoming, BadRecord]] = []
        self.changes: list[HistoryChange] = []
        self.verifications: list[tuple[str, dict[str, Any]]] = []
        self.anomalies: list[tuple[str, dict[str, Any]]] = []
        self.out = Outcome()
        self.parts: dict[Any, Any] = {}

    def begin(self) -> None:
        """The next segment."""
        self.rang = None
        self.applied = []
        self.parts = {}

    def reject(self, incoming: Incoming, bad: BadRecord) -> None:
        self.out.rejected += 1
        self.rejected.append((incoming, bad))


class Part(Generic[T]):
    """What one stage leaves in a batch for later ones. Two parts never meet, whatever they are called."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Part({self.name!r})"

    def of(self, batch: Batch) -> T | None:
        """What the stage left; None when it left nothing, or is no stage of this pipeline."""
        return cast("T | None", batch.parts.get(self))

    def put(self, batch: Batch, value: T) -> None:
        batch.parts[self] = value
