"""Who may import whom among the rooms of the two engines' packages, as pure functions over texts.

The twin of ts/test/tidy.ts. test_walls.py applies it to the tree and shows that each rule can fail. Ours and no
import-linter: that one states layers and forbidden pairs, wants regular packages, and has no word for "this library
lives in that room" or for a module named in a string; what is needed of it are the forty lines below.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

# Rooms, lowest first, and the rooms each may import from. A room may always import from itself and from `generated`.
MAY_IMPORT: Mapping[str, Mapping[str, frozenset[str]]] = {
    package: {room: frozenset(others.split()) for room, others in rooms.items()}
    for package, rooms in {
        "spark_jobs": {
            "generated": "",
            "kit": "",
            "windows": "kit",
            "archive": "kit windows",
            "certify": "kit windows",
            # A domain's own functions: Spark and nothing of ours.
            "queries": "",
            "results": "kit windows queries",
        },
        "ray_jobs": {
            "generated": "",
            "kit": "",
            "state": "kit",
            "detect": "kit state",
            "fold": "kit state",
            "ledger": "kit state",
            "model": "kit state fold ledger",
            "judge": "kit state fold ledger model",
            "train": "kit state fold ledger model judge",
            "stream": "kit state fold detect ledger model",
        },
    }.items()
}

# Foreign libraries and the rooms that know each.
LIVES_IN: Mapping[str, Mapping[str, frozenset[str]]] = {
    "spark_jobs": {
        "confluent_kafka": frozenset({"generated", "archive", "results"}),
        "fastavro": frozenset({"generated", "certify"}),
        "google": frozenset({"kit", "certify"}),
        "deltalake": frozenset({"archive"}),
        "pyarrow": frozenset({"archive"}),
    },
    "ray_jobs": {
        "ray": frozenset({"kit", "stream"}),
        "confluent_kafka": frozenset({"generated", "kit", "train", "stream"}),
        "fastavro": frozenset({"generated", "kit"}),
        "requests": frozenset({"kit"}),
        "mlflow": frozenset({"kit"}),
        "deltalake": frozenset({"kit", "judge"}),
        "pyarrow": frozenset({"kit", "judge"}),
        "lightgbm": frozenset({"model", "train"}),
        "matplotlib": frozenset({"judge"}),
    },
}

# Of `generated`, what every room may read; the rest are entrypoints and contracts of single pipelines.
SHARED = frozenset({"contract", "error_code", "job", "params", "parse", "units"})


class Module(NamedTuple):
    """`name` is dotted, from the package on."""

    name: str
    text: str


class Import(NamedTuple):
    line: int
    target: str


def imports_of(text: str) -> Iterator[Import]:
    """Every import, wherever it stands, for types alone too; `from a import b` as both `a` and `a.b`; and what
    import_module() is given, as far as it is written out.
    """
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            yield Import(node.lineno, start)
            yield from (Import(node.lineno, f"{start}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "import_module":
            asked = node.args[0]
            first = asked.values[0] if isinstance(asked, ast.JoinedStr) else asked
            known = isinstance(first, ast.Constant) and isinstance(first.value, str)
            yield Import(node.lineno, str(first.value) if known else "?")  # type: ignore[attr-defined]


def crossings(modules: Iterable[Module]) -> list[str]:
    """One line for each import that crosses a wall."""
    found: dict[str, None] = {}
    for module in modules:
        package, room, name = (*module.name.split("."), "", "")[:3]
        if room == "generated" and name not in SHARED:
            continue  # An entrypoint knows its job; a pipeline's contract is checked by whoever makes it.
        rooms = MAY_IMPORT[package]
        if room not in rooms:
            found[f"{module.name}: no row in the import table for {package}/{room}"] = None
            continue
        for line, target in imports_of(module.text):
            top, to, what = (*target.split("."), "", "")[:3]
            said = f"{module.name}:{line} imports {target}"
            homes = LIVES_IN[package].get(top)
            if target == "?":
                found[f"{said}: a module that is named nowhere"] = None
            elif homes is not None and room not in homes:
                found[f"{said}: only {', '.join(sorted(homes))} may"] = None
            elif top in MAY_IMPORT and top != package:
                found[f"{said}: {package} may not know {top}"] = None
            elif top == package and to == "generated":
                if what and what not in SHARED:
                    found[f"{said}: no room may know a pipeline"] = None
            elif top == package and to and to != room and to not in rooms[room]:
                found[f"{said}: {package}/{room} may not know {package}/{to}"] = None
    return list(found)


def circle(table: Mapping[str, Iterable[str]]) -> list[str]:
    """A circle in a table of names and what each leads to, first name again at the end; empty without one."""
    ended: set[str] = set()

    def follow(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in ended:
            return []
        for other in sorted(table.get(name, ())):
            if found := follow(other, [*way, name]):
                return found
        ended.add(name)
        return []

    return next((found for name in sorted(table) if (found := follow(name, []))), [])


def led_to(modules: Iterable[Module]) -> dict[str, set[str]]:
    """Module -> the modules among these that it imports."""
    texts = {module.name: module.text for module in modules}
    return {name: {one.target for one in imports_of(text)} & texts.keys() for name, text in texts.items()}
