"""Bringing the ledgers of one partition back from its history records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray_jobs.generated.contract import Contract
from ray_jobs.ledger.verify import CALIBRATION, LEDGERS, PENDING, Book, Pending
from ray_jobs.state import changelog
from ray_jobs.state.changelog import arm_of, kind_of
from ray_jobs.state.ring import StationState


class LedgerRecords:
    """The ledger's share of a restoration (state/history.py): records in offset order, the last of each key counts."""

    kinds = frozenset({PENDING, CALIBRATION})

    def __init__(self, contract: Contract) -> None:
        self._book = Book(contract)
        self._pendings: dict[tuple[str, str], dict[int, Pending]] = {}
        self._calibrations: dict[tuple[str, str], bytes] = {}
        self._changed: set[tuple[str, str]] = set()

    def take(self, station: str, record: dict[str, Any]) -> bytes | None:
        arm = arm_of(record)
        whose = station, arm
        if kind_of(record) == CALIBRATION:
            self._calibrations[whose] = record["payload"]
            self._changed.add(whose)
            return self._book.calibration_key(station, arm)
        pending = self._book.read_pending(record)
        if pending is None:
            return None
        self._pendings.setdefault(whose, {})[self._book.slot(pending.issued)] = pending
        self._changed.add(whose)
        return self._book.pending_key(station, arm, pending.issued)

    def forget(self, key: bytes) -> None:
        kind = changelog.kind_of_key(key)
        (arm, *slot), station = changelog.read_key(key, 2 if kind == PENDING else 1)[1:]
        whose = station or "", arm
        if kind == CALIBRATION:
            self._calibrations.pop(whose, None)
        else:
            self._pendings.get(whose, {}).pop(int(slot[0]), None)
        self._changed.add(whose)

    def settle(self, state_of: Callable[[str], StationState]) -> None:
        for whose in sorted(self._changed):
            station, arm = whose
            state = state_of(station)
            ledgers = LEDGERS.of(state) or {}
            pendings, calibration = self._pendings.get(whose), self._calibrations.get(whose)
            if pendings or calibration is not None:
                ledgers[arm] = self._book.restore((pendings or {}).values(), calibration)
            else:
                ledgers.pop(arm, None)
            if ledgers:
                LEDGERS.put(state, ledgers)
            else:
                LEDGERS.clear(state)
        self._changed.clear()
