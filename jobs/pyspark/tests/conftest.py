"""One local Spark session for all unit tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession
from tests.sessions import JARS, local_session


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "spark" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    if not any(JARS.glob("spark-avro*.jar")):
        pytest.skip(f"no connector jars in {JARS}: make setup")
    session = local_session(tmp_path_factory.mktemp("spark"))
    yield session
    session.stop()
