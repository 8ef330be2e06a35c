"""certificate.py: what vouches for a training is a passed certificate of the same code, contract and range."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import CommitProperties, write_deltalake
from ray_jobs.generated.job import JobError
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.judge import certificate
from ray_jobs.judge.certificate import Commit
from ray_jobs.kit import table
from tests.tables import epoch_ms, train_params

FROM, TO = epoch_ms("2016-01-01"), epoch_ms("2016-06-01")
NOTE = {"fingerprint": CONTRACT.fingerprint, "code": "c0de", "from_ms": None, "to_ms": None}


def write_table(path: Path, note: dict[str, Any] | None = NOTE) -> None:
    ends = [datetime.fromtimestamp(ms / 1000, UTC) for ms in (FROM, TO - 60_000)]
    rows = pa.table({CONTRACT.key: ["boston", "boston"], "window_end": pa.array(ends, pa.timestamp("us", tz="UTC"))})
    said = None if note is None else CommitProperties(custom_metadata={"userMetadata": json.dumps(note)})
    write_deltalake(str(path), rows, mode="overwrite", commit_properties=said)


def write_certificate(folder: Path, **changed: Any) -> str:
    made = {
        "verdict": "passed",
        "contract_fingerprint": CONTRACT.fingerprint,
        "code_sha256": "c0de",
        "range": {"from_ms": FROM, "to_ms": TO},
    } | changed
    body = json.dumps(made).encode()
    name = hashlib.sha256(body).hexdigest()
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_bytes(body)
    return name


def require(tmp_path: Path, **changed: Any) -> str | None:
    params = train_params(tmp_path / "table", "2016-12-01", **{"allow_uncertified": False} | changed)
    return certificate.require(CONTRACT, params, table.pin(params.table_path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_table(tmp_path / "table")
    return tmp_path / "table-certificates"


def test_require_takes_the_certificate_that_stands_for_the_rows(tmp_path: Path, folder: Path) -> None:
    write_certificate(folder, verdict="failed")
    good = write_certificate(folder)
    assert require(tmp_path) == good
    assert require(tmp_path, allow_uncertified=True) == good


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"verdict": "failed"}, "says failed"),
        ({"contract_fingerprint": "0123456789abcdef"}, "is of contract 0123456789ab, the live one is"),
        ({"code_sha256": "other"}, "is of other code than what wrote the rows"),
        ({"range": {"from_ms": FROM + 1, "to_ms": TO}}, "covers .2016-01-01T00:00:00Z, 2016-06-01T00:00:00Z. only"),
        ({"range": {"from_ms": FROM, "to_ms": TO - 120_000}}, "covers"),
        ({"range": None}, "is no certificate"),
    ],
)
def test_require_refuses_and_says_why(tmp_path: Path, folder: Path, changed: dict[str, Any], why: str) -> None:
    write_certificate(folder, **changed)
    with pytest.raises(JobError, match=f'{why}.*run "millrace certify", or take --allow-uncertified') as refused:
        require(tmp_path)
    assert refused.value.code == "uncertified"
    assert require(tmp_path, allow_uncertified=True) is None


def test_require_refuses_a_changed_byte_and_no_certificate_at_all(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(JobError, match="there is none"):
        require(tmp_path)
    path = folder / f"{write_certificate(folder, verdict='failed')}.json"
    path.write_text(path.read_text().replace("failed", "passed"))
    with pytest.raises(JobError, match="it was changed"):
        require(tmp_path)


def test_require_takes_a_range_within_the_certificates(tmp_path: Path, folder: Path) -> None:
    good = write_certificate(folder, range={"from_ms": FROM, "to_ms": TO - 120_000})
    assert require(tmp_path, cut_ms=TO - 120_000) == good


@pytest.mark.parametrize("note", [None, {"job": "weather-backfill"}, NOTE | {"fingerprint": "another"}])
def test_require_refuses_rows_of_nobody_or_of_another_contract(tmp_path: Path, note: dict[str, Any] | None) -> None:
    write_table(tmp_path / "table", note)
    write_certificate(tmp_path / "table-certificates")
    with pytest.raises(JobError, match="cannot vouch for rows"):
        require(tmp_path)


def test_writers_are_those_whose_rows_are_still_there() -> None:
    forever = (float("-inf"), float("inf"))
    commits = [
        Commit((10, 20), "c", "f"),
        Commit((15, 30), "b", "f"),
        Commit(forever, "a", "f"),
        Commit(forever, "z", "f"),
    ]
    assert certificate.writers(commits, (12, 18)) == {("c", "f")}
    assert certificate.writers(commits, (12, 22)) == {("c", "f"), ("b", "f")}
    assert certificate.writers(commits, (0, 40)) == {("c", "f"), ("b", "f"), ("a", "f")}
    # What no commit of the log wrote is nobody's.
    assert certificate.writers(commits[:2], (5, 18)) == {("c", "f"), (None, None)}


def test_commits_skip_what_moves_no_row() -> None:
    history = [
        {"version": 0, "operation": "WRITE", "userMetadata": json.dumps(NOTE | {"from_ms": 5})},
        {"version": 1, "operation": "OPTIMIZE"},
        {"version": 2, "operation": "DELETE"},
    ]
    assert certificate.commits_of(history) == [
        Commit((float("-inf"), float("inf")), None, None),
        Commit((5.0, float("inf")), "c0de", CONTRACT.fingerprint),
    ]
