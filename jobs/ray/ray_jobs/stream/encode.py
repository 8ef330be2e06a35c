"""The last stage: what the others left in a batch becomes the records of a transaction, as bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray_jobs.detect.after import VERDICTS, Judgement
from ray_jobs.detect.rules import CLEAR
from ray_jobs.generated.contract import Contract, horizon_name
from ray_jobs.kit.io import BadRecord, Decoder, Encoder, schema_id
from ray_jobs.ledger.bands import BANDS, Bands
from ray_jobs.ledger.conformal import bounds_of
from ray_jobs.ledger.forecasts import FORECASTS, Forecasts
from ray_jobs.ledger.identity import Identity
from ray_jobs.model.champion import Scores
from ray_jobs.model.confidence import confidence
from ray_jobs.model.forecast import MODELS
from ray_jobs.state import ring
from ray_jobs.state.batch import Batch, Incoming
from ray_jobs.state.stage import Stage, States, Tick

# In the place of a method where no detector judges.
NOBODY = "none"
# Stations whose spreads are remembered; ids that come and go must not fill the memory.
SPREADS = 20_000


@dataclass(frozen=True)
class Names:
    """Who speaks: what goes into every prediction's id and provenance. `arm` is the one that is served, `challengers`
    are forecast, judged and recorded beside it.
    """

    namespace: str
    features_topic: str
    arm: str
    challengers: tuple[str, ...] = ()

    @property
    def arms(self) -> tuple[str, ...]:
        return (self.arm, *self.challengers)


@dataclass(frozen=True)
class Codecs:
    """`anomalies` is None in a pipeline whose windows nobody judges."""

    features: Decoder
    predictions: Encoder
    verifications: Encoder
    history: Encoder
    rejects: Encoder
    anomalies: Encoder | None = None


class EncodeStage(Stage):
    def __init__(
        self, contract: Contract, names: Names, codecs: Codecs, identity: Identity, now_ms: Callable[[], int]
    ) -> None:
        self._contract = contract
        self._names = names
        self._codecs = codecs
        self._identity = identity
        self._now_ms = now_ms
        self._heads = [[f"{t}_{horizon_name(h)}" for h in contract.horizons_h] for t in contract.targets]
        self._levels = [f"q{round(q * 100):02d}" for q in contract.levels]
        self._median = len(contract.bands)
        self._band = _branch_name(contract, "quantiles") if contract.targets else ""
        self._usual_band = _branch_name(contract, "climatology") if contract.targets else ""
        self._bounds = bounds_of(contract) if contract.targets else None
        # How many standard deviations the widest band reaches to either side.
        self._deviations = NormalDist().inv_cdf(0.5 + contract.bands[-1] / 2) if contract.bands else 0.0
        self._spreads: dict[tuple[str, str], list[float]] = {}

    def step(self, batch: Batch, states: States) -> None:
        forecasts, bands, models = FORECASTS.of(batch) or {}, BANDS.of(batch) or {}, MODELS.of(batch) or {}
        for arm in self._names.arms:
            if arm in bands:
                self._predictions(batch, arm, forecasts[arm], bands[arm], models[arm])
        self._flush(batch)

    def tick(self, batch: Batch, tick: Tick) -> None:
        """Encodes what the others left at this tick."""
        self._flush(batch)

    def end(self, batch: Batch) -> None:
        """Where each partition goes on, after everything else."""
        self._flush(batch)
        for partition, next_offset in batch.out.next_offsets.items():
            record = ring.cursor_record(self._contract.entity_key, partition, next_offset)
            batch.out.history.append((partition, ring.cursor_key(partition), self._codecs.history(record)))

    def _flush(self, batch: Batch) -> None:
        out, codecs = batch.out, self._codecs
        for partition, key, record in batch.changes:
            out.history.append((partition, key, None if record is None else codecs.history(record)))
            out.tombstones += record is None
        judged = batch.verifications
        out.verifications += [(station.encode(), codecs.verifications(record)) for station, record in judged]
        if batch.anomalies:
            assert codecs.anomalies is not None, "whoever judges windows is given a topic for what that finds"
            encode = codecs.anomalies
            out.anomalies += [(station.encode(), encode(record)) for station, record in batch.anomalies]
        out.rejects += [(incoming.key, self._reject(incoming, bad)) for incoming, bad in batch.rejected]
        batch.changes.clear()
        batch.verifications.clear()
        batch.anomalies.clear()
        batch.rejected.clear()

    def _predictions(self, batch: Batch, arm: str, forecasts: Forecasts, bands: Bands, model: Scores) -> None:
        contract, names = self._contract, self._names
        quantiles, levels_of = bands.all()
        applied = [batch.applied[at] for at in forecasts.rows]
        spread = np.array([self._spread(model, one.station) for one in applied])
        completeness = np.array([one.completeness for one in applied])
        sure = confidence(quantiles, spread, contract.levels, completeness)
        usual = self._usual(forecasts, spread)
        judgement = self._judgement(batch)
        predict_time = self._now_ms()
        rows = zip(forecasts.rows, applied, levels_of, sure.tolist(), usual, strict=True)
        for at, one, levels, sureness, around in rows:
            row, incoming = one.row, one.incoming
            end = row["window_end"]
            medians: dict[str, float | None] = {}
            named: dict[str, tuple[str, dict[str, float]] | None] = {}
            for heads, by_horizon in zip(self._heads, levels, strict=True):
                for head, values in zip(heads, by_horizon, strict=True):
                    said = all(map(math.isfinite, values))
                    medians[head] = values[self._median] if said else None
                    named[head] = (self._band, dict(zip(self._levels, values, strict=True))) if said else None
            record: dict[str, Any] = {
                "id": self._identity.of(row, forecasts.version, arm).hex(),
                contract.entity_key: one.station,
                "timestamp": end,
                "window_start": row["window_start"],
                "plan_epoch": row["plan_epoch"],
                "revision": row["revision"],
                "model_version": forecasts.version,
                "arm": arm,
                "predictions": medians,
                "quantiles": named,
                "inputs": one.inputs,
                "confidence": {f"{t}_confidence": s for t, s in zip(contract.targets, sureness, strict=True)}
                | {"overall_confidence": sum(sureness) / len(sureness), "completeness": one.completeness},
                "in_sample": forecasts.in_sample(end),
                "provenance": {
                    "feature_topic": names.features_topic,
                    "feature_partition": incoming.partition,
                    "feature_offset": incoming.offset,
                    "feature_schema_id": schema_id(incoming.value),
                    "raw_topic": None,
                    **_origin(contract, row),
                    "history_offsets": batch.history_offsets,
                },
                "stages": {
                    "event_time": row["max_event_time"],
                    "raw_append_time": row["raw_append_time"],
                    "feature_processing_time": row["processing_time"],
                    "feature_append_time": incoming.append_time,
                    "predict_time": predict_time,
                },
            }
            if judgement is not None:
                record["anomaly"] = _verdict(judgement, at)
            record["climatology"] = around
            batch.out.predictions.append((one.station.encode(), self._codecs.predictions(record)))
        if arm == names.arm:
            batch.out.predicted += len(applied)

    def _usual(self, forecasts: Forecasts, spread: NDArray[np.float64]) -> list[dict[str, Any] | None]:
        """What is usual for the station at each valid time, whatever it measures now: climatology and the band that
        holds as much of what comes then as the widest one of a forecast. None for each row of which it is not known.
        """
        made = forecasts.made
        if self._bounds is None or made is None or made.usual is None:
            return [None] * len(forecasts.rows)
        reach = self._deviations * spread[:, :, None]
        bands = np.stack([made.usual, made.usual - reach, made.usual + reach], axis=3)
        return [self._named(of_row) for of_row in self._bounds.clamp(bands).tolist()]

    def _named(self, of_row: list[list[list[float]]]) -> dict[str, Any] | None:
        named = {
            head: (self._usual_band, dict(zip(("mean", "lower", "upper"), values, strict=True)))
            if all(map(math.isfinite, values))
            else None
            for heads, by_horizon in zip(self._heads, of_row, strict=True)
            for head, values in zip(heads, by_horizon, strict=True)
        }
        return named if any(named.values()) else None

    def _judgement(self, batch: Batch) -> Judgement | None:
        """None in a pipeline whose windows nobody judges: its forecasts have no place for a verdict."""
        if not self._contract.judges:
            return None
        return VERDICTS.of(batch) or Judgement(NOBODY, [CLEAR] * len(batch.applied))

    def _spread(self, model: Scores, station: str) -> list[float]:
        key = (model.version, station)
        found = self._spreads.get(key)
        if found is None:
            if len(self._spreads) >= SPREADS:
                self._spreads.clear()
            found = self._spreads[key] = [model.spread(station, t) for t in self._contract.targets]
        return found

    def _reject(self, incoming: Incoming, bad: BadRecord) -> bytes:
        record: dict[str, Any] = {
            "topic": self._names.features_topic,
            "partition": incoming.partition,
            "offset": incoming.offset,
            "field": None,
            "reason": bad.reason,
            "detail": bad.detail,
            self._contract.entity_key: None if incoming.key is None else incoming.key.decode("utf-8", "replace"),
            "schema_id": schema_id(incoming.value),
            "key": incoming.key,
            "value": incoming.value,
            "headers": dict(incoming.headers),
            "append_time": incoming.append_time,
            "rejected_time": self._now_ms(),
        }
        return self._codecs.rejects(record)


def _origin(contract: Contract, row: Mapping[str, Any]) -> dict[str, Any]:
    """The raw records of a row's window: of a key in one partition, up to the row's revision; of a group in any."""
    if contract.by is not None:
        return {"grouped_by": row["grouped_by"], "raw_ranges": row["raw_ranges"]}
    return {
        "raw_partition": row["raw_partition"],
        "first_offset": row["first_offset"],
        "last_offset": row["revision"],
    }


def _verdict(judgement: Judgement, at: int) -> dict[str, Any]:
    """On the applied row `at`."""
    verdict = judgement.verdicts[at]
    return {
        "is_anomaly": verdict.is_anomaly,
        "anomaly_score": verdict.score,
        "anomaly_type": verdict.type,
        "evidence": list(verdict.evidence),
        "method": judgement.method,
    }


def _branch_name(contract: Contract, what: str) -> str:
    """Full name of the record that holds one forecast's part of a field. Naming a union's branch saves fastavro from
    trying each: a third of the encoding.
    """
    schema = json.loads(contract.schemas["predictions"])
    whole = next(f["type"] for f in schema["fields"] if f["name"] == what)
    fields = _record_in(whole)["fields"]
    record = _record_in(fields[0]["type"])
    return f"{record.get('namespace', schema['namespace'])}.{record['name']}"


def _record_in(kind: Any) -> dict[str, Any]:
    """The record that a type is, or that is a branch of it."""
    branches = kind if isinstance(kind, list) else [kind]
    return next(branch for branch in branches if isinstance(branch, dict))
