"""Which stages a pipeline has, in what order, and what brings their memories back from the history. The one place that
says so: a part that the contract lacks brings no stage.

fold → detect (before) → forecast (per arm) → settle (per arm) → detect (after: verdicts, events) → encode
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ray_jobs.detect.after import VerdictStage
from ray_jobs.detect.before import RulesStage
from ray_jobs.detect.events import AnomalyRecords, EventStage
from ray_jobs.detect.rules import Rules
from ray_jobs.fold.stage import FoldStage
from ray_jobs.generated.contract import Contract
from ray_jobs.ledger.identity import Identity
from ray_jobs.ledger.records import LedgerRecords
from ray_jobs.ledger.settle import RetiredStage, SettleStage
from ray_jobs.model.forecast import ForecastStage
from ray_jobs.state.history import Records
from ray_jobs.state.stage import Stage, Witness
from ray_jobs.stream.encode import Codecs, EncodeStage, Names


@dataclass(frozen=True)
class Stages:
    fold: FoldStage
    between: tuple[Stage, ...]
    encode: EncodeStage

    @property
    def ordered(self) -> tuple[Stage, ...]:
        return (self.fold, *self.between, self.encode)


def forecasts(contract: Contract) -> bool:
    return bool(contract.targets)


def stages_of(contract: Contract, names: Names, codecs: Codecs, now_ms: Callable[[], int]) -> Stages:
    """Errors: ValueError for an arm that no key of the history can hold, for rules without their columns."""
    identity = Identity(contract, names.namespace)
    arms = names.arms if forecasts(contract) else ()
    rules = contract.judges and Rules(contract).any
    settle = [SettleStage(contract, arm, identity) for arm in arms]
    retired = [RetiredStage(contract, arms)] if arms else []
    between: list[Stage] = [
        *([RulesStage(contract)] if rules else []),
        *(ForecastStage(arm, rejects=arm == names.arm) for arm in arms),
        *settle,
        *retired,
        *([VerdictStage(), EventStage(contract, names.namespace)] if rules else []),
    ]
    witnesses: list[Witness] = [*settle, *retired]
    fold = FoldStage(contract, codecs.features, witnesses)
    return Stages(fold, tuple(between), EncodeStage(contract, names, codecs, identity, now_ms))


def records_of(contract: Contract) -> list[Records]:
    """For one partition's restoration (state/history.py); the fold's own cells are read there."""
    ledgers: list[Records] = [LedgerRecords(contract)] if forecasts(contract) else []
    return [*ledgers, *([AnomalyRecords()] if contract.judges else [])]
