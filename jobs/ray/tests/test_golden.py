"""Forecasts, verifications, history and rejects for fixed clean inputs are what they were; golden_forecasts.py says
how.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
from tests import golden_files, golden_forecasts

WHAT = ("predictions", "verifications", "history", "rejects")


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return golden_forecasts.built()


def test_the_forecast_stage_is_what_it_was(made: dict[str, Any]) -> None:
    assert golden_files.text_of(made) == golden_files.text_of(golden_files.read("forecasts"))


def test_every_kind_of_record_is_held(made: dict[str, Any]) -> None:
    assert {r["record"]["kind_name"] for r in made["history"]} == {"cell", "pending", "calibration", "cursor"}
    assert {r["record"]["status"] for r in made["verifications"]} == {"verified", "unverifiable"}
    assert {r["record"]["horizon_h"] for r in made["verifications"]} == {6, 12, 24}
    assert len(made["rejects"]) == 1 and len({r["partition"] for r in made["predictions"]}) > 1


@pytest.mark.parametrize("what", WHAT)
def test_one_byte_one_key_and_one_partition_are_noticed(made: dict[str, Any], what: str) -> None:
    golden = golden_files.read("forecasts")
    first = golden[what][0]
    for changed in ({"value": first["value"][:-1] + "x"}, {"key": "other"}, {"partition": 7}):
        other = golden | {what: [first | changed, *golden[what][1:]]}
        assert golden_files.text_of(made) != golden_files.text_of(other)


def test_code_that_speaks_otherwise_is_noticed() -> None:
    """The arm is part of a prediction's id and of what is judged later."""
    golden = golden_files.read("forecasts")
    parsed = golden_forecasts.params_of

    def other_arm(*given: Any) -> Any:
        return replace(parsed(*given), arm="challenger")

    with mock.patch.object(golden_forecasts, "params_of", other_arm):
        other = golden_forecasts.built()
    assert [r["record"]["id"] for r in other["predictions"]] != [r["record"]["id"] for r in golden["predictions"]]
    assert other["rejects"] == golden["rejects"]
