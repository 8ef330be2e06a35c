"""Behind the verdicts: what they make of the anomalies of each station (life.py), into records for their topic and
into the history, which brings the open ones back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray_jobs.detect.after import VERDICTS
from ray_jobs.detect.life import (
    CONFIRMED,
    OPENED,
    RESOLVED,
    SILENT,
    Anomaly,
    Turn,
    anomaly_id,
    from_payload,
    to_payload,
    turns,
)
from ray_jobs.generated.contract import Contract
from ray_jobs.state import changelog
from ray_jobs.state.batch import Applied, Batch, HistoryChange
from ray_jobs.state.ring import StationState
from ray_jobs.state.slots import Slot
from ray_jobs.state.stage import Stage, States, Tick

# By type, those that are open.
OPEN: Slot[dict[str, Anomaly]] = Slot("anomalies")
# Kind of history records: one a station and type, forgotten when the anomaly ends.
KIND = "anomaly"


class EventStage(Stage):
    def __init__(self, contract: Contract, namespace: str) -> None:
        self._key = contract.entity_key
        self._window_ms = contract.window_ms
        self._where = f"{namespace}|{contract.pipeline}"

    def step(self, batch: Batch, states: States) -> None:
        judgement = VERDICTS.of(batch)
        if judgement is None:
            return
        # The last of each key counts.
        changed: dict[tuple[int, str, str], Anomaly | None] = {}
        for one, verdict in zip(batch.applied, judgement.verdicts, strict=True):
            held = OPEN.of(one.state) or {}
            if not held and not verdict.is_anomaly:
                continue
            row = one.row
            end, version = row["window_end"], (row["plan_epoch"], row["revision"])
            named = anomaly_id(self._where, one.station, verdict.type or "", end, *version)
            for turn in list(turns(held, verdict, judgement.method, end, self._window_ms, named)):
                kind = turn.anomaly.type
                ended = turn.state == RESOLVED
                held = {k: a for k, a in held.items() if k != kind} | ({} if ended else {kind: turn.anomaly})
                changed[one.incoming.partition, kind, one.station] = None if ended else turn.anomaly
                batch.out.opened += turn.state == OPENED
                batch.out.confirmed += turn.state == CONFIRMED
                batch.out.resolved += ended
                if turn.state is not None:
                    batch.anomalies.append((one.station, self._record(one.station, turn, end, one)))
            if held:
                OPEN.put(one.state, held)
            else:
                OPEN.clear(one.state)
        for (partition, kind, station), anomaly in changed.items():
            record = None if anomaly is None else self._change(station, anomaly)
            batch.changes.append(HistoryChange(partition, key_of(kind, station), record))

    def tick(self, batch: Batch, tick: Tick) -> None:
        """What is open of a station that is forgotten ends with it."""
        for station, state in tick.evicted.items():
            for kind, anomaly in sorted((OPEN.of(state) or {}).items()):
                turn = Turn(anomaly, RESOLVED, SILENT)
                batch.anomalies.append((station, self._record(station, turn, tick.time_ms, None)))
                batch.changes.append(HistoryChange(tick.partition, key_of(kind, station), None))
                batch.out.resolved += 1

    def _change(self, station: str, anomaly: Anomaly) -> dict[str, Any]:
        return changelog.change_record(KIND, self._key, station, payload=to_payload(anomaly))

    def _record(self, station: str, turn: Turn, at: int, one: Applied | None) -> dict[str, Any]:
        """`one` is the row that moved it, None for the silence that did."""
        anomaly = turn.anomaly
        return {
            "id": anomaly.id,
            self._key: station,
            "anomaly_type": anomaly.type,
            "state": turn.state,
            "cause": turn.cause,
            "timestamp": at,
            "opened": anomaly.opened,
            "confirmed": anomaly.confirmed,
            "resolved": at if turn.state == RESOLVED else None,
            "last": anomaly.last,
            "peak": anomaly.peak,
            "severity": anomaly.severity,
            "windows": anomaly.windows,
            "evidence": list(anomaly.evidence),
            "method": anomaly.method,
            "plan_epoch": one.row["plan_epoch"] if one else 0,
            "revision": one.row["revision"] if one else 0,
            "feature_partition": one.incoming.partition if one else 0,
            "feature_offset": one.incoming.offset if one else -1,
        }


def key_of(kind: str, station: str) -> bytes:
    return changelog.key_of(KIND, kind, station=station)


class AnomalyRecords:
    """The open anomalies' share of a restoration (state/history.py)."""

    kinds = frozenset({KIND})

    def __init__(self) -> None:
        self._open: dict[str, dict[str, Anomaly]] = {}
        self._changed: set[str] = set()

    def take(self, station: str, record: dict[str, Any]) -> bytes | None:
        anomaly = from_payload(record["payload"])
        self._open.setdefault(station, {})[anomaly.type] = anomaly
        self._changed.add(station)
        return key_of(anomaly.type, station)

    def forget(self, key: bytes) -> None:
        _, (kind,), station = changelog.read_key(key, 1)
        self._open.get(station or "", {}).pop(kind, None)
        self._changed.add(station or "")

    def settle(self, state_of: Callable[[str], StationState]) -> None:
        for station in sorted(self._changed):
            state, held = state_of(station), self._open.get(station)
            if held:
                OPEN.put(state, dict(held))
            else:
                OPEN.clear(state)
        self._changed.clear()
