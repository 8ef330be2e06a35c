"""The life of an anomaly: opened, confirmed, resolved, under one id. Pure; events.py runs it behind the verdicts.

Of each station and type at most one is open. A window of that type opens it; a later one that shares no observation
with it confirms it, since overlapping windows repeat one bad value; the first window that is not of the type and shares
no observation with the last flagged one resolves it, or the end of a station that fell silent and is forgotten. Only
event time counts, so the same rows lead the same lives wherever batches are cut.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from ray_jobs.detect.rules import Verdict

OPENED, CONFIRMED, RESOLVED = "opened", "confirmed", "resolved"
FLAGGED, CLEARED, SILENT = "flagged", "clear", "silent"


class Anomaly(NamedTuple):
    """Times are ends of windows, UTC epoch ms; `confirmed` is None before. `severity` is the highest score so far, at
    `peak`, with what was found there and who judged. `windows` counts flagged ones, each once.
    """

    id: str
    type: str
    opened: int
    confirmed: int | None
    last: int
    peak: int
    severity: float
    windows: int
    evidence: tuple[str, ...]
    method: str


class Turn(NamedTuple):
    """An anomaly as it stands behind a row, and what it became by it: None when it only went on."""

    anomaly: Anomaly
    state: str | None
    cause: str


def anomaly_id(where: str, station: str, kind: str, opened: int, plan_epoch: int, revision: int) -> str:
    """32 hex digits. The row's version is part: a window revised after an anomaly ended may open another."""
    identity = f"{where}|{station}|{kind}|{opened}|{plan_epoch}|{revision}"
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def turns(
    held: dict[str, Anomaly], verdict: Verdict, method: str, end: int, window_ms: int, named: str
) -> Iterator[Turn]:
    """What one window with this end does to the anomalies that are open, by type; at most one turn of each.

    `named` is the id of one that it opens. Edges: a window that came late raises a severity, and moves no time back.
    """
    found = verdict.type if verdict.is_anomaly else None
    for kind, anomaly in sorted(held.items()):
        if kind != found and end - window_ms >= anomaly.last:
            yield Turn(anomaly, RESOLVED, CLEARED)
    if found is None:
        return
    before = held.get(found)
    if before is None:
        new = Anomaly(named, found, end, None, end, end, verdict.score, 1, verdict.evidence, method)
        yield Turn(new, OPENED, FLAGGED)
        return
    now = before
    if end > now.last:
        now = now._replace(last=end, windows=now.windows + 1)
    if verdict.score > now.severity:
        now = now._replace(peak=end, severity=verdict.score, evidence=verdict.evidence, method=method)
    if now.confirmed is None and end - window_ms >= now.opened:
        yield Turn(now._replace(confirmed=end), CONFIRMED, FLAGGED)
    elif now != before:
        yield Turn(now, None, FLAGGED)


def to_payload(anomaly: Anomaly) -> bytes:
    """For a history record: the same anomaly gives the same bytes, and every double comes back as it was."""
    return json.dumps(anomaly._asdict(), ensure_ascii=False, separators=(",", ":")).encode()


def from_payload(payload: bytes) -> Anomaly:
    said: dict[str, Any] = json.loads(payload)
    return Anomaly(**said | {"evidence": tuple(said["evidence"])})
