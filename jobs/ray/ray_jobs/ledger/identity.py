"""Which forecast is which: the id that a prediction, its promise in the history and its verifications share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from ray_jobs.generated.contract import Contract


class Identity:
    """Ids of one pipeline in one namespace."""

    def __init__(self, contract: Contract, namespace: str) -> None:
        self._key = contract.entity_key
        self._where = f"{namespace}|{contract.pipeline}"

    def of(self, row: Mapping[str, Any], version: str, arm: str) -> bytes:
        """16 bytes: the same row, version of the model and arm give the same ones in every run."""
        identity = (
            f"{self._where}|{row[self._key]}|{row['window_end']}|{row['plan_epoch']}|{row['revision']}|{version}|{arm}"
        )
        return hashlib.sha256(identity.encode()).digest()[:16]
