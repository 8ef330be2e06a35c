"""What every job does around its own work: exit codes, failures, strict parameters, secrets, the request to stop."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from spark_jobs.generated import job
from spark_jobs.generated.contract import Contract
from spark_jobs.generated.job import JobError, Reporter
from spark_jobs.generated.params import KafkaAccess, SeedParams
from spark_jobs.generated.weather_contract import CONTRACT

ACCESS: dict[str, Any] = {"bootstrap": "127.0.0.1:1", "properties": {}, "secrets_path": None}
PARAMS: dict[str, Any] = {
    "namespace": "",
    "job": "weather-seed",
    "submission": "weather-seed-1",
    "fingerprint": CONTRACT.fingerprint,
    "kafka": ACCESS,
    "progress_topic": None,
    "progress_schema_id": 1,
    "table_path": "/t",
    "history_topic": "weather-history",
    "history_schema_id": 2,
    "partitions": 4,
    "history_schemas": {},
    "cutover_ms": 1480550400000,
}


class Run:
    """A job that remembers what it was called with, and ends as it is told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.params: SeedParams | None = None
        self.stopping: bool | None = None

    def __call__(self, contract: Contract, params: SeedParams, reporter: Reporter) -> Mapping[str, float] | None:
        self.params = params
        self.stopping = reporter.stop_requested()
        if self.error is not None:
            raise self.error
        return {"rows": 1}


def call(monkeypatch: pytest.MonkeyPatch, path: Path, params: Mapping[str, Any], work: Run) -> int:
    path.write_text(json.dumps(params))
    monkeypatch.setattr(sys, "argv", ["job", str(path)])
    with pytest.raises(SystemExit) as end:
        job.main("weather-seed", CONTRACT, SeedParams, work)
    assert isinstance(end.value.code, int)
    return end.value.code


def test_main_runs_the_job_with_its_parameters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    work = Run()
    assert call(monkeypatch, tmp_path / "p.json", PARAMS, work) == 0
    assert work.params is not None
    assert work.params.kafka == KafkaAccess("127.0.0.1:1", {}, None)
    assert work.stopping is False


def test_main_hears_the_request_to_stop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "p.json.stop").touch()
    work = Run()
    assert call(monkeypatch, tmp_path / "p.json", PARAMS, work) == 0
    assert work.stopping is True


def test_main_refuses_another_contract(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = Run()
    assert call(monkeypatch, tmp_path / "p.json", PARAMS | {"fingerprint": "0" * 64}, work) == 1
    assert work.params is None
    said = capsys.readouterr().err
    assert "contract_mismatch" in said
    assert CONTRACT.fingerprint in said


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (JobError("model_refused", "no"), "model_refused"),
        (TimeoutError("late"), "job_timed_out"),
        (KeyError("x"), "job_failed"),
    ],
)
def test_main_fails_with_the_shared_code(
    error: Exception, code: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, tmp_path / "p.json", PARAMS, Run(error)) == 1
    assert f"failed: {code}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"partitions": "4"}, "SeedParams.partitions"),
        ({"partitions": True}, "SeedParams.partitions"),
        ({"partitions": 4.0}, "SeedParams.partitions"),
        ({"table_path": None}, "SeedParams.table_path"),
        ({"extra": 1}, "extra"),
        ({"kafka": {"bootstrap": "x"}}, "properties"),
        ({"kafka": {**ACCESS, "properties": {"a": 1}}}, "SeedParams.kafka.properties.a"),
        ({"kafka": "x"}, "SeedParams.kafka"),
    ],
)
def test_parse_refuses_what_does_not_fit_and_names_it(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SeedParams.parse(PARAMS | change)


def test_parse_refuses_a_missing_key_even_where_null_is_allowed() -> None:
    with pytest.raises(ValueError, match="progress_topic"):
        SeedParams.parse({key: value for key, value in PARAMS.items() if key != "progress_topic"})


def test_kafka_config_resolves_secrets(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.json"
    secrets.write_text('{"broker": "hunter2"}')
    access = KafkaAccess("a:1,b:2", {"sasl.password": "secret:broker", "sasl.username": "me"}, str(secrets))
    assert job.kafka_config(access) == {
        "bootstrap.servers": "a:1,b:2",
        "sasl.password": "hunter2",
        "sasl.username": "me",
    }


@pytest.mark.parametrize("path", [None, "absent.json"])
def test_kafka_config_names_the_secret_it_lacks_and_shows_none(path: str | None, tmp_path: Path) -> None:
    access = KafkaAccess("a:1", {"sasl.password": "secret:broker"}, None if path is None else str(tmp_path / path))
    with pytest.raises(JobError) as failure:
        job.kafka_config(access)
    assert failure.value.code == "config_invalid"
    secrets = tmp_path / "secrets.json"
    secrets.write_text('{"other": "hunter2"}')
    with pytest.raises(JobError, match='"broker"') as failure:
        job.kafka_config(replace(access, secrets_path=str(secrets)))
    assert "hunter2" not in str(failure.value)


def test_reporter_never_fails_when_nobody_listens(tmp_path: Path) -> None:
    params = SeedParams.parse(PARAMS | {"progress_topic": "job-progress", "kafka": ACCESS})
    reporter = Reporter(params, CONTRACT.schemas["progress"], tmp_path / "p.json")
    for _ in range(2 * job.QUEUE_MESSAGES):
        reporter.progress({"rows": 1})
