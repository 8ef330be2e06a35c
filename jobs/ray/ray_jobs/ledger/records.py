"""Bringing the ledgers of one partition back from its history records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray_jobs.generated.contract import Contract
from ray_jobs.ledger.verify import LEDGER, Book, Pending
from ray_jobs.state.ring import StationState


class LedgerRecords:
    """The ledger's share of a restoration (state/history.py): records in offset order, the last of each key counts."""

    kinds = frozenset({"pending", "calibration"})

    def __init__(self, contract: Contract) -> None:
        self._book = Book(contract)
        self._pendings: dict[str, dict[int, Pending]] = {}
        self._calibrations: dict[str, bytes] = {}
        self._changed: set[str] = set()

    def take(self, station: str, record: dict[str, Any]) -> None:
        if record["kind"] == "calibration":
            self._calibrations[station] = record["payload"]
        else:
            pending = self._book.read_pending(record)
            if pending is None:
                return
            self._pendings.setdefault(station, {})[self._book.slot(pending.issued)] = pending
        self._changed.add(station)

    def settle(self, state_of: Callable[[str], StationState]) -> None:
        for station in self._changed:
            ledger = self._book.restore(self._pendings.get(station, {}).values(), self._calibrations.get(station))
            LEDGER.put(state_of(station), ledger)
        self._changed.clear()
