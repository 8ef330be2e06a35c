"""Bringing the ledgers of one partition back from its history records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray_jobs.generated.contract import Contract
from ray_jobs.ledger.verify import CALIBRATION, LEDGERS, PENDING, Book, Pending
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

    def take(self, station: str, record: dict[str, Any]) -> None:
        whose = station, arm_of(record)
        if kind_of(record) == CALIBRATION:
            self._calibrations[whose] = record["payload"]
        else:
            pending = self._book.read_pending(record)
            if pending is None:
                return
            self._pendings.setdefault(whose, {})[self._book.slot(pending.issued)] = pending
        self._changed.add(whose)

    def settle(self, state_of: Callable[[str], StationState]) -> None:
        for whose in sorted(self._changed):
            station, arm = whose
            state = state_of(station)
            ledgers = LEDGERS.of(state) or {}
            ledgers[arm] = self._book.restore(self._pendings.get(whose, {}).values(), self._calibrations.get(whose))
            LEDGERS.put(state, ledgers)
        self._changed.clear()
