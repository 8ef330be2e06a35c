"""The contracts the tests run on: weather as generated, and the golden contract of another domain."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from spark_jobs.generated.contract import Contract
from spark_jobs.generated.weather_contract import CONTRACT as WEATHER

GOLDEN = Path(__file__).resolve().parents[3] / "ts" / "codegen" / "golden" / "meters" / "pyspark" / "meters_contract.py"


def golden(path: Path) -> Contract:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    contract: Contract = module.CONTRACT
    return contract


METERS = golden(GOLDEN)

__all__ = ["METERS", "WEATHER"]
