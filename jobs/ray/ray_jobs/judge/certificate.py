"""Whether a certificate stands for the rows a training reads. Pure but for reading the folder and the table's log.

A certificate (jobs/pyspark/spark_jobs/certify/certificate.py) says: for this contract and by this code, stream,
backfill and oracle agreed on this range. It stands for rows of the table when they were written by the same code under
the same contract, which each commit of the backfill notes, and when their windows lie inside its range.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from deltalake import DeltaTable
from ray_jobs.generated.contract import Contract
from ray_jobs.generated.job import JobError
from ray_jobs.generated.params import TrainParams
from ray_jobs.kit import table

# Commits of these kinds move no row.
STILL = frozenset({"OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES", "CREATE TABLE"})

Span = tuple[float, float]  # [from, to), epoch ms


@dataclass(frozen=True)
class Commit:
    """What a commit of the table's log says it wrote: windows that end in `span`, by which code, under which contract.

    `code` and `fingerprint` are None where it does not say.
    """

    span: Span
    code: str | None
    fingerprint: str | None


def require(contract: Contract, params: TrainParams, version: int) -> str | None:
    """SHA-256 of a passed certificate that stands for the rows; None where there is none and that is allowed.

    Errors: `uncertified` with why each certificate does not, and what to do.
    """
    span = training_span(contract, params, version)
    if span is None:
        return None  # No rows: training says so itself.
    written = writers(commits_of(DeltaTable(params.table_path, version=version).history()), span)
    found = read(params.certificates_path)
    reasons = {name: why_not(body, name, contract, span, written) for name, body in found.items()}
    good = sorted(name for name, why in reasons.items() if why is None)
    if good:
        return good[0]
    if params.allow_uncertified:
        return None
    seen = "; ".join(f"{name[:12]} {why}" for name, why in sorted(reasons.items())) or "there is none"
    raise JobError(
        "uncertified",
        f'Cannot train on "{params.table_path}": expected a passed certificate for the windows that end in '
        f'{describe_span(span)} in "{params.certificates_path}", {seen}; run "millrace certify", '
        "or take --allow-uncertified",
    )


def why_not(
    body: bytes, name: str, contract: Contract, span: Span, written: Iterable[tuple[str | None, str | None]]
) -> str | None:
    """Why a certificate does not stand for windows that end in `span` and were `written` by these; None if it does."""
    if hashlib.sha256(body).hexdigest() != name:
        return "is not what its name says: it was changed"
    try:
        said_by: Mapping[str, Any] = json.loads(body)
        verdict, fingerprint = said_by["verdict"], said_by["contract_fingerprint"]
        code, covers = said_by["code_sha256"], (said_by["range"]["from_ms"], said_by["range"]["to_ms"])
    except (ValueError, KeyError, TypeError):
        return "is no certificate"
    if verdict != "passed":
        return f"says {verdict}"
    if fingerprint != contract.fingerprint:
        return f"is of contract {fingerprint[:12]}, the live one is {contract.fingerprint[:12]}"
    if not (covers[0] <= span[0] and span[1] <= covers[1]):
        return f"covers {describe_span(covers)} only"
    for by_code, by_fingerprint in written:
        if by_code is None:
            return "cannot vouch for rows of which the table's log does not say what wrote them: backfill again"
        if by_fingerprint != fingerprint:
            return "cannot vouch for rows written under another contract: backfill again"
        if by_code != code:
            return "is of other code than what wrote the rows: certify or backfill again"
    return None


def training_span(contract: Contract, params: TrainParams, version: int) -> Span | None:
    """[first, last] window end of the rows that training reads, the last one made exclusive; None without rows."""
    rows = table.read(
        params.table_path, version, contract, [contract.entity_key, "window_end"], params.from_ms, params.cut_ms
    )
    if len(rows) == 0:
        return None
    ends: Any = pc.min_max(rows["window_end"])
    return float(ends["min"].as_py()), float(ends["max"].as_py() + 1)


def commits_of(history: Iterable[Mapping[str, Any]]) -> list[Commit]:
    """The commits that wrote rows, newest first."""
    found = []
    for entry in sorted(history, key=lambda e: -int(e["version"])):
        if entry.get("operation") in STILL:
            continue
        try:
            note = json.loads(entry.get("userMetadata") or "")
        except ValueError:
            note = {}
        start, end = note.get("from_ms"), note.get("to_ms")
        span = (float("-inf") if start is None else float(start), float("inf") if end is None else float(end))
        found.append(Commit(span, note.get("code"), note.get("fingerprint")))
    return found


def writers(commits: Sequence[Commit], span: Span) -> set[tuple[str | None, str | None]]:
    """(code, fingerprint) of every commit that has rows of `span` in the table: a newer one hides what it replaced."""
    found: set[tuple[str | None, str | None]] = set()
    open_spans = [span]
    for commit in commits:
        left: list[Span] = []
        for start, end in open_spans:
            low, high = max(start, commit.span[0]), min(end, commit.span[1])
            if low >= high:
                left.append((start, end))
                continue
            found.add((commit.code, commit.fingerprint))
            left += [part for part in ((start, low), (high, end)) if part[0] < part[1]]
        open_spans = left
        if not open_spans:
            return found
    return found | {(None, None)}


def read(folder: str) -> dict[str, bytes]:
    """The certificates of a folder by the name they carry."""
    return {path.stem: path.read_bytes() for path in sorted(Path(folder.removeprefix("file://")).glob("*.json"))}


def describe_span(span: Span) -> str:
    first, last = (datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for ms in span)
    return f"[{first}, {last})"
