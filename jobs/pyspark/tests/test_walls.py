"""The rooms of both engines' packages keep their walls, and no modules import each other in a circle."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.walls import MAY_IMPORT, Module, circle, crossings, led_to

JOBS = Path(__file__).resolve().parents[2]
TREE = [
    Module(".".join(path.relative_to(root).with_suffix("").parts), path.read_text(encoding="utf-8"))
    for package in MAY_IMPORT
    for root in JOBS.iterdir()
    for path in sorted((root / package).rglob("*.py"))
    if path.name != "__init__.py"
]


def one(name: str, text: str) -> list[str]:
    return crossings([Module(name, text)])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ray_jobs.state.ring", "from ray_jobs.ledger.verify import Ledger"),
        ("ray_jobs.state.ring", "from ray_jobs import ledger"),
        ("ray_jobs.state.ring", "import ray_jobs.ledger.verify"),
        ("ray_jobs.state.ring", "if TYPE_CHECKING:\n    from ray_jobs.ledger.verify import Ledger"),
        ("ray_jobs.state.ring", "def late():\n    from ray_jobs.ledger import verify"),
        ("ray_jobs.state.ring", "import importlib\nimportlib.import_module(f'ray_jobs.ledger.{name}')"),
        ("ray_jobs.model.design", "import_module(name)"),
        ("ray_jobs.kit.time", "from spark_jobs.kit import kafka"),
        ("ray_jobs.fold.fold", "from ray_jobs.generated.weather_contract import CONTRACT"),
        ("ray_jobs.attic.old", "import math"),
        ("ray_jobs.fold.fold", "import lightgbm as lgb"),
        ("spark_jobs.windows.windows", "from confluent_kafka import Consumer"),
    ],
)
def test_an_import_across_a_wall_is_named(name: str, text: str) -> None:
    assert len(one(name, text)) >= 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ray_jobs.fold.fold", "from ray_jobs.state import ring"),
        ("ray_jobs.fold.fold", "from ray_jobs.fold.neighbours import NOBODY"),
        ("ray_jobs.fold.fold", "from ray_jobs.generated.contract import Contract\nimport numpy as np"),
        ("ray_jobs.generated.weather_infer", "from ray_jobs.stream import infer"),
        ("ray_jobs.model.design", "import_module(f'ray_jobs.model.derived.{name}')"),
    ],
)
def test_an_import_that_the_table_allows_is_not(name: str, text: str) -> None:
    assert one(name, text) == []


def test_the_tree_crosses_no_wall() -> None:
    rooms = {(package, room) for package, room, *_ in (module.name.split(".") for module in TREE)}
    assert rooms == {(package, room) for package, rooms in MAY_IMPORT.items() for room in rooms}
    assert crossings(TREE) == []


def test_a_circle_is_found() -> None:
    assert circle({"a": ["b"], "b": ["c"], "c": ["b"]}) == ["b", "c", "b"]
    assert circle({"a": ["a"]}) == ["a", "a"]
    assert circle({"a": ["b", "c"], "b": ["c"], "c": []}) == []
    modules = [Module("x.a", "if TYPE_CHECKING:\n    from x import b"), Module("x.b", "import x.a")]
    assert circle(led_to(modules)) == ["x.a", "x.b", "x.a"]


def test_neither_rooms_nor_modules_stand_in_a_circle() -> None:
    for rooms in MAY_IMPORT.values():
        assert circle(rooms) == []
    edges = led_to(TREE)
    assert any(edges.values())
    assert circle(edges) == []
