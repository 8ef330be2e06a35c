"""Feature tables for the tests of training and seeding: the bundled hourly sample as the backfill would write it.

Test support only. An hourly observation at 12:00 makes the one window that ends at 12:01, so no Spark is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from deltalake import write_deltalake
from ray_jobs.generated.contract import Contract
from ray_jobs.generated.params import TrainParams

SAMPLE = Path(__file__).resolve().parents[3] / "samples" / "us-cities-hourly.csv.gz"
CITIES = ("boston", "denver", "miami", "seattle")


def epoch_ms(text: str) -> int:
    return int(pd.Timestamp(text, tz="UTC").timestamp() * 1000)


def write_sample(
    path: Path, contract: Contract, from_: str, to: str, cities: tuple[str, ...] | dict[str, str] = CITIES
) -> None:
    """The cities' rows with from <= observation time < to, as a Delta table with Spark's timestamp type. A dict of
    cities gives each the name of another station.
    """
    raw = pd.read_csv(SAMPLE)
    names = {city: name for name, city in cities.items()} if isinstance(cities, dict) else {c: c for c in cities}
    raw = raw[raw["station_id"].isin(list(names))]
    raw = raw.assign(station_id=raw["station_id"].map(names))
    time = pd.to_datetime(raw["timestamp"], utc=True)
    keep = (time >= pd.Timestamp(from_, tz="UTC")) & (time < pd.Timestamp(to, tz="UTC"))
    raw, time = raw[keep].reset_index(drop=True), time[keep].reset_index(drop=True)
    columns: dict[str, Any] = {
        contract.entity_key: raw["station_id"],
        "window_start": (time - pd.Timedelta(minutes=4)).dt.as_unit("us"),
        "window_end": (time + pd.Timedelta(minutes=1)).dt.as_unit("us"),
        "plan_epoch": pd.Series(0, index=raw.index, dtype="int32"),
        "revision": raw.index.astype("int64"),
        "measurement_count": pd.Series(1, index=raw.index, dtype="int32"),
    }
    for feature in contract.features:
        field = contract.field(feature.field)
        assert field.range is not None
        # A field that is younger than the sample has no column there, and no value.
        value = raw.get(feature.field, pd.Series(float("nan"), index=raw.index)).astype("float64")
        value = value.where((value >= field.range[0]) & (value <= field.range[1]))
        columns.setdefault(f"{feature.field}_count", value.notna().astype("int32"))
        # One observation has neither a spread nor a slope.
        columns[feature.column] = value * float("nan") if feature.kind in ("std", "rate") else value
    write_deltalake(str(path), pa.Table.from_pandas(pd.DataFrame(columns), preserve_index=False))


def train_params(table: Path, cut: str, **changed: Any) -> TrainParams:
    """Small settings that a test can wait for."""
    whole: dict[str, Any] = {
        "namespace": "",
        "job": "weather-train",
        "submission": "test",
        "fingerprint": "test",
        "kafka": None,
        "progress_topic": None,
        "progress_schema_id": 0,
        "table_path": str(table),
        "certificates_path": f"{table}-certificates",
        "allow_uncertified": True,
        "mlflow_uri": "http://127.0.0.1:1",
        "model_name": "weather",
        "from_ms": None,
        "cut_ms": epoch_ms(cut),
        "calibrate_from_ms": None,
        "test_from_ms": None,
        "leave_out": (),
        "trees": 60,
        "leaves": 15,
        "learning_rate": 0.1,
        "tune": 0,
        "sample_every": 3,
        "workers": 2,
        "seed": 7,
    }
    return TrainParams(**(whole | changed))
