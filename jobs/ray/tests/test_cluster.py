"""Tasks on a real, local Ray: a dead worker costs its task another try, and the model is the same as without Ray."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import ray
from ray_jobs import train
from ray_jobs.cluster import Cluster, Inline
from ray_jobs.generated.weather_contract import CONTRACT
from tests.tables import train_params, write_sample

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    # As the local engines run it: with its tokens Ray would leave a file in the home folder of whoever runs the tests.
    before = os.environ.get("RAY_AUTH_MODE")
    os.environ["RAY_AUTH_MODE"] = "disabled"
    ray.init(
        num_cpus=2,
        object_store_memory=80_000_000,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}},
    )
    yield Cluster(workers=2)
    ray.shutdown()
    if before is None:
        del os.environ["RAY_AUTH_MODE"]
    else:
        os.environ["RAY_AUTH_MODE"] = before


def square_but_die_once(value: int, marker: str) -> int:
    if value == 3 and not os.path.exists(marker):
        Path(marker).touch()
        os._exit(1)
    return value * value


def total(values: list[int]) -> int:
    return sum(values)


def fail(value: int) -> int:
    raise ValueError(f"no {value}")


def test_map_runs_the_task_of_a_dead_worker_again(cluster: Cluster, tmp_path: Path) -> None:
    marker = str(tmp_path / "died")
    got = dict(cluster.map(square_but_die_once, [(i, marker) for i in range(6)]))
    assert os.path.exists(marker)
    assert got == {i: i * i for i in range(6)}


def test_map_passes_an_error_on(cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="no 1"):
        list(cluster.map(fail, [(1,)]))


def test_map_shares_one_copy(cluster: Cluster) -> None:
    held = cluster.put([1, 2, 3])
    assert dict(cluster.map(total, [(held,), (held,)])) == {0: 6, 1: 6}


def test_train_on_ray_gives_the_digest_of_this_process(cluster: Cluster, tmp_path: Path) -> None:
    contract = replace(CONTRACT, targets=("temperature",), horizons_h=(6,))
    write_sample(tmp_path / "table", contract, "2016-08-01", "2016-12-01")
    params = train_params(tmp_path / "table", "2016-12-01", trees=5)
    said: list[str] = []

    def say(_counters: dict[str, float], message: str | None = None) -> None:
        said.append(message or "")

    on_ray = train.train(contract, params, cluster, tmp_path / "ray", None, say)
    here = train.train(contract, params, Inline(), tmp_path / "here", None, say)
    assert on_ray.manifest["digest"] == here.manifest["digest"]
    assert sum(text.startswith("head temperature_6h_q0.5:") for text in said) == 2
