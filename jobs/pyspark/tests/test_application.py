"""Several streams in one application, on a local Spark: each with its own session, query and end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from spark_jobs.generated.contract import Contract
from spark_jobs.generated.job import Job, JobError, Reporter
from spark_jobs.generated.params import KafkaAccess
from spark_jobs.generated.parse import Parsed
from spark_jobs.generated.weather_contract import CONTRACT
from spark_jobs.kit import application, session
from spark_jobs.kit.application import Application
from spark_jobs.kit.progress import Progress
from spark_jobs.kit.query import follow

DEADLINE_S = 60.0


@dataclass(frozen=True)
class Given(Parsed):
    """Parameters of a member that counts."""

    job: str
    submission: str
    fingerprint: str
    kafka: KafkaAccess | None
    progress_topic: str | None
    progress_schema_id: int
    partitions: int


def counts(contract: Contract, params: Given, reporter: Reporter) -> Mapping[str, float]:
    """A stream of numbers that is counted, until it is asked to stop."""
    progress = Progress()
    conf = {"spark.sql.shuffle.partitions": str(params.partitions)}
    with session.opened(session.APP_CONF, dict(session.SQL_CONF) | conf) as spark, progress.listen(spark):
        rows = spark.readStream.format("rate").option("rowsPerSecond", 20).load()
        query = rows.groupBy("value").count().writeStream.queryName(params.job).outputMode("update")
        started = query.format("noop").trigger(processingTime="100 milliseconds").start()
        assert spark.conf.get("spark.sql.shuffle.partitions") == str(params.partitions)
        return follow(spark, [started], lambda: progress.counters(params.job), reporter)


def fails(contract: Contract, params: Given, reporter: Reporter) -> Mapping[str, float]:
    with session.opened(session.APP_CONF, session.SQL_CONF) as spark:
        query = spark.readStream.format("rate").load().selectExpr("raise_error('broken')").writeStream
        follow(spark, [query.queryName(params.job).format("noop").start()], dict, reporter)
    raise AssertionError("the query did not fail")


def refuses(contract: Contract, params: Given, reporter: Reporter) -> Mapping[str, float]:
    with session.opened({"spark.only.elsewhere": "1"}, session.SQL_CONF):
        raise AssertionError("it has begun without what it needs")


def hangs(contract: Contract, params: Given, reporter: Reporter) -> Mapping[str, float]:
    """Does not look for a stop: one batch that never ends."""
    with session.opened(session.APP_CONF, session.SQL_CONF) as spark:
        spark.range(4).rdd.foreach(lambda _: time.sleep(600))
    return {}


MEMBERS = [Job(f"weather-{run.__name__}", CONTRACT, Given, run) for run in (counts, fails, refuses, hangs)]
OTHER = Job("weather-others", CONTRACT, Given, counts)


class Running:
    """An application at work in a thread, and the word of whoever submits."""

    def __init__(self, spark: SparkSession, folder: Path, idle_s: float = 600.0) -> None:
        self.folder, self.spark = folder, spark
        (folder / "app").mkdir()
        self.application = Application(folder / "app", [*MEMBERS, OTHER], idle_s, spark.sparkContext)
        self.thread = threading.Thread(target=self.application.run, args=(0.1,), daemon=True)
        self.thread.start()

    def ask(self, job: str, partitions: int = 1, fingerprint: str = CONTRACT.fingerprint) -> Path:
        """Asks for a member; returns where its parameters lie."""
        submission = f"weather-{job}-1"
        params = self.folder / f"{submission}.json"
        given = Given(f"weather-{job}", submission, fingerprint, None, None, 1, partitions)
        params.write_text(json.dumps(asdict(given)))
        beside = self.folder / "new"
        beside.write_text(json.dumps({"job": f"weather-{job}", "params_path": str(params)}))
        beside.replace(self.folder / "app" / params.name)
        return params

    def said(self, job: str) -> dict[str, str | None] | None:
        path = self.folder / "app" / f"weather-{job}-1.state"
        return json.loads(path.read_text()) if path.exists() else None

    def ends(self, job: str) -> dict[str, str | None]:
        def ended() -> bool:
            said = self.said(job)
            return said is not None and said["state"] != "running"

        until(ended)
        said = self.said(job)
        assert said is not None
        return said

    def batches(self, job: str) -> int:
        """Jobs of a query that the application has had, by the name that its page shows."""
        store = self.spark.sparkContext._jsc.sc().statusStore()
        jobs = store.jobsList(None)
        found = 0
        for at in range(jobs.size()):
            about = jobs.apply(at)
            if about.description().isDefined() and about.description().get().startswith(f"weather-{job}\n"):
                found += 1
        return found


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not done():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


@pytest.fixture
def running(spark: SparkSession, tmp_path: Path) -> Iterator[Running]:
    at_work = Running(spark, tmp_path)
    yield at_work
    for params in tmp_path.glob("*.json"):
        Path(f"{params}.stop").touch()
        Path(f"{params}.abort").touch()
    until(lambda: not at_work.application.look())
    (tmp_path / "app").rename(tmp_path / "gone")
    at_work.thread.join(DEADLINE_S)


def test_members_run_beside_each_other_each_under_its_name_and_settings(running: Running) -> None:
    running.ask("counts", partitions=1)
    running.ask("others", partitions=2)
    until(lambda: running.batches("counts") > 1 and running.batches("others") > 1)
    assert running.said("counts") == {"state": "running", "reason": None, "error_code": None}


def test_one_that_fails_is_said_to_have_failed_and_the_others_go_on(running: Running) -> None:
    running.ask("counts")
    running.ask("fails")
    assert running.ends("fails")["state"] == "failed"
    assert "broken" in str(running.said("fails"))
    before = running.batches("counts")
    until(lambda: running.batches("counts") > before)


def test_one_that_is_asked_to_stop_ends_after_its_batch_and_the_others_go_on(running: Running) -> None:
    running.ask("counts")
    params = running.ask("others")
    until(lambda: running.batches("others") > 0)
    Path(f"{params}.stop").touch()
    assert running.ends("others") == {"state": "stopped", "reason": None, "error_code": None}
    before = running.batches("counts")
    until(lambda: running.batches("counts") > before)


def test_one_that_does_not_stop_has_its_own_jobs_cancelled(running: Running) -> None:
    running.ask("counts")
    params = running.ask("hangs")
    until(lambda: (running.said("hangs") or {}).get("state") == "running")
    Path(f"{params}.stop").touch()
    Path(f"{params}.abort").touch()
    assert running.ends("hangs")["state"] == "stopped"
    before = running.batches("counts")
    until(lambda: running.batches("counts") > before)


def test_a_member_that_cannot_run_here_says_why(running: Running) -> None:
    running.ask("refuses")
    assert running.ends("refuses")["error_code"] == "config_invalid"
    running.ask("others", fingerprint="another")
    assert running.ends("others")["error_code"] == "contract_mismatch"
    params = running.ask("counted")
    assert "weather-counted" in str(running.ends("counted")["reason"])
    # Whoever asked has read it, and nothing of it is kept.
    params.unlink()
    until(lambda: running.said("counted") is None and not (running.folder / "app" / params.name).exists())


def test_one_that_was_taken_back_before_it_began_does_not_begin(running: Running) -> None:
    (running.folder / "app" / "weather-counts-1.state").write_text('{"state": "stopped"}')
    running.ask("counts")
    running.ask("others")
    until(lambda: running.batches("others") > 0)
    assert running.said("counts") == {"state": "stopped"}
    assert not running.application._write("weather-counts-1", application.Outcome("running"), first=True)


def test_it_ends_when_it_has_had_no_member_for_long_and_takes_none_after(spark: SparkSession, tmp_path: Path) -> None:
    running = Running(spark, tmp_path, idle_s=2.0)
    params = running.ask("counts")
    until(lambda: running.batches("counts") > 0)
    Path(f"{params}.stop").touch()
    running.ends("counts")
    running.thread.join(DEADLINE_S)
    assert not running.thread.is_alive()
    running.application.close()
    assert (tmp_path / "app" / application.CLOSED).exists()


def test_a_session_of_its_own_has_no_setting_of_another(spark: SparkSession) -> None:
    with session.opened(session.APP_CONF, {"spark.sql.shuffle.partitions": "7"}) as own:
        assert own.conf.get("spark.sql.shuffle.partitions") == "7"
    assert spark.conf.get("spark.sql.shuffle.partitions") == "2"
    with (
        pytest.raises(JobError, match=r"expected spark\.only\.elsewhere"),
        session.opened({"spark.only.elsewhere": "1"}, {}),
    ):
        pass
