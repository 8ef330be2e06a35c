"""The judge of the whole line can say no: each fault it is there for, made by hand, is found."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from ray_jobs.generated.weather_contract import CONTRACT
from tests.line_check import (
    wrong_history,
    wrong_predictions,
    wrong_raw,
    wrong_states,
    wrong_turns,
    wrong_verifications,
)

NAN = float("nan")


def prediction(number: int) -> dict[str, Any]:
    provenance = {"feature_partition": 0, "feature_offset": number, "history_offsets": []}
    return {"id": f"p{number}", "inputs": [1.0, NAN], "provenance": provenance, "stages": {"predict_time": 0}}


def observation(minute: int) -> dict[str, Any]:
    return {CONTRACT.key: "boston", "event_time": minute * 60_000} | {f.name: float(minute) for f in CONTRACT.measured}


def of_the_run(p: dict[str, Any]) -> dict[str, Any]:
    """The same prediction from another run: other times, another view of the history."""
    return p | {"stages": {"predict_time": 9}, "provenance": p["provenance"] | {"history_offsets": [4]}}


WANTED = [prediction(n) for n in range(3)]


def test_wrong_predictions_accepts_the_same_of_another_run() -> None:
    assert list(wrong_predictions([of_the_run(p) for p in reversed(WANTED)], copy.deepcopy(WANTED))) == []


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (lambda got: got[:2], "p2: never committed"),
        (lambda got: [*got, got[0]], "p0: committed 2 times"),
        (lambda got: [*got, prediction(7)], "p7: no run without kills makes it"),
        (lambda got: [got[0] | {"inputs": [1.0, 2.0]}, *got[1:]], "p0 inputs"),
        (lambda got: [got[0] | {"provenance": prediction(5)["provenance"]}, *got[1:]], "p0 provenance"),
    ],
)
def test_wrong_predictions_finds(fault: Callable[[Any], Any], says: str) -> None:
    (line,) = wrong_predictions(fault(copy.deepcopy(WANTED)), copy.deepcopy(WANTED))
    assert says in line


def test_wrong_verifications_finds_lost_doubled_and_changed_truths() -> None:
    wanted: list[dict[str, Any]] = [{"id": "v1", "truth": 1.0}, {"id": "v2", "truth": None}]
    assert list(wrong_verifications(wanted[::-1], wanted)) == []
    assert "v2: never" in next(wrong_verifications(wanted[:1], wanted))
    assert "v1: committed 2 times" in next(wrong_verifications([*wanted, wanted[0]], wanted))
    assert "v1: no run" in next(wrong_verifications(wanted, wanted[1:]))
    assert "v1: {" in next(wrong_verifications([{"id": "v1", "truth": 2.0}, wanted[1]], wanted))


CELL = {"kind": "named", "kind_name": "cell"}
CURSOR = {"kind": "named", "kind_name": "cursor"}
CLOCK = {"kind": "named", "kind_name": "clock"}
HISTORY = [
    (0, b"boston|1", b"old", CELL),
    (0, b"cursor|0", b"c1", CURSOR | {"next_offset": 1}),
    (0, b"boston|1", b"new", CELL),
    (0, b"cursor|0", b"c2", CURSOR | {"next_offset": 2}),
]
UNBROKEN = {(0, b"boston|1"): b"new", (0, b"cursor|0"): b"c2"}


# An entity that was evicted, and when a clock was written.
FORGOTTEN = [(0, b"cell|1|miami", b"x", CELL), (0, b"clock|0", b"t", CLOCK), (0, b"cell|1|miami", None, None)]


def test_wrong_history_accepts_the_last_value_of_each_key() -> None:
    assert list(wrong_history(HISTORY, UNBROKEN)) == []
    assert list(wrong_history([*FORGOTTEN, *HISTORY], UNBROKEN)) == []


@pytest.mark.parametrize(
    ("history", "says"),
    [
        (HISTORY[1:2] + HISTORY[3:], "missing"),
        ([*HISTORY, (1, b"miami|1", b"x", CELL)], "extra"),
        ([*HISTORY, *FORGOTTEN[:2]], "extra"),
        ([*HISTORY, (0, b"boston|1", None, None)], "missing"),
        ([*HISTORY, (0, b"boston|1", b"other", CELL)], "differs"),
        (
            [*HISTORY, (0, b"cursor|0", b"c2", CURSOR | {"next_offset": 2})],
            "covers 2 after 2",
        ),
    ],
)
def test_wrong_history_finds(history: Any, says: str) -> None:
    (line,) = wrong_history(history, UNBROKEN)
    assert says in line


def test_wrong_states_finds_what_a_restore_lacks_or_has_otherwise() -> None:
    states = {(0, "boston"): [(1, (NAN,))], (1, "miami"): [(1, (2.0,))]}
    assert list(wrong_states(dict(states), states)) == []
    assert "missing" in next(wrong_states({(0, "boston"): [(1, (NAN,))]}, states))
    assert "extra" in next(wrong_states(states | {(2, "x"): []}, states))
    assert "differ" in next(wrong_states(states | {(1, "miami"): [(1, (3.0,))]}, states))


def test_wrong_raw_finds_lost_doubled_and_changed_observations() -> None:
    rows = [observation(m) for m in range(3)]
    assert list(wrong_raw(list(reversed(rows)), rows, CONTRACT)) == []
    assert "lost 1" in next(wrong_raw(rows[1:], rows, CONTRACT))
    assert "1 too many" in next(wrong_raw([*rows, rows[0]], rows, CONTRACT))
    changed = [rows[0] | {CONTRACT.measured[0].name: 9.0}, *rows[1:]]
    assert len(list(wrong_raw(changed, rows, CONTRACT))) == 2


def test_wrong_turns_finds_lost_doubled_changed_and_disordered_ones() -> None:
    wanted = [{"id": "a1", "state": "opened"}, {"id": "a2", "state": "opened"}, {"id": "a1", "state": "resolved"}]
    assert list(wrong_turns([wanted[1], wanted[0], wanted[2]], wanted)) == [], "partitions come in any order"
    for got in (wanted[:2], [*wanted, wanted[0]], [wanted[2], *wanted[:2]], [{"id": "a3"}, *wanted], []):
        assert list(wrong_turns(got, wanted))
