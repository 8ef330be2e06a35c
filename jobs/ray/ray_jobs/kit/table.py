"""Feature rows out of the Delta table that the backfill wrote, station by station, as the fold wants them; its upkeep.

Used by train.py and seed.py, in the driver and in Ray tasks alike: each task reads its own stations from one pinned
table version, so rows never travel through the object store and a task that is run again sees the same rows. Changes
no row and folds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from numpy.typing import NDArray
from ray_jobs.generated.contract import Contract
from ray_jobs.generated.job import JobError
from ray_jobs.kit.time import HOUR_MS


def pin(path: str) -> int:
    """The table's version now. Errors: `job_failed` when there is no table."""
    try:
        return int(DeltaTable(path).version())
    except TableNotFoundError as error:
        raise JobError(
            "job_failed", f'Cannot read feature table "{path}": expected a Delta table, run the backfill first'
        ) from error


def columns_of(contract: Contract) -> list[str]:
    """The columns the fold reads."""
    counts = dict.fromkeys(f"{f.field}_count" for f in contract.features)
    return [
        contract.entity_key,
        "window_end",
        "plan_epoch",
        "revision",
        "measurement_count",
        *counts,
        *(f.column for f in contract.features),
    ]


def read(
    path: str,
    version: int,
    contract: Contract,
    columns: Sequence[str],
    from_ms: int | None,
    to_ms: int,
    stations: Sequence[str] | None = None,
) -> pa.Table:
    """Rows with from_ms <= window_end < to_ms, sorted by station, window_end and version; window_end as epoch ms.

    `columns` has to name the key and window_end. Errors: `job_failed`, naming the columns the table lacks.
    """
    dataset = DeltaTable(path, version=version).to_pyarrow_dataset()
    absent = [c for c in columns if c not in dataset.schema.names]
    if absent:
        raise JobError("job_failed", f'Cannot read feature table "{path}": it lacks the columns {", ".join(absent)}')
    end = ds.field("window_end")
    kind = dataset.schema.field("window_end").type
    keep = end < _time(to_ms, kind)
    if from_ms is not None:
        keep &= end >= _time(from_ms, kind)
    if stations is not None:
        keep &= ds.field(contract.entity_key).isin(list(stations))
    order = [name for name in ("plan_epoch", "revision") if name in columns]
    found = dataset.to_table(columns=list(columns), filter=keep)
    found = found.sort_by([(name, "ascending") for name in (contract.entity_key, "window_end", *order)])
    return found.set_column(found.schema.get_field_index("window_end"), "window_end", _epoch_ms(found["window_end"]))


def by_station(table: pa.Table, key: str) -> Iterator[tuple[str, pa.Table]]:
    """Slices of a table sorted by its key, one a station, without a copy."""
    keys = table[key].to_numpy(zero_copy_only=False)
    if len(keys) == 0:
        return
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    for start, end in zip(starts, [*starts[1:], len(keys)], strict=True):
        yield str(keys[start]), table.slice(int(start), int(end - start))


def rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Each row as the mapping the fold takes. Bounded by the table: hand in one station at a time."""
    names = table.schema.names
    for values in zip(*(column.to_pylist() for column in table.columns), strict=True):
        yield dict(zip(names, values, strict=True))


def floats(table: pa.Table, column: str) -> NDArray[np.float64]:
    """A column as floats, null as NaN."""
    return np.asarray(pc.cast(table[column], pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _time(ms: int, kind: pa.DataType) -> pa.Scalar:
    return (
        pa.scalar(ms, pa.timestamp("ms", tz=kind.tz)).cast(kind) if pa.types.is_timestamp(kind) else pa.scalar(ms, kind)
    )


def _epoch_ms(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_timestamp(column.type):
        column = pc.cast(column, pa.timestamp("ms", tz=column.type.tz))
    return pc.cast(column, pa.int64())


def keep_up(path: str, retention_ms: int) -> tuple[dict[str, float], str]:
    """Brings small files together and deletes what only versions older than the retention hold.

    Returns counters and one sentence. Retention counts in whole hours, rounded up: never shorter than asked for.
    Somebody who writes at the same time wins.
    """
    try:
        delta = DeltaTable(path)
    except TableNotFoundError:
        return {"files_before": 0.0, "files_after": 0.0, "files_deleted": 0.0}, "no feature table yet"
    before = len(delta.file_uris())
    gave_way = False
    try:
        delta.optimize.compact()
    except CommitFailedError:
        gave_way = True
    hours = -(-retention_ms // HOUR_MS)
    deleted = delta.vacuum(retention_hours=hours, dry_run=False, enforce_retention_duration=False)
    delta.update_incremental()
    after = len(delta.file_uris())
    message = f"{before} files, now {after}; {len(deleted)} deleted that only versions older than {hours} h held"
    if gave_way:
        message += "; somebody wrote at the same time, compaction comes again next time"
    return {"files_before": float(before), "files_after": float(after), "files_deleted": float(len(deleted))}, message
