"""meaning.py: what voids a certificate is a change of what a row is, and nothing else."""

from __future__ import annotations

import pytest
from spark_jobs.windows import decode, meaning, plans

PLANS = """
'''The plans.'''
from __future__ import annotations
from spark_jobs.generated.contract import Contract
from spark_jobs.kit.frame import prefix
from spark_jobs.windows import windows


def in_table(rows, contract: Contract):
    '''Rows of a table.'''
    # A comment.
    return windows.aggregate(rows, prefix(contract.key), 60_000)
"""
WINDOWS = """
SIZE = 600


def aggregate(rows, key, size):
    return [row for row in rows if row.size == size and row.key == key]
"""
FRAME = "def prefix(number):\n    return bytes([0, number])\n"
HERE = {
    "spark_jobs.windows.plans": PLANS,
    "spark_jobs.windows.windows": WINDOWS,
    "spark_jobs.kit.frame": FRAME,
    "spark_jobs.kit.kafka": "def read():\n    return []\n",
    "spark_jobs.generated.contract": "class Contract:\n    key = 1\n",
}


def hashed(modules: dict[str, str], root: str = "spark_jobs.windows.plans") -> str:
    return meaning.meaning_of([root], modules.get)


def changed(module: str, old: str, new: str) -> dict[str, str]:
    assert old in HERE[module], "the planted change must be one"
    return HERE | {module: HERE[module].replace(old, new)}


@pytest.mark.parametrize(
    "modules",
    [
        changed("spark_jobs.windows.plans", "# A comment.", "# Another one,\n    # in two lines."),
        changed("spark_jobs.windows.plans", "Rows of a table.", "What a backfill writes."),
        changed("spark_jobs.windows.windows", "if row.size == size and", "\n        if row.size == size\n        and"),
        changed("spark_jobs.kit.kafka", "return []", "return [1]"),
        changed("spark_jobs.generated.contract", "key = 1", "key = 1\n    more = 2"),
        HERE | {"spark_jobs.kit.json_lines": "def write(rows):\n    return 1\n"},
    ],
    ids=["comment", "docstring", "line break", "who reads", "contract, which has a fingerprint", "a new writer"],
)
def test_what_decides_no_row_changes_nothing(modules: dict[str, str]) -> None:
    assert modules != HERE
    assert hashed(modules) == hashed(HERE)


def test_a_module_may_move() -> None:
    moved = {
        name.replace("kit.frame", "bytes.framing").replace(".windows.plans", ".rows.both"): text.replace(
            "from spark_jobs.kit.frame import", "from spark_jobs.bytes.framing import"
        )
        for name, text in HERE.items()
    }
    assert hashed(moved, "spark_jobs.rows.both") == hashed(HERE)


@pytest.mark.parametrize(
    "modules",
    [
        changed("spark_jobs.windows.plans", "60_000", "60_001"),
        changed("spark_jobs.windows.plans", "windows.aggregate(rows", "windows.aggregate(rows[1:]"),
        changed("spark_jobs.windows.windows", "SIZE = 600", "SIZE = 601"),
        changed("spark_jobs.windows.windows", " and ", " or "),
        changed("spark_jobs.kit.frame", "[0, number]", "[1, number]"),
        changed("spark_jobs.windows.plans", "import prefix", "import other as prefix"),
    ],
    ids=["number", "call", "constant", "operator", "what it imports", "another function under the name"],
)
def test_what_decides_a_row_changes_the_hash(modules: dict[str, str]) -> None:
    assert hashed(modules) != hashed(HERE)


def test_the_deciding_modules_of_this_tree() -> None:
    """The decoder of each format and its rules for attributes, the two plans, the one window module and the frame:
    nothing that reads, writes or runs.
    """
    found = meaning.deciding((decode.__name__, plans.__name__), meaning.source_of)
    assert sorted(found) == [
        "spark_jobs.kit.frame",
        "spark_jobs.kit.json_records",
        "spark_jobs.kit.protobuf_records",
        "spark_jobs.windows.attributes",
        "spark_jobs.windows.decode",
        "spark_jobs.windows.plans",
        "spark_jobs.windows.windows",
    ]


def test_a_mended_line_of_the_window_module_is_seen() -> None:
    name = "spark_jobs.windows.windows"
    text = meaning.source_of(name)
    assert text is not None and ".max(" in text

    def mended(module: str) -> str | None:
        return text.replace("F.max(field)", "F.min(field)") if module == name else meaning.source_of(module)

    roots = (decode.__name__, plans.__name__)
    assert meaning.meaning_of(roots, meaning.source_of) == meaning.code_sha256()
    assert meaning.meaning_of(roots, mended) != meaning.code_sha256()
