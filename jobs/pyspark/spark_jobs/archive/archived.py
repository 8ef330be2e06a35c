"""What the archive holds, read beside Spark from its log and its offsets: for `millrace archive` and the backfill.

Run as `python -m spark_jobs.archive.archived ARGUMENTS.json`; prints one line of JSON. Says which offsets are not
there; whether they were ever records only Kafka knows, and that is asked elsewhere. Writes nothing and starts no
engine.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from numpy.typing import NDArray

# Runs of offsets are brought together whenever there are so many: a run costs 16 bytes.
RUNS_MOST = 1_000_000

# Names of a table's properties, see table.py, which needs Spark.
FINGERPRINT, LOST = "millrace.fingerprint", "millrace.lost"


@dataclass
class PartitionOffsets:
    """The offsets of one partition: rows counted, and runs [first, end) that cover each offset there is."""

    rows: int = 0
    _parts: list[NDArray[np.int64]] = field(default_factory=list)
    _runs: int = 0

    def add(self, offsets: NDArray[np.int64]) -> None:
        """Takes in offsets of any order, repeated or not."""
        self.rows += len(offsets)
        once = np.unique(offsets)
        breaks = np.flatnonzero(np.diff(once) != 1)
        first = once[np.concatenate([[0], breaks + 1])]
        end = once[np.concatenate([breaks, [len(once) - 1]])] + 1
        self._parts.append(np.stack([first, end]))
        self._runs += len(first)
        if self._runs > RUNS_MOST:
            self._parts = [merged(self._parts)]
            self._runs = self._parts[0].shape[1]

    def runs(self) -> NDArray[np.int64]:
        """Shape [2, runs]: first and end of each, apart from each other and in order."""
        self._parts = [merged(self._parts)]
        return self._parts[0]


def merged(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Runs that overlap or touch as one."""
    every = np.concatenate(parts, axis=1)
    every = every[:, np.argsort(every[0], kind="stable")]
    reach = np.maximum.accumulate(every[1])
    new = np.concatenate([[True], every[0][1:] > reach[:-1]])
    last = np.concatenate([np.flatnonzero(new)[1:] - 1, [len(reach) - 1]])
    return np.stack([every[0][new], reach[last]])


def described(path: str, span: dict[str, Any] | None, offsets: dict[str, list[int]] | None) -> dict[str, Any]:
    """Rows, files, bytes, versions, dates, and of each partition its offsets, repeats and holes.

    `span`: {from_ms, to_ms, lead_ms, lateness_ms}, a range of event time, null without a bound; only the offsets its
    records reach over are judged, and `selected` counts those records. `offsets`: {partition: [first, end)}, only these
    are judged. Without either all. A table that is not there is {"table": false}.
    """
    try:
        table = DeltaTable(path)
    except TableNotFoundError:
        return {"table": False}
    actions = pa.table(table.get_add_actions(flatten=True))
    known = table.metadata().configuration
    dataset = table.to_pyarrow_dataset()
    limits = {int(p): (first, end) for p, (first, end) in offsets.items()} if offsets is not None else None
    selected = None
    if span is not None:
        selected, limits = reached(dataset, span)
    held: dict[int, PartitionOffsets] = {}
    for batch in dataset.to_batches(columns=["partition", "offset"], filter=offset_filter(limits)):
        partitions = batch["partition"].to_numpy(zero_copy_only=False)
        at = batch["offset"].to_numpy(zero_copy_only=False)
        for p in np.unique(partitions):
            held.setdefault(int(p), PartitionOffsets()).add(at[partitions == p])
    dates = [str(d) for d in actions["partition.event_date"].to_pylist()] if actions.num_rows else []
    return {
        "table": True,
        "path": path,
        "version": int(table.version()),
        "first_version": int(min(entry["version"] for entry in table.history())),
        "fingerprint": known.get(FINGERPRINT),
        "files": actions.num_rows,
        "bytes": int(pc.sum(actions["size_bytes"]).as_py() or 0),
        "rows": int(pc.sum(actions["num_records"]).as_py() or 0),
        "dates": {"count": len(set(dates)), "first": min(dates, default=None), "last": max(dates, default=None)},
        "selected": selected,
        "lost": json.loads(known.get(LOST, "[]")),
        "partitions": [partition(p, held[p]) for p in sorted(held)],
    }


def partition(number: int, held: PartitionOffsets) -> dict[str, Any]:
    """`holes` are [first, end) between the first and the last offset; `repeated` counts rows beyond one an offset."""
    first, end = held.runs()
    return {
        "partition": number,
        "rows": held.rows,
        "first": int(first[0]),
        "end": int(end[-1]),
        "repeated": held.rows - int((end - first).sum()),
        "holes": np.stack([end[:-1], first[1:]], axis=1).tolist(),
    }


def reached(dataset: ds.Dataset, span: dict[str, Any]) -> tuple[int, dict[int, tuple[int, int]]]:
    """How many records belong to a range of event time, and the offsets [first, end) they reach over, by partition.

    A record that could not be read when it was archived may be readable now: it belongs to the range if its clock is
    one that an observation of the range could have had, on time.
    """
    time, clock, reason = ds.field("event_time"), ds.field("clock_ms"), ds.field("reason")
    kind = dataset.schema.field("event_time").type
    good, other = reason.is_null(), reason.is_valid()
    if span["from_ms"] is not None:
        good &= time >= pa.scalar(span["from_ms"], pa.timestamp("ms", tz="UTC")).cast(kind)
        other &= clock >= span["from_ms"] - span["lead_ms"]
    if span["to_ms"] is not None:
        good &= time < pa.scalar(span["to_ms"], pa.timestamp("ms", tz="UTC")).cast(kind)
        other &= clock < span["to_ms"] + span["lateness_ms"]
    count = 0
    limits: dict[int, tuple[int, int]] = {}
    for batch in dataset.to_batches(columns=["partition", "offset"], filter=good | other):
        partitions = batch["partition"].to_numpy(zero_copy_only=False)
        at = batch["offset"].to_numpy(zero_copy_only=False)
        count += len(at)
        for p in np.unique(partitions):
            mine = at[partitions == p]
            first, end = limits.get(int(p), (int(mine[0]), int(mine[0])))
            limits[int(p)] = (min(first, int(mine.min())), max(end, int(mine.max()) + 1))
    return count, limits


def offset_filter(limits: dict[int, tuple[int, int]] | None) -> ds.Expression | None:
    """The condition for offsets [first, end) by partition; None for all."""
    if limits is None:
        return None
    keep = pc.scalar(False)
    for p, (first, end) in limits.items():
        keep |= (ds.field("partition") == p) & (ds.field("offset") >= first) & (ds.field("offset") < end)
    return keep


if __name__ == "__main__":
    arguments = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    print(json.dumps(described(arguments["path"], arguments["span"], arguments["offsets"])), flush=True)
    # Not by way of the interpreter's end: Arrow's threads may still be in deltalake's Python file system, and one that
    # meets an interpreter that is going away aborts the process ("terminate called without an active exception").
    os._exit(0)
