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
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from ray_jobs.detect import rules
from ray_jobs.fold import fold
from ray_jobs.fold.fold import Fold, Step
from ray_jobs.fold.neighbours import NOBODY, Near, Rings
from ray_jobs.generated.contract import Contract
from ray_jobs.kit.io import BadRecord, Decoder, Encoder, schema_id
from ray_jobs.kit.time import HOUR_MS
from ray_jobs.ledger import conformal
from ray_jobs.ledger.conformal import Adaptation, Bounds, Forecast, bounds_of
from ray_jobs.ledger.verify import LEDGERS, Book, Ledger, Pending, Truth
from ray_jobs.model.champion import Scores
from ray_jobs.model.confidence import confidence
from ray_jobs.state import ring
from ray_jobs.state.ring import Cell, StationState

Floats = NDArray[np.float64]
PartitionState = dict[str, StationState]


SAID_LATEST = "the last one that a record of its append time can speak of"


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

    `predictions`, `verifications` and `rejects`: (key, value). `history`: (partition, key, value), the last record of
    each key and then the cursors. `next_offsets`: partition -> first offset not covered.
    """

    predictions: list[tuple[bytes, bytes]] = field(default_factory=list)
    verifications: list[tuple[bytes, bytes]] = field(default_factory=list)
    history: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    rejects: list[tuple[bytes | None, bytes]] = field(default_factory=list)
    next_offsets: dict[int, int] = field(default_factory=dict)
    rows: int = 0
    predicted: int = 0
    skipped: int = 0
    expired: int = 0
    rejected: int = 0
    verified: int = 0
    unverifiable: int = 0
    beyond_support: int = 0
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
    verifications: Encoder
    history: Encoder
    rejects: Encoder


class _Due(NamedTuple):
    """The truths of one arm that are due at a row, and what of that arm still waits then."""

    arm: str
    ledger: Ledger
    truths: list[Truth]
    waiting: bytes


class _Applied(NamedTuple):
    """A row that the fold took. `due`: what is to be judged at it, of every arm that has promised. `ledger`: of the arm
    that is served, and `issues` whether the row issues its hour's forecast there.
    """

    incoming: Incoming
    row: dict[str, Any]
    step: Step
    due: list[_Due]
    ledger: Ledger
    issues: bool


class _Bands:
    """Levels of the rows of a batch, made as late as possible and many at once: the bands of a row depend on truths
    that rows before it brought, and those on what still earlier rows had said.
    """

    def __init__(self, heads: Floats, scales: Floats, bounds: Bounds) -> None:
        self._heads, self._scales, self._bounds = heads, scales, bounds
        self._ratios: list[tuple[float, ...]] = []
        self._made: list[Any] = []
        self._arrays: list[Floats] = []

    def add(self, ratios: tuple[float, ...]) -> None:
        """The station's ratios at the next row."""
        self._ratios.append(ratios)

    def at(self, row: int) -> Any:
        """Levels of a row that was added, [target][horizon][level]."""
        if row >= len(self._made):
            rows = slice(len(self._made), len(self._ratios))
            ratios = np.array(self._ratios[rows]).reshape(-1, *self._scales.shape)
            scales = conformal.rising(self._scales * ratios)
            made = conformal.levels(self._heads[rows], scales, self._bounds)
            self._arrays.append(made)
            self._made += made.tolist()
        return self._made[row]

    def all(self) -> tuple[Floats, list[Any]]:
        """Levels of all rows that were added, as an array and as lists."""
        self.at(len(self._ratios) - 1)
        return np.concatenate(self._arrays), self._made


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
        self._bounds = bounds_of(contract)
        self._band = _band_name(contract)
        self._book = Book(contract)
        # An arm that no key of the history can hold is refused before the first row.
        self._book.calibration_key("", names.arm)
        self._adaptation = Adaptation(contract.bands)
        columns = [f.column for f in contract.features]
        # The row's own features come first among the inputs, in contract order.
        self._now = [columns.index(contract.target_column(t)) for t in contract.targets]
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
        cells: dict[tuple[int, bytes], tuple[str, Cell]] = {}
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
                applied.append(self._look(incoming, row, step))
        if applied:
            self._predict(out, applied, model, list(history_offsets))
        encode = self._codecs.history
        settled, out.history = out.history, []
        for (partition, key), (station, cell) in cells.items():
            record = ring.to_record(self.contract.key, station, cell)
            out.history.append((partition, key, encode(record)))
        out.history += settled
        for partition, next_offset in out.next_offsets.items():
            record = ring.cursor_record(self.contract.key, partition, next_offset)
            out.history.append((partition, ring.cursor_key(partition), encode(record)))
        return out

    def _fold(self, incoming: Incoming, row: dict[str, Any], near: Near) -> Step:
        station = row[self.contract.key]
        if not station:
            raise BadRecord("missing_key", f"{self.contract.key} is empty")
        latest = ring.latest_end(self.contract, incoming.append_time)
        if row["window_end"] > latest:
            raise BadRecord("time_jump", f"window_end {row['window_end']} is after {latest}, {SAID_LATEST}")
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

    def _look(self, incoming: Incoming, row: dict[str, Any], step: Step) -> _Applied:
        """Takes the truths that are due, as the ring stands at this row: later rows of the batch may change it."""
        state, end = step.state, row["window_end"]
        ledgers = LEDGERS.of(state)
        if ledgers is None:
            ledgers = {}
            LEDGERS.put(state, ledgers)
        ledger = ledgers.get(self._names.arm)
        if ledger is None:
            ledger = ledgers[self._names.arm] = Ledger(self.contract)
        taken = [(arm, of_arm, self._book.due(of_arm, state, end)) for arm, of_arm in ledgers.items()]
        issues = self._book.opens(ledger, end)
        due = [_Due(arm, of_arm, truths, self._book.waiting(of_arm)) for arm, of_arm, truths in taken if truths]
        return _Applied(incoming, row, step, due, ledger, issues)

    def _forecasts(
        self, out: Outcome, applied: list[_Applied], model: Scores
    ) -> tuple[list[_Applied], Forecast | None]:
        """The rows that the model takes, and its forecasts of them."""
        began = time.perf_counter()
        try:
            return applied, self._forecast(applied, model)
        except Exception:
            # One row the model chokes on must not stop the others: find it by scoring each alone.
            good: list[_Applied] = []
            for one in applied:
                try:
                    self._forecast([one], model)
                    good.append(one)
                except Exception as error:
                    self._reject(out, one.incoming, BadRecord("unscorable", f"{type(error).__name__}: {error}"))
            return good, self._forecast(good, model) if good else None
        finally:
            out.predict_ms = (time.perf_counter() - began) * 1000.0

    def _settle(
        self, out: Outcome, applied: list[_Applied], good: list[_Applied], forecast: Forecast | None, model: Scores
    ) -> _Bands | None:
        """Row by row: judges what is due, moves the station's bands, issues. -> the bands of the good rows, and records
        of the history and the verifications in `out`.
        """
        key, encode = self.contract.key, self._codecs.history
        bands: _Bands | None = None
        if forecast is not None:
            bands = _Bands(forecast.heads, model.scales, self._bounds)
            dap = forecast.dap.reshape(len(good), -1)
        places = {id(one): i for i, one in enumerate(good)}
        issued: dict[tuple[int, str, int], tuple[str, Pending]] = {}
        calibrations: dict[tuple[int, str, str], dict[str, Any]] = {}

        def pending_of(one: _Applied) -> Pending:
            place = places.get(id(one))
            row, incoming = one.row, one.incoming
            said: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]] = ((), (), ())
            if place is not None and bands is not None:
                levels = tuple([x for by_horizon in bands.at(place) for values in by_horizon for x in values])
                said = levels, tuple([one.step.inputs[i] for i in self._now]), tuple(dap[place].tolist())
            return Pending(
                row["window_end"],
                row["plan_epoch"],
                row["revision"],
                incoming.partition,
                incoming.offset,
                self._identity(row, model),
                self._names.arm,
                model.version,
                model.train_from_ms <= row["window_end"] < model.train_to_ms,
                *said,
            )

        for at, one in enumerate(applied):
            station, partition = one.row[key], one.incoming.partition
            for arm, ledger, truths, waiting in one.due:
                learnt: dict[str, list[tuple[int, tuple[bool, ...]]]] = {}
                for truth in truths:
                    pending = ledger.pendings.get(truth.hour)
                    if isinstance(pending, int):
                        pending = ledger.pendings[truth.hour] = pending_of(applied[pending])
                    if pending is None:
                        continue
                    judged = self._book.judge(station, pending, truth)
                    learnt.setdefault(pending.model_version, []).extend(judged.held)
                    out.verified += judged.verified
                    out.unverifiable += len(judged.records) - judged.verified
                    out.beyond_support += judged.beyond
                    for record in judged.records:
                        out.verifications.append((station.encode(), self._codecs.verifications(record)))
                for version, held in learnt.items():
                    if held:
                        ledger.correct(version, self._adaptation.step(ledger.ratios(version), held))
                calibrations[partition, station, arm] = self._book.calibration_record(
                    station, arm, waiting, ledger.corrections, partition
                )
            if bands is not None and id(one) in places:
                bands.add(one.ledger.ratios(model.version))
            if one.issues:
                one.ledger.pendings[one.row["window_end"] // HOUR_MS] = at
        for at, one in enumerate(applied):
            if not one.issues:
                continue
            hour = one.row["window_end"] // HOUR_MS
            pending = one.ledger.pendings.get(hour)
            if pending == at:
                pending = one.ledger.pendings[hour] = pending_of(one)
            elif not isinstance(pending, Pending) or pending.offset != one.incoming.offset:
                continue
            station = one.row[key]
            issued[one.incoming.partition, station, self._book.slot(pending.issued)] = (station, pending)
        for one in applied:
            for ledger in (one.ledger, *(due.ledger for due in one.due)):
                self._book.forget(ledger)
        for (partition, _, _), (station, pending) in issued.items():
            name = self._book.pending_key(station, pending.arm, pending.issued)
            out.history.append((partition, name, encode(self._book.pending_record(station, pending))))
        for (partition, station, arm), record in calibrations.items():
            out.history.append((partition, self._book.calibration_key(station, arm), encode(record)))
        return bands

    def _identity(self, row: dict[str, Any], model: Scores) -> bytes:
        names, contract = self._names, self.contract
        identity = (
            f"{names.namespace}|{contract.pipeline}|{row[contract.key]}|{row['window_end']}|{row['plan_epoch']}"
            f"|{row['revision']}|{model.version}|{names.arm}"
        )
        return hashlib.sha256(identity.encode()).digest()[:16]

    def _predict(self, out: Outcome, applied: list[_Applied], model: Scores, history_offsets: list[int]) -> None:
        everything = applied
        applied, forecast = self._forecasts(out, everything, model)
        settled = self._settle(out, everything, applied, forecast, model)
        if settled is None:
            return
        quantiles, levels_of = settled.all()

        contract = self.contract
        spread = np.array([self._spread(model, a.row[contract.key]) for a in applied])
        completeness = np.array([a.step.completeness for a in applied])
        sure = confidence(quantiles, spread, contract.levels, completeness)
        predict_time = self._now_ms()
        names = self._names
        for one, levels, sureness in zip(applied, levels_of, sure.tolist(), strict=True):
            row, step = one.row, one.step
            station, end = row[contract.key], row["window_end"]
            medians: dict[str, float | None] = {}
            bands: dict[str, tuple[str, dict[str, float]] | None] = {}
            for heads, by_horizon in zip(self._heads, levels, strict=True):
                for head, values in zip(heads, by_horizon, strict=True):
                    said = all(map(math.isfinite, values))
                    medians[head] = values[self._median] if said else None
                    bands[head] = (self._band, dict(zip(self._levels, values, strict=True))) if said else None
            verdict = step.verdict
            record = {
                "id": self._identity(row, model).hex(),
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
