"""archived.py: runs and holes of offsets in any order, repeats, and what a range of event time reaches over."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import strategies as st
from spark_jobs.archive import archived
from spark_jobs.kit import table

HOUR_MS = 3_600_000


@pytest.mark.slow
@given(st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=20), min_size=1, max_size=5), st.integers(1, 30))
def test_runs_cover_exactly_the_offsets_there_are(batches: list[list[int]], most: int) -> None:
    held = archived.PartitionOffsets()
    before, archived.RUNS_MOST = archived.RUNS_MOST, most
    try:
        for batch in batches:
            held.add(np.array(batch, dtype=np.int64))
    finally:
        archived.RUNS_MOST = before
    every = [offset for batch in batches for offset in batch]
    first, end = held.runs()
    assert [o for a, b in zip(first, end, strict=True) for o in range(a, b)] == sorted(set(every))
    assert all(first[1:] > end[:-1])
    said = archived.partition(3, held)
    assert (said["partition"], said["rows"]) == (3, len(every))
    assert said["repeated"] == len(every) - len(set(every))
    assert [o for a, b in said["holes"] for o in range(a, b)] == [
        o for o in range(min(every), max(every)) if o not in every
    ]


def write(path: Path, rows: list[tuple[int, int, int | None, int, str | None]]) -> None:
    """(partition, offset, event time in hours, clock in hours, reason) as a table like the archive's."""
    write_deltalake(
        str(path),
        pa.table(
            {
                "partition": pa.array([r[0] for r in rows], pa.int32()),
                "offset": pa.array([r[1] for r in rows], pa.int64()),
                "event_time": pa.array(
                    [None if r[2] is None else r[2] * HOUR_MS * 1000 for r in rows], pa.timestamp("us", "UTC")
                ),
                "clock_ms": pa.array([r[3] * HOUR_MS for r in rows], pa.int64()),
                "reason": pa.array([r[4] for r in rows], pa.string()),
                "event_date": pa.array([datetime.fromtimestamp(r[3] * 3600, UTC).date() for r in rows]),
            }
        ),
        partition_by=["event_date"],
        mode="append",
    )


def test_a_table_is_described_whole_by_offsets_and_by_time(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    assert archived.described(str(path), None, None) == {"table": False}
    write(path, [(0, 0, 1, 1, None), (0, 1, 2, 2, None), (0, 4, 30, 30, None), (1, 7, None, 29, "undecodable")])
    write(path, [(0, 1, 2, 2, None), (0, 5, 31, 31, None), (1, 9, 60, 60, None)])
    known = {archived.FINGERPRINT: "f", archived.LOST: json.dumps([[0, 2, 4]])}
    DeltaTable(str(path)).alter.set_table_properties(known, raise_if_not_exists=False)

    said = archived.described(str(path), None, None)
    assert {name: said[name] for name in ("rows", "files", "version", "first_version", "fingerprint", "selected")} == {
        "rows": 7,
        "files": 5,
        "version": 2,
        "first_version": 0,
        "fingerprint": "f",
        "selected": None,
    }
    assert said["bytes"] > 0 and said["lost"] == [[0, 2, 4]]
    assert said["dates"] == {"count": 3, "first": "1970-01-01", "last": "1970-01-03"}
    assert said["partitions"] == [
        {"partition": 0, "rows": 5, "first": 0, "end": 6, "repeated": 1, "holes": [[2, 4]]},
        {"partition": 1, "rows": 2, "first": 7, "end": 10, "repeated": 0, "holes": [[8, 9]]},
    ]

    some: dict[str, list[int]] = {"0": [1, 5]}
    assert archived.described(str(path), None, some)["partitions"] == [
        {"partition": 0, "rows": 3, "first": 1, "end": 5, "repeated": 1, "holes": [[2, 4]]}
    ]

    span: dict[str, Any] = {
        "from_ms": 30 * HOUR_MS,
        "to_ms": 40 * HOUR_MS,
        "lead_ms": HOUR_MS,
        "lateness_ms": HOUR_MS,
    }
    timed = archived.described(str(path), span, None)
    assert timed["selected"] == 3
    # What could not be read belongs to the range by its clock: one hour before it is within the lead.
    assert [(p["partition"], p["first"], p["end"]) for p in timed["partitions"]] == [(0, 4, 6), (1, 7, 8)]
    nothing = archived.described(str(path), span | {"from_ms": 100 * HOUR_MS, "to_ms": None}, None)
    assert (nothing["selected"], nothing["partitions"]) == (0, [])


def test_both_readers_of_a_table_use_the_same_names() -> None:
    assert (archived.FINGERPRINT, archived.LOST) == (table.FINGERPRINT, table.LOST)
