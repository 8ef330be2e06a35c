"""Tasks on a real, local Ray: a dead worker costs its task another try, and the model is the same as without Ray."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import ray
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.kit.cluster import Cluster, Inline, Race
from ray_jobs.kit.time import HOUR_MS
from ray_jobs.train import train
from tests.tables import train_params, write_sample

# Not part of make test-quick: starts Ray.
pytestmark = pytest.mark.slow

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


def promise(loss: float, marker: str) -> Iterator[tuple[int, float]]:
    """Reports `loss` and a little less each time; the worker of the job with 0.5 dies once in its middle."""
    for i in range(1, 9):
        if loss == 0.5 and i == 3 and not os.path.exists(marker):
            Path(marker).touch()
            os._exit(1)
        yield 10 * i, loss - i / 1000


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
    contract = replace(CONTRACT, targets=("temperature",), horizons_ms=(6 * HOUR_MS,))
    write_sample(tmp_path / "table", contract, "2016-08-01", "2016-12-01")
    params = train_params(tmp_path / "table", "2016-12-01", trees=5)
    said: list[str] = []

    def say(_counters: dict[str, float], message: str | None = None) -> None:
        said.append(message or "")

    on_ray = train.train(contract, params, cluster, tmp_path / "ray", None, say)
    here = train.train(contract, params, Inline(), tmp_path / "here", None, say)
    assert on_ray.manifest["digest"] == here.manifest["digest"]
    assert sum(text.startswith("head temperature_6h_q0.5:") for text in said) == 2


def test_compete_stops_the_worse_half_and_starts_a_dead_trial_over(cluster: Cluster, tmp_path: Path) -> None:
    marker = str(tmp_path / "died")
    heard: list[tuple[float, ...]] = []
    losses = [0.6, 0.9, 0.5, 0.52]
    # What hears a job's progress holds a producer, which does not pickle; no more does a lock.
    lock = threading.Lock()

    def hear(*report: float) -> None:
        with lock:
            heard.append(report)

    cluster.compete(promise, losses, (marker,), Race(8, 2, 2), hear)
    assert os.path.exists(marker)
    # One after another, in their order: each is measured against those before it.
    assert [job for i, (job, _, _) in enumerate(heard) if i == 0 or heard[i - 1][0] != job] == [0, 1, 2, 3]
    rounds = [[r for job, r, _ in heard if job == i] for i in range(4)]
    assert rounds[0] == list(range(10, 90, 10))
    assert rounds[1] == [10, 20]
    assert rounds[2] == [10, 20, *range(10, 90, 10)]
    # Better than the middle of the three before it at 20 and of the two that came to 40; at 80 all are done.
    assert rounds[3][-1] == 80


def test_tune_chooses_the_same_again_and_says_so(cluster: Cluster, tmp_path: Path) -> None:
    contract = replace(CONTRACT, targets=("temperature",), horizons_ms=(6 * HOUR_MS,))
    write_sample(tmp_path / "table", contract, "2016-08-01", "2016-12-01")
    params = train_params(tmp_path / "table", "2016-12-01", trees=10, tune=4)
    said: list[str] = []
    counted: dict[str, float] = {}

    def say(counters: dict[str, float], message: str | None = None) -> None:
        counted.update(counters)
        said.append(message or "")

    tuned = train.train(contract, params, cluster, tmp_path / "tuned", None, say)
    again = train.train(contract, replace(params, workers=1), Cluster(1), tmp_path / "again", None, say)
    assert tuned.manifest["digest"] == again.manifest["digest"]
    training = tuned.manifest["training"]
    trials = training["tuning"]["trials"]
    assert counted["trials"] == counted["trials_begun"] == len(trials) == 4
    assert all(any(text.startswith(f"trial {i} of 3:") for text in said) for i in range(4))
    best = min(trials, key=lambda t: t["loss"])
    assert training["settings"] == {name: best[name] for name in training["settings"]}
    assert tuned.metrics["tuned_loss_over_given"] == pytest.approx(best["over_given"], abs=1e-6)
    assert trials[0]["leaves"] == params.leaves
    head = (tmp_path / "tuned" / "heads" / "temperature_6h_q500.txt").read_text()
    assert f"[num_leaves: {best['leaves']}]" in head and f"[lambda_l2: {best['l2']:g}]" in head
