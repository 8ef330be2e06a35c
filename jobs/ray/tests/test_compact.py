"""Upkeep of the feature table: the rows stay, the files become few, and old ones go only after their time."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from ray_jobs.kit.table import keep_up
from ray_jobs.kit.time import HOUR_MS


def written(path: Path, parts: int) -> None:
    for part in range(parts):
        write_deltalake(str(path), pa.table({"station_id": ["a"], "window_end": [part]}), mode="append")


def rows(path: Path) -> list[int]:
    return sorted(DeltaTable(str(path)).to_pyarrow_table()["window_end"].to_pylist())


def test_small_files_come_together_and_no_row_changes(tmp_path: Path) -> None:
    written(tmp_path / "t", 7)
    counters, message = keep_up(str(tmp_path / "t"), 7 * 24 * HOUR_MS)
    assert counters == {"files_before": 7, "files_after": 1, "files_deleted": 0}
    assert message.startswith("7 files, now 1")
    assert rows(tmp_path / "t") == list(range(7))
    # Who reads the version from before still can.
    assert len(DeltaTable(str(tmp_path / "t"), version=6).to_pyarrow_table()) == 7


def test_files_of_old_versions_go_after_the_retention(tmp_path: Path) -> None:
    written(tmp_path / "t", 3)
    keep_up(str(tmp_path / "t"), 7 * 24 * HOUR_MS)
    counters, _ = keep_up(str(tmp_path / "t"), 0)
    assert counters["files_deleted"] == 3
    assert rows(tmp_path / "t") == [0, 1, 2]
    assert len(list((tmp_path / "t").glob("*.parquet"))) == 1


def test_a_second_run_finds_nothing_to_do(tmp_path: Path) -> None:
    written(tmp_path / "t", 2)
    keep_up(str(tmp_path / "t"), HOUR_MS)
    assert keep_up(str(tmp_path / "t"), HOUR_MS)[0] == {"files_before": 1, "files_after": 1, "files_deleted": 0}


def test_no_table_is_nothing_to_do(tmp_path: Path) -> None:
    assert keep_up(str(tmp_path / "none"), HOUR_MS)[1] == "no feature table yet"
