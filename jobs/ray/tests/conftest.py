"""Options of the Ray jobs' tests. Tests marked `cluster` need addresses; without them they are skipped and say so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--addresses", help='JSON file: {"bootstrap": "host:port", "mlflow": URL or absent}')
    parser.addoption("--kills", type=int, default=1, help="how often each process is killed in the proofs that kill")


@pytest.fixture(scope="session")
def addresses(request: pytest.FixtureRequest) -> dict[str, Any]:
    path = request.config.getoption("--addresses")
    if path is None:
        pytest.skip("needs running engines: pass --addresses FILE")
    found: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return found


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--kills"))
