"""Features and rejects for fixed clean inputs are what they were, byte for byte; golden_features.py says how."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import SparkSession
from tests import golden_features, golden_files


@pytest.fixture(scope="module")
def made(spark: SparkSession) -> dict[str, Any]:
    return golden_features.built(spark)


def test_features_and_rejects_are_what_they_were(made: dict[str, Any]) -> None:
    assert golden_files.text_of(made) == golden_files.text_of(golden_files.read("features"))


@pytest.mark.parametrize("what", ["features", "rejects"])
def test_one_byte_one_key_and_one_offset_are_noticed(made: dict[str, Any], what: str) -> None:
    golden = golden_files.read("features")
    first = golden[what][0]
    for changed in ({"value": first["value"][:-1] + "x"}, {"key": "other"}, {"offset": 99}):
        other = golden | {what: [first | changed, *golden[what][1:]]}
        assert golden_files.text_of(made) != golden_files.text_of(other)
