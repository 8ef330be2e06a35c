"""Which code decides what a feature row is, as one hash: what a certificate vouches for.

The deciding modules are decode.py, plans.py and whatever they import of this package. Of each only what it does counts:
no comment, docstring or line break, and neither its name nor its place. So a module may move, and what only reads,
writes or runs may change, without a certificate losing its worth. Whatever changes a statement of a deciding module
changes the hash, also where no row would come out different. The generated contract has a fingerprint of its own.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

from spark_jobs.windows import decode, plans

PACKAGE = "spark_jobs"
GENERATED = f"{PACKAGE}.generated"


def code_sha256() -> str:
    """Hash of the deciding code as this process runs it."""
    return meaning_of((decode.__name__, plans.__name__), source_of)


def source_of(module: str) -> str | None:
    """Text of a module of ours; None for a package and for what is not there."""
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        return None
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).read_text(encoding="utf-8")


def meaning_of(roots: Iterable[str], source: Callable[[str], str | None]) -> str:
    """Hash of what the roots and all they import do, in an order that no name decides."""
    texts = sorted(statements(text) for text in deciding(roots, source).values())
    whole = hashlib.sha256()
    for text in texts:
        whole.update(f"{len(text)}\0{text}".encode())
    return whole.hexdigest()


def deciding(roots: Iterable[str], source: Callable[[str], str | None]) -> dict[str, str]:
    """Module -> text, of the roots and of every module of ours that one of them reaches, but for generated ones."""
    found: dict[str, str] = {}
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        text = source(module)
        if module in found or text is None:
            continue
        found[module] = text
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                named = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                named = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            else:
                continue
            waiting += [name for name in named if name.startswith(f"{PACKAGE}.") and not within(name, GENERATED)]
    return found


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def statements(text: str) -> str:
    """What a module does. Of an import of ours stays what it is called here: where it lies says nothing."""
    tree = ast.parse(text)
    called: set[tuple[str, str]] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        kept = [one for one in body if not is_text(one)]
        for one in [one for one in kept if is_ours(one)]:
            assert isinstance(one, ast.Import | ast.ImportFrom)
            called |= {(alias.name.rpartition(".")[2], alias.asname or alias.name) for alias in one.names}
            kept.remove(one)
        node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
    return f"{sorted(called)}\n{ast.unparse(tree)}"


def is_text(statement: ast.stmt) -> bool:
    """A docstring, or another string that stands alone."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def is_ours(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.ImportFrom):
        return statement.module is not None and within(statement.module, PACKAGE)
    return isinstance(statement, ast.Import) and all(within(alias.name, PACKAGE) for alias in statement.names)
