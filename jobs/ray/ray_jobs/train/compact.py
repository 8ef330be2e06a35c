"""The batch job <pipeline>-compact: fewer, larger files in the feature table, and none that nobody can need any more.

Rewrites what small files hold and deletes by age; no row changes, so a reader of any version within the retention sees
what it saw. A backfill that writes at the same time wins: the compaction gives way and comes again at its next time.
"""

from __future__ import annotations

from ray_jobs.generated.contract import Contract
from ray_jobs.generated.job import Reporter
from ray_jobs.generated.params import CompactParams
from ray_jobs.kit import table


def run(contract: Contract, params: CompactParams, reporter: Reporter) -> dict[str, float]:
    """Compacts and cleans up one table. Returns the counters of the last report.

    `files_before` and `files_after` count the files of the newest version, `files_deleted` those taken off the disk.
    A table that is not there has 0 of each: nothing was backfilled yet.
    """
    counters, message = table.keep_up(params.table_path, params.retention_ms)
    reporter.progress(counters, message=message)
    return counters
