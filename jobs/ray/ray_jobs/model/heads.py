"""A trained model: LightGBM quantile heads as text and a manifest that says what they may be used for.

train.py writes one, registry.py carries it, the actor loads it and asks for whole batches. Each head predicts the
change against the damped anomaly of baseline.py; nothing here is pickled, so a model folder can be read with a text
editor and by other languages. Does not fetch, train or choose a model.

A folder holds `manifest.json` and `heads/<target>_<horizon>_q<quantile>.txt`. The manifest names every head's
SHA-256 and carries a digest of itself, so a changed byte anywhere is found. The digest leaves out `parent`, which
says where a model came from and not what it is: the same data, code and seed give the same digest.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray
from ray_jobs.generated.contract import Contract, horizon_name
from ray_jobs.generated.job import JobError
from ray_jobs.kit.manifest import FORMAT, MANIFEST, canonical, digest_of, read_manifest
from ray_jobs.ledger import conformal
from ray_jobs.ledger.conformal import Calibration, Forecast, bounds_of
from ray_jobs.model.baseline import Baseline, Floats
from ray_jobs.model.design import Design, Place, place_of
from ray_jobs.model.linear import Linear
from ray_jobs.model.sectors import Around, around_of


def shape_of(contract: Contract, input_names: tuple[str, ...], input_units: tuple[str, ...]) -> dict[str, Any]:
    """All that has to be equal for a model to be used: names, units, ranges and spans. A field the model never sees
    is not in it.
    """
    fields = [contract.field(t) for t in contract.targets]
    return {
        "pipeline": contract.pipeline,
        "inputs": [{"name": n, "unit": u} for n, u in zip(input_names, input_units, strict=True)],
        "targets": [
            {"name": f.name, "quantity": f.quantity, "unit": f.unit, "range": list(f.range) if f.range else None}
            for f in fields
        ],
        "horizons_h": list(contract.horizons_h),
        "quantiles": list(contract.quantiles),
        "window_ms": contract.window_ms,
        "slide_ms": contract.slide_ms,
        "cell_ms": contract.cell_ms,
        "step_ms": contract.step_ms,
        "lags": list(contract.lags),
    }


def fingerprint_of(shape: dict[str, Any]) -> str:
    return hashlib.sha256(canonical(shape)).hexdigest()


def head_file(target: str, horizon_h: float, quantile: float) -> str:
    return f"heads/{target}_{horizon_name(horizon_h)}_q{round(quantile * 1000):03d}.txt"


def write(folder: Path, manifest: dict[str, Any], heads: dict[str, str]) -> dict[str, Any]:
    """Writes a model folder and returns the manifest with head digests and its own. `heads` is file name -> LightGBM
    text.
    """
    for name, text in heads.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    files = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in sorted(heads.items())}
    whole = {**manifest, "format": FORMAT, "files": files}
    whole["digest"] = digest_of(whole)
    (folder / MANIFEST).write_text(json.dumps(whole, sort_keys=True, indent=1) + "\n", encoding="utf-8")
    return whole


def load(
    path: str | Path,
    contract: Contract,
    input_names: tuple[str, ...],
    input_units: tuple[str, ...],
    version: str | None = None,
) -> Model:
    """Loads a model folder, checks every digest, and refuses a model made for other inputs, units or spans.

    `version` is what the registry calls it; without one the folder's name up to its first hyphen, as registry.py
    names folders.
    Errors: `model_refused`, naming both units, both inputs or both fingerprints.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    check_shape(
        f'model "{contract.pipeline}" from "{folder}"', manifest["shape"], shape_of(contract, input_names, input_units)
    )
    return Model(folder, manifest, contract, version or folder.name.partition("-")[0])


def check_shape(what: str, trained: dict[str, Any], live: dict[str, Any]) -> None:
    """Refuses a trained shape that is not the live one, naming the first thing that differs on both sides."""
    for kind in ("inputs", "targets"):
        there = {x["name"]: x for x in trained[kind]}
        here = {x["name"]: x for x in live[kind]}
        for name in sorted(there.keys() & here.keys()):
            if there[name]["unit"] != here[name]["unit"]:
                raise JobError(
                    "model_refused",
                    f'Cannot use {what}: {kind[:-1]} "{name}" was trained in "{there[name]["unit"]}", '
                    f'the live contract has "{here[name]["unit"]}"',
                )
        if there.keys() != here.keys():
            raise JobError(
                "model_refused",
                f"Cannot use {what}: it was trained with {kind} {sorted(there.keys() - here.keys())} "
                "that the live contract lacks, "
                f"and lacks {sorted(here.keys() - there.keys())}",
            )
    if trained != live:
        differing = [key for key in live if trained.get(key) != live[key]]
        raise JobError(
            "model_refused",
            f"Cannot use {what}: its fingerprint is {fingerprint_of(trained)[:16]}, the live contract's is "
            f"{fingerprint_of(live)[:16]}; they differ in {', '.join(differing)}",
        )


class Model:
    """A loaded model. `train_from_ms` (inclusive) to `train_to_ms` (exclusive) are the window ends and truths it has
    seen.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], contract: Contract, version: str) -> None:
        self.manifest = manifest
        self.version = version
        self.digest: str = manifest["digest"]
        self.train_from_ms: int = manifest["training"]["from_ms"]
        self.train_to_ms: int = manifest["training"]["to_ms"]
        self._contract = contract
        names = tuple(x["name"] for x in manifest["shape"]["inputs"])
        self._design = Design(contract, names)
        if list(self._design.columns) != manifest["columns"]:
            raise JobError(
                "model_refused",
                f'Cannot use model "{contract.pipeline}" version {version}: its heads split on other '
                "columns than this code makes",
            )
        self._baseline = Baseline.from_json(manifest["baseline"])
        self._linear = Linear.from_json(manifest["linear"])
        self.calibration = Calibration.from_json(manifest["calibration"])
        self._places: dict[str, tuple[Place, Around]] = {}
        self._bounds = bounds_of(contract)
        self._heads = [
            lightgbm.Booster(model_str=(folder / head_file(t, h, q)).read_text(encoding="utf-8"))
            for t in contract.targets
            for h in contract.horizons_h
            for q in contract.quantiles
        ]

    def forecast(self, stations: list[str], t_ms: NDArray[Any], inputs: NDArray[Any]) -> Forecast:
        """Heads and DAP of every target and horizon for a whole batch.

        Shapes: `stations` [n], `t_ms` [n] (window ends), `inputs` [n, input].
        Edges: NaN where nothing can be said (an unknown station without a value of the target now or in its lags). An
        empty batch gives empty arrays.
        """
        contract = self._contract
        shape = (len(stations), len(contract.targets), len(contract.horizons_h))
        if not stations:
            return Forecast(np.empty((*shape, 3)), np.empty(shape), np.empty(shape))
        columns, base = self.columns(stations, t_ms, inputs)
        changes = np.stack(
            [head.predict(columns, num_threads=1, validate_features=False) for head in self._heads], axis=1
        )
        heads = base[..., None] + np.asarray(changes).reshape(*shape, len(contract.quantiles))
        rows = self._baseline.rows(stations)
        spread = self._baseline.spread_of(rows)
        return Forecast(conformal.ordered(heads, spread), base, self._usual(stations, rows, t_ms))

    def _usual(self, stations: list[str], rows: NDArray[np.int64], t_ms: NDArray[Any]) -> Floats:
        """Climatology at the valid times, NaN for stations that are not known. -> [n, target, horizon]."""
        longitudes = np.array([self._places[s][0][1] for s in stations], dtype=np.float64)
        then = np.asarray(t_ms, dtype=np.float64)
        at = [self._baseline.climatology(rows, longitudes, then + float(h)) for h in self._contract.horizons_ms]
        # Of a stranger only differences in time mean something.
        return np.where((rows == self._baseline.unknown)[:, None, None], np.nan, np.stack(at, axis=2))

    def predict(self, stations: list[str], t_ms: NDArray[Any], inputs: NDArray[Any]) -> Floats:
        """The contract's levels with bands as the calibration split has them, before any station adapts its own.

        Shapes and edges as `forecast` -> [n, target, horizon, level] in the target's unit; levels ascend and stay
        within what the contract says the target can be.
        """
        heads = self.forecast(stations, t_ms, inputs).heads
        return conformal.levels(heads, self.scales[None], self._bounds)

    @property
    def scales(self) -> Floats:
        """Scale of each of the contract's bands on the calibration split. -> [target, horizon, band]."""
        return self.calibration.scales(self._contract.bands)

    def columns(
        self, stations: list[str], t_ms: NDArray[Any], inputs: NDArray[Any]
    ) -> tuple[NDArray[np.float32], Floats]:
        """What the heads split on [n, column] and the damped anomaly forecast they start from [n, target, horizon]."""
        for station in stations:
            if station not in self._places:
                around = around_of(self._contract, self._baseline, station)
                self._places[station] = (place_of(self._contract, station), around)
        places = np.array([self._places[s][0] for s in stations], dtype=np.float64)
        seats = [self._places[s][1] for s in stations]
        around = Around(np.concatenate([a.rows for a in seats]), np.concatenate([a.weights for a in seats]))
        rows = self._baseline.rows(stations)
        return self._design.matrix(
            self._baseline,
            self._linear,
            np.where(rows == self._baseline.unknown, -1, rows),
            rows,
            places,
            around,
            np.asarray(t_ms, dtype=np.float64),
            np.asarray(inputs, dtype=np.float64),
        )

    def spread(self, station: str, target: str) -> float:
        """Standard deviation of the station's anomaly in the target's unit; the network's mean for an unknown
        station.
        """
        return float(self._baseline.spread_of(self._baseline.rows([station]))[0, self._contract.targets.index(target)])
