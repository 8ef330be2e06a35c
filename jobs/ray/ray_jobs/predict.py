"""One batch of feature records into predictions, history, rejects and next offsets; everything between poll and
produce.

Called by the worker for each Kafka transaction, and by tests without Kafka. Holds the folded state of its partitions.
Writes nothing itself: after a failed transaction the worker drops the partitions and restores them.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from ray_jobs import conformal, fold, ring, rules
from ray_jobs.confidence import confidence
from ray_jobs.fold import Fold, Step
from ray_jobs.generated.contract import Contract
from ray_jobs.io import BadRecord, Decoder, Encoder, schema_id
from ray_jobs.model import Forecast, bounds
from ray_jobs.neighbours import NOBODY, Near, Rings
from ray_jobs.ring import Cell, StationState

Floats = NDArray[np.float64]
PartitionState = dict[str, StationState]


class Scores(Protocol):
    """What this module needs of a model. Shapes: stations [n], t_ms [n], inputs [n, input]; see model.Forecast."""

    version: str
    train_from_ms: int
    train_to_ms: int

    @property
    def scales(self) -> Floats:
        """Scale of each band before any station adapts its own. -> [target, horizon, band]."""
        ...

    def forecast(self, stations: list[str], t_ms: NDArray[np.int64], inputs: Floats) -> Forecast: ...

    def spread(self, station: str, target: str) -> float: ...


class Incoming(NamedTuple):
    """One record of the feature topic. `append_time` is the broker's, epoch ms."""

    partition: int
    offset: int
    append_time: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]


@dataclass
class Outcome:
    """What one transaction is to write. Every row of the batch is in exactly one of the counts below `rows`.

    `predictions` and `rejects`: (key, value). `history`: (partition, key, value), the last record of each key and then
    the cursors. `next_offsets`: partition -> first offset not covered.
    """

    predictions: list[tuple[bytes, bytes]] = field(default_factory=list)
    history: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    rejects: list[tuple[bytes | None, bytes]] = field(default_factory=list)
    next_offsets: dict[int, int] = field(default_factory=dict)
    rows: int = 0
    predicted: int = 0
    skipped: int = 0
    expired: int = 0
    rejected: int = 0
    predict_ms: float = 0.0


@dataclass(frozen=True)
class Names:
    """Who speaks: what goes into every prediction's id and provenance."""

    namespace: str
    features_topic: str
    arm: str


@dataclass(frozen=True)
class Codecs:
    features: Decoder
    predictions: Encoder
    history: Encoder
    rejects: Encoder


class _Applied(NamedTuple):
    incoming: Incoming
    row: dict[str, Any]
    step: Step


class Scorer:
    """Folds, scores and encodes batches of one contract; `states` holds partition -> station -> state.

    `others` knows the stations of the partitions that are not held here.
    """

    def __init__(
        self, contract: Contract, names: Names, codecs: Codecs, now_ms: Callable[[], int], others: Near = NOBODY
    ) -> None:
        self.contract = contract
        self.fold = Fold(contract)
        self.states: dict[int, PartitionState] = {}
        self.others = others
        self._names = names
        self._codecs = codecs
        self._now_ms = now_ms
        self._heads = [[f"{t}_{h}h" for h in contract.horizons_h] for t in contract.targets]
        self._levels = [f"q{round(q * 100):02d}" for q in contract.levels]
        self._median = len(contract.bands)
        self._low, self._high = bounds(contract)
        self._band = _band_name(contract)
        self._spreads: dict[tuple[str, str], list[float]] = {}

    def score(self, batch: Iterable[Incoming], model: Scores, history_offsets: Sequence[int]) -> Outcome:
        """Covers every record of the batch, in order.

        `history_offsets`: how far this process has read each partition of the history, for the provenance.
        Errors: none for bad records, which become rejects. Whatever else is raised leaves the states unusable: restore
        them.
        """
        out = Outcome()
        near = Rings(self.contract, self.states, self.others)
        applied: list[_Applied] = []
        cells: dict[tuple[int, str], tuple[str, Cell]] = {}
        for incoming in batch:
            out.rows += 1
            out.next_offsets[incoming.partition] = incoming.offset + 1
            try:
                row = self._codecs.features(incoming.value)
                step = self._fold(incoming, row, near)
            except BadRecord as bad:
                self._reject(out, incoming, bad)
                continue
            if step.status == fold.SKIPPED:
                out.skipped += 1
            elif step.status == fold.EXPIRED:
                out.expired += 1
            elif step.cell is not None:
                station = row[self.contract.key]
                key = ring.key_of(station, step.cell.cell, self.contract.ring_cells)
                cells[(incoming.partition, key)] = (station, step.cell)
                applied.append(_Applied(incoming, row, step))
        if applied:
            self._predict(out, applied, model, list(history_offsets))
        encode = self._codecs.history
        for (partition, key), (station, cell) in cells.items():
            record = ring.to_record(self.contract.key, station, cell)
            out.history.append((partition, key.encode(), encode(record)))
        for partition, next_offset in out.next_offsets.items():
            record = ring.cursor_record(self.contract.key, partition, next_offset)
            out.history.append((partition, ring.cursor_key(partition).encode(), encode(record)))
        return out

    def _fold(self, incoming: Incoming, row: dict[str, Any], near: Near) -> Step:
        station = row[self.contract.key]
        if not station:
            raise BadRecord("missing_key", f"{self.contract.key} is empty")
        row["feature_partition"] = incoming.partition
        row["feature_offset"] = incoming.offset
        stations = self.states.setdefault(incoming.partition, {})
        state = stations.get(station) or self.fold.new_state()
        try:
            step = self.fold.step(state, row, near)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BadRecord("unscorable", f"{type(error).__name__}: {error}") from error
        stations[station] = state
        return step

    def _predict(self, out: Outcome, applied: list[_Applied], model: Scores, history_offsets: list[int]) -> None:
        began = time.perf_counter()
        try:
            forecast = self._forecast(applied, model)
        except Exception:
            # One row the model chokes on must not stop the others: find it by scoring each alone.
            good: list[_Applied] = []
            for one in applied:
                try:
                    self._forecast([one], model)
                    good.append(one)
                except Exception as error:
                    self._reject(out, one.incoming, BadRecord("unscorable", f"{type(error).__name__}: {error}"))
            applied = good
            if not applied:
                return
            forecast = self._forecast(applied, model)
        out.predict_ms = (time.perf_counter() - began) * 1000.0

        contract = self.contract
        spread = np.array([self._spread(model, a.row[contract.key]) for a in applied])
        completeness = np.array([a.step.completeness for a in applied])
        quantiles = conformal.levels(forecast.heads, model.scales[None], self._low, self._high)
        sure = confidence(quantiles, spread, contract.levels, completeness)
        predict_time = self._now_ms()
        names = self._names
        prefix = f"{names.namespace}|{contract.pipeline}|"
        suffix = f"|{model.version}|{names.arm}"
        for one, levels, sureness in zip(applied, quantiles.tolist(), sure.tolist(), strict=True):
            row, step = one.row, one.step
            station, end = row[contract.key], row["window_end"]
            identity = f"{prefix}{station}|{end}|{row['plan_epoch']}|{row['revision']}{suffix}"
            medians: dict[str, float | None] = {}
            bands: dict[str, tuple[str, dict[str, float]] | None] = {}
            for heads, by_horizon in zip(self._heads, levels, strict=True):
                for head, values in zip(heads, by_horizon, strict=True):
                    said = all(map(math.isfinite, values))
                    medians[head] = values[self._median] if said else None
                    bands[head] = (self._band, dict(zip(self._levels, values, strict=True))) if said else None
            verdict = step.verdict
            record = {
                "id": hashlib.sha256(identity.encode()).hexdigest()[:32],
                contract.key: station,
                "timestamp": end,
                "window_start": row["window_start"],
                "plan_epoch": row["plan_epoch"],
                "revision": row["revision"],
                "model_version": model.version,
                "arm": names.arm,
                "predictions": medians,
                "quantiles": bands,
                "inputs": step.inputs,
                "anomaly": {
                    "is_anomaly": verdict.is_anomaly,
                    "anomaly_score": verdict.score,
                    "anomaly_type": verdict.type,
                    "evidence": list(verdict.evidence),
                    "method": rules.METHOD,
                },
                "confidence": {f"{t}_confidence": s for t, s in zip(contract.targets, sureness, strict=True)}
                | {"overall_confidence": sum(sureness) / len(sureness), "completeness": step.completeness},
                "in_sample": model.train_from_ms <= end < model.train_to_ms,
                "provenance": {
                    "feature_topic": names.features_topic,
                    "feature_partition": one.incoming.partition,
                    "feature_offset": one.incoming.offset,
                    "feature_schema_id": schema_id(one.incoming.value),
                    "raw_topic": None,
                    "raw_partition": row["raw_partition"],
                    "first_offset": row["first_offset"],
                    "last_offset": row["revision"],
                    "history_offsets": history_offsets,
                },
                "stages": {
                    "event_time": row["max_event_time"],
                    "raw_append_time": row["raw_append_time"],
                    "feature_processing_time": row["processing_time"],
                    "feature_append_time": one.incoming.append_time,
                    "predict_time": predict_time,
                },
            }
            out.predictions.append((station.encode(), self._codecs.predictions(record)))
            out.predicted += 1

    def _forecast(self, applied: list[_Applied], model: Scores) -> Forecast:
        stations = [a.row[self.contract.key] for a in applied]
        t_ms = np.array([a.row["window_end"] for a in applied], dtype=np.int64)
        inputs = np.array([a.step.inputs for a in applied], dtype=np.float64)
        return model.forecast(stations, t_ms, inputs)

    def _spread(self, model: Scores, station: str) -> list[float]:
        key = (model.version, station)
        found = self._spreads.get(key)
        if found is None:
            found = self._spreads[key] = [model.spread(station, t) for t in self.contract.targets]
        return found

    def _reject(self, out: Outcome, incoming: Incoming, bad: BadRecord) -> None:
        out.rejected += 1
        record = {
            "topic": self._names.features_topic,
            "partition": incoming.partition,
            "offset": incoming.offset,
            "field": None,
            "reason": bad.reason,
            "detail": bad.detail,
            self.contract.key: None if incoming.key is None else incoming.key.decode("utf-8", "replace"),
            "schema_id": schema_id(incoming.value),
            "key": incoming.key,
            "value": incoming.value,
            "headers": dict(incoming.headers),
            "append_time": incoming.append_time,
            "rejected_time": self._now_ms(),
        }
        out.rejects.append((incoming.key, self._codecs.rejects(record)))


def _band_name(contract: Contract) -> str:
    """Full name of the record that holds one band. Naming a union's branch saves fastavro from trying each: a third of
    the encoding.
    """
    schema = json.loads(contract.schemas["predictions"])
    bands = next(f["type"]["fields"] for f in schema["fields"] if f["name"] == "quantiles")
    record = next(branch for branch in bands[0]["type"] if isinstance(branch, dict))
    return f"{record.get('namespace', schema['namespace'])}.{record['name']}"
