"""The forecast stage of the golden files: golden features through the actor's worker of this code, with a fixed model
and a clock that stands still, down to what it hands to Kafka's producer.

`python -m tests.golden_forecasts` writes forecasts.json; test_golden.py compares. Predictions, verifications and what
waits in the history go through sines, a matrix product and quantile arithmetic, whose last digits differ between
machines and builds of numpy: their doubles are compared at DIGITS significant digits, all else byte for byte. The cells
of the history are copies of the features and compared as they are. Test support only.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

from ray_jobs.fold.fold import Fold
from ray_jobs.generated.params import InferParams
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.kit.io import Decoder, Encoder
from ray_jobs.kit.manifest import MANIFEST
from ray_jobs.ledger.verify import CALIBRATION, PENDING, Book
from ray_jobs.model import heads as model
from ray_jobs.state.changelog import kind_of
from ray_jobs.stream import worker
from ray_jobs.stream.predict import Incoming, Scorer
from ray_jobs.stream.worker import Status, Worker
from ray_jobs.train.seed import partition_of
from tests import golden_files

NOW_MS = 1_700_000_000_500
FEATURE_APPEND_MS = 1_700_000_000_400
VERSION = "1"
DIGITS = 9
# Rows a transaction: states, ledgers and cursors go on from one to the next.
BATCHES = (5, 8)
MODEL = golden_files.GOLDEN / "model"


def built() -> dict[str, Any]:
    """What forecasts.json is to hold: the model's fingerprints and the records of each topic, in the order produced."""
    digests, producer, _ = ran()
    contract = golden_files.read("contract")
    ids, topics = contract["schema_ids"], contract["topics"]
    out: dict[str, Any] = {"model": digests}
    for what in ("predictions", "verifications", "anomalies", "history", "rejects"):
        out[what] = [
            shown(what, ids[what], topics[what]["partitions"], *record)
            for topic, *record in producer.records
            if topic == topics[what]["topic"]
        ]
    return out


def scored() -> Scorer:
    """The scorer after the golden features, with all that it remembers of them."""
    return ran()[2]


def ran() -> tuple[dict[str, str], Recorder, Scorer]:
    contract = golden_files.read("contract")
    ids, topics = contract["schema_ids"], contract["topics"]
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(worker, "now_ms", lambda: NOW_MS):
        champion, digests = loaded(Path(folder))
        actor = Worker(CONTRACT, params_of(ids, topics), {}, 0, None, lambda: False, Status())  # type: ignore[arg-type]
        producer = Recorder()
        for batch in batches(incoming_of(golden_files.read("features")["features"])):
            outcome = actor._scorer.score(batch, champion, [0] * topics["history"]["partitions"])
            actor._produce(producer, outcome)  # type: ignore[arg-type]
    return digests, producer, actor._scorer


class Recorder:
    """Stands where Kafka's producer does and keeps what it is handed."""

    def __init__(self) -> None:
        self.records: list[tuple[str, bytes, bytes | None, int]] = []

    def produce(self, topic: str, value: bytes, key: bytes | None, partition: int) -> None:
        self.records.append((topic, value, key, partition))


def loaded(folder: Path) -> tuple[model.Model, dict[str, str]]:
    """The committed model for this contract. Its shape is the code's: where that moves, the fingerprint says so, and
    trees and tables stay.
    """
    fold = Fold(CONTRACT)
    shape = model.shape_of(CONTRACT, fold.input_names, fold.input_units)
    manifest = json.loads((MODEL / MANIFEST).read_text(encoding="utf-8"))
    fingerprint = model.fingerprint_of(shape)
    heads = {name: (MODEL / name).read_text(encoding="utf-8") for name in manifest["files"]}
    model.write(folder, manifest | {"shape": shape, "fingerprint": fingerprint}, heads)
    found = model.load(folder, CONTRACT, fold.input_names, fold.input_units, VERSION)
    return found, {"fingerprint": fingerprint, "digest": found.digest}


def params_of(ids: dict[str, int], topics: dict[str, Any]) -> InferParams:
    """Parameters as the supervisor writes them, as far as they reach a record."""
    parsed: dict[str, Any] = {
        "namespace": "",
        "job": "weather-infer",
        "submission": "golden",
        "fingerprint": CONTRACT.fingerprint,
        "kafka": {"bootstrap": "golden:9092", "properties": {}, "secrets_path": None},
        "progress_topic": None,
        "progress_schema_id": ids["progress"],
        "group_id": "golden",
        "transactional_id": "golden",
        "mlflow_uri": "http://golden",
        "model_name": "weather",
        "model_cache": "golden",
        "actors": 1,
        "poll_ms": 200,
        "batch_rows": 2_000,
        "arm": "champion",
    }
    for what in ("features", "history", "predictions", "verifications", "anomalies", "rejects", "model_events"):
        parsed[f"{what}_topic"] = topics[what]["topic"]
    for what in ("features", "history", "model_events"):
        parsed[f"{what}_schemas"] = {str(ids[what]): CONTRACT.schemas[what]}
    for what in ("history", "predictions", "verifications", "anomalies", "rejects"):
        parsed[f"{what}_schema_id"] = ids[what]
    return InferParams.parse(parsed)


def incoming_of(features: list[dict[str, Any]]) -> list[Incoming]:
    """The golden features in their order, and behind them one that is cut short."""
    rows = [
        Incoming(r["partition"], r["offset"], FEATURE_APPEND_MS, r["key"].encode(), bytes.fromhex(r["value"]), {})
        for r in features
    ]
    last = rows[-1]
    assert last.value is not None
    return [*rows, last._replace(offset=last.offset + 1, value=last.value[:-3], headers={"trace": b"\x01"})]


def batches(rows: list[Incoming]) -> Iterable[list[Incoming]]:
    starts = [0, *(sum(BATCHES[: i + 1]) for i in range(len(BATCHES))), len(rows)]
    return (rows[a:b] for a, b in pairwise(starts))


def shown(what: str, schema_id: int, partitions: int, value: bytes, key: bytes, partition: int) -> dict[str, Any]:
    """A record as the golden file has it: `value` is what its record encodes to once its doubles are rounded."""
    schema = CONTRACT.schemas[what]
    encode = Encoder(schema, schema_id)
    record = Decoder({str(schema_id): schema}, schema)(value)
    assert encode(record) == value, f"the bytes in {what} are no plain encoding of {record}"
    extra: dict[str, Any] = {}
    if what in ("predictions", "verifications"):
        record = golden_files.rounded(record, DIGITS)
    elif what == "history":
        record, extra = settled(record)
    readable = golden_files.shown(record)
    if what == "predictions":
        names = Fold(CONTRACT).input_names
        readable["inputs"] = {n: x for n, x in zip(names, record["inputs"], strict=True) if not math.isnan(x)}
    return {
        "partition": partition_of(key, partitions) if partition < 0 else partition,
        "key": key.decode(),
        "value": encode(record).hex(),
        "record": readable,
        **extra,
    }


def settled(record: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A history record with the doubles of its payload rounded, and what the payload says."""
    book = Book(CONTRACT)
    if kind_of(record) == PENDING:
        pending = book.read_pending(record)
        assert pending is not None
        assert book.pending_record(record[CONTRACT.key], pending) == record
        pending = pending._replace(
            **{name: tuple(golden_files.rounded(getattr(pending, name), DIGITS)) for name in PENDING_DOUBLES}
        )
        record = book.pending_record(record[CONTRACT.key], pending)
        return record, {"pending": golden_files.shown(pending._asdict())}
    if kind_of(record) == CALIBRATION:
        whose, payload = (record[CONTRACT.key], record["arm"]), record["payload"]
        corrections = book.restore([], payload).corrections
        # The rest of the payload: how many, and of each its name behind its length, and its ratios.
        size = 1 + sum(1 + len(version.encode()) + 8 * len(ratios) for version, ratios in corrections.items())
        waiting = payload[HEAD_BYTES:-size]
        assert book.calibration_record(*whose, waiting, corrections, record["feature_partition"]) == record
        corrections = {v: tuple(golden_files.rounded(ratios, DIGITS)) for v, ratios in corrections.items()}
        record = book.calibration_record(*whose, waiting, corrections, record["feature_partition"])
        return record, {"waiting": waiting.hex(), "corrections": golden_files.shown(corrections)}
    return record, {}


PENDING_DOUBLES = ("levels", "persistence", "dap")
# Format and shape, in front of every payload.
HEAD_BYTES = 5


def main() -> None:
    golden_files.write("forecasts", built())


if __name__ == "__main__":
    main()
