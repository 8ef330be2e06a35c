"""Reading and writing the golden files in schemas/golden: what weather puts on the wire for fixed clean inputs.

Shared by the tests of both engines. ts/test/golden.ts says how the files hang together. Test support only.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).resolve().parents[3] / "schemas" / "golden" / "weather"


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    return found


def text_of(value: dict[str, Any]) -> str:
    """One value a line, so that a difference names what moved."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write(name: str, value: dict[str, Any]) -> None:
    (GOLDEN / f"{name}.json").write_text(text_of(value), encoding="utf-8")


def rounded(value: Any, digits: int) -> Any:
    """The same with every double at so many significant digits; whole numbers and texts stay."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, dict):
        return {name: rounded(part, digits) for name, part in value.items()}
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
        # A union's branch and its value.
        return value[0], rounded(value[1], digits)
    if isinstance(value, list | tuple):
        return [rounded(part, digits) for part in value]
    return value


def shown(value: Any) -> Any:
    """A decoded record as JSON: bytes as hex, NaN as null."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, dict):
        return {name: shown(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [shown(part) for part in value]
    return value
