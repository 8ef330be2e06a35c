"""The batch job <pipeline>-compact: fewer, larger files in the feature table, and none that nobody can need any more.

Rewrites what small files hold and deletes by age; no row changes, so a reader of any version within the retention sees
what it saw. A backfill that writes at the same time wins: the compaction gives way and comes again at its next time.
"""

from __future__ import annotations

from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from ray_jobs.generated.contract import Contract
from ray_jobs.generated.job import Reporter
from ray_jobs.generated.params import CompactParams

HOUR_MS = 3_600_000


def run(contract: Contract, params: CompactParams, reporter: Reporter) -> dict[str, float]:
    """Compacts and cleans up one table. Returns the counters of the last report.

    `files_before` and `files_after` count the files of the newest version, `files_deleted` those taken off the disk.
    A table that is not there has 0 of each: nothing was backfilled yet.
    """
    counters, message = keep_up(params.table_path, params.retention_ms)
    reporter.progress(counters, message=message)
    return counters


def keep_up(path: str, retention_ms: int) -> tuple[dict[str, float], str]:
    """Counters and one sentence. Retention counts in whole hours, rounded up: never shorter than asked for."""
    try:
        table = DeltaTable(path)
    except TableNotFoundError:
        return {"files_before": 0.0, "files_after": 0.0, "files_deleted": 0.0}, "no feature table yet"
    before = len(table.file_uris())
    gave_way = False
    try:
        table.optimize.compact()
    except CommitFailedError:
        gave_way = True
    hours = -(-retention_ms // HOUR_MS)
    deleted = table.vacuum(retention_hours=hours, dry_run=False, enforce_retention_duration=False)
    table.update_incremental()
    after = len(table.file_uris())
    message = f"{before} files, now {after}; {len(deleted)} deleted that only versions older than {hours} h held"
    if gave_way:
        message += "; somebody wrote at the same time, compaction comes again next time"
    return {"files_before": float(before), "files_after": float(after), "files_deleted": float(len(deleted))}, message
