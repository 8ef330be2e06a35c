# Copied from ts/codegen/static/job.py. Do not edit: npm run generate.
"""What every job does around its own work: read its parameters, check them, report how it fares, end with an exit code.

Copied from ts/codegen/static by the generator; the thin entrypoints beside this one call main(). Computes nothing,
starts no engine and reads no environment variable: all that a job knows comes in one JSON file, its only argument.
"""

from __future__ import annotations

import io
import json
import struct
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Protocol, Self, TypeVar

from .contract import Contract
from .error_code import ERROR_CODES, ErrorCode
from .params import KafkaAccess
from .parse import Parsed

# A report must not keep a job from ending: what Kafka does not take within this time is lost, the exit code is not.
FLUSH_S = 10.0
# Reports are small and rare; a full queue means Kafka has been away for long, and old reports matter to nobody.
QUEUE_MESSAGES = 1_000


class JobError(Exception):
    """A failure with one of the shared codes. `message`: action, subject in quotes, what was wanted, what was seen."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code: ErrorCode = code


class JobParams(Protocol):
    """What every job's parameters have."""

    @property
    def job(self) -> str: ...
    @property
    def submission(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def kafka(self) -> KafkaAccess | None: ...
    @property
    def progress_topic(self) -> str | None: ...
    @property
    def progress_schema_id(self) -> int: ...
    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self: ...


P = TypeVar("P", bound=JobParams)
R = TypeVar("R", bound=Parsed)


class Reporter:
    """Says how a job fares on the progress topic, and hears whether it is asked to stop.

    Silent without a topic or a cluster. Safe to call from several threads. Never raises for Kafka: a job does not fail
    because nobody listens.
    """

    def __init__(self, params: JobParams, progress_schema: str, params_path: Path) -> None:
        self._params = params
        self._stop_path = params_path.with_name(params_path.name + ".stop")
        self._abort_path = params_path.with_name(params_path.name + ".abort")
        self._producer: Any = None
        if params.progress_topic is None or params.kafka is None:
            return
        import confluent_kafka
        import fastavro

        self._schema = fastavro.parse_schema(json.loads(progress_schema))
        self._prefix = struct.pack(">bI", 0, params.progress_schema_id)
        self._producer = confluent_kafka.Producer(
            kafka_config(params.kafka)
            | {
                "acks": "all",
                "enable.idempotence": True,
                "compression.type": "snappy",
                "partitioner": "murmur2_random",
                "message.timeout.ms": int(FLUSH_S * 1000),
                "queue.buffering.max.messages": QUEUE_MESSAGES,
            }
        )

    def progress(self, counters: Mapping[str, float], state: str = "running", message: str | None = None) -> None:
        """Sends one report without waiting for it. `state` is a symbol of job_state."""
        self._send(counters, state, message, None)

    def stop_requested(self) -> bool:
        """Whether the marker file `<parameter file>.stop` exists: the job then ends its current batch and returns."""
        return self._stop_path.exists()

    def abort_requested(self) -> bool:
        """Whether `<parameter file>.abort` exists: the job then leaves its current batch in the middle. Only one that
        shares its process with others is asked; any other is killed."""
        return self._abort_path.exists()

    def end(
        self, counters: Mapping[str, float], state: str, message: str | None = None, error_code: ErrorCode | None = None
    ) -> None:
        """Sends the last report and waits for it, at most FLUSH_S."""
        self._send(counters, state, message, error_code)
        if self._producer is not None:
            self._producer.flush(FLUSH_S)

    def _send(
        self, counters: Mapping[str, float], state: str, message: str | None, error_code: ErrorCode | None
    ) -> None:
        if self._producer is None:
            return
        import fastavro

        record = {
            "job": self._params.job,
            "submission": self._params.submission,
            "state": state,
            "timestamp": int(time.time() * 1000),
            "error_code": error_code,
            "message": message,
            "counters": {name: float(value) for name, value in counters.items()},
        }
        body = io.BytesIO()
        fastavro.schemaless_writer(body, self._schema, record)
        try:
            self._producer.produce(
                self._params.progress_topic, key=self._params.job.encode(), value=self._prefix + body.getvalue()
            )
        except BufferError:
            print(f"dropped a report of {self._params.job}: the queue to Kafka is full", file=sys.stderr)
        self._producer.poll(0)


class Job(NamedTuple):
    """A job as an application knows it that runs several. `params`: a type of parameters; `run` takes the contract,
    such parameters and a Reporter, and returns its last counters or None.
    """

    name: str
    contract: Contract
    params: type[Any]
    run: Callable[[Contract, Any, Reporter], Mapping[str, float] | None]


class Outcome(NamedTuple):
    """How a job has ended: `state` is a symbol of job_state; reason and code are those of a failure."""

    state: str
    reason: str | None = None
    error_code: ErrorCode | None = None


def main(
    name: str,
    contract: Contract,
    params_type: type[P],
    run: Callable[[Contract, P, Reporter], Mapping[str, float] | None],
) -> NoReturn:
    """Runs one job and leaves the process: 0 when it succeeded or was stopped, 1 when it failed, 2 for a wrong call.

    `--describe` as the only argument prints what the job is made for, and starts nothing. `run` returns its last
    counters, or None.
    """
    path = argument_of(name, lambda: describe(name, contract, params_type))
    sys.exit(1 if attempt(Job(name, contract, params_type, run), path).state == "failed" else 0)


def argument_of(name: str, described: Callable[[], Any]) -> Path:
    """The path of the parameter file, a job's only argument; leaves the process for any other call."""
    arguments = sys.argv[1:]
    if arguments == ["--describe"]:
        print(json.dumps(described(), indent=2))
        sys.exit(0)
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(
            f'Cannot run job "{name}": expected the path of a parameter file or --describe, got {arguments}',
            file=sys.stderr,
        )
        sys.exit(2)
    return Path(arguments[0].removeprefix("file://"))


def attempt(job: Job, path: Path) -> Outcome:
    """Runs a job to its end, and reports it. Raises nothing: a failure is printed and is the outcome."""
    reporter: Reporter | None = None
    try:
        params = read_params(path, job.params)
        reporter = Reporter(params, job.contract.schemas["progress"], path)
        check_fingerprint(job.name, job.contract, params)
        reporter.progress({}, state="starting")
        counters = job.run(job.contract, params, reporter) or {}
        outcome = Outcome("stopped" if reporter.stop_requested() else "succeeded")
        reporter.end(counters, outcome.state)
        return outcome
    except Exception as error:
        traceback.print_exc()
        code = code_of(error)
        print(f"job {job.name} failed: {code}: {error}", file=sys.stderr)
        reason = str(error) or type(error).__name__
        if reporter is not None and reporter.abort_requested():
            # Whatever it was in the middle of broke because it was asked to.
            reporter.end({}, "stopped", reason)
            return Outcome("stopped", reason)
        if reporter is not None:
            reporter.end({}, "failed", reason, code)
        return Outcome("failed", reason, code)


def describe(name: str, contract: Contract, params_type: type) -> dict[str, Any]:
    """What the job is made for: its contract, and the parameters it wants by name."""
    return {
        "job": name,
        "pipeline": contract.pipeline,
        "fingerprint": contract.fingerprint,
        "plan_hash": contract.plan_hash,
        "fields": {field.name: field.unit for field in contract.fields},
        "params": {field.name: str(field.type) for field in fields(params_type)},
    }


def read_params(path: Path, params_type: type[R]) -> R:
    """Errors: JobError config_invalid for a file that cannot be read or has other keys than these parameters."""
    try:
        return params_type.parse(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise JobError("config_invalid", f'Cannot read parameters "{path}": {error}') from error


def check_fingerprint(name: str, contract: Contract, params: JobParams) -> None:
    """Errors: JobError contract_mismatch when the submitter holds another contract than this code is made from."""
    if params.fingerprint != contract.fingerprint:
        raise JobError(
            "contract_mismatch",
            f'Cannot run job "{name}": expected contract {contract.fingerprint}, got {params.fingerprint} to run for',
        )


def kafka_config(access: KafkaAccess) -> dict[str, Any]:
    """librdkafka properties of a cluster; a value `secret:NAME` is looked up in the secrets file.

    Errors: JobError config_invalid for a secret that is not there.
    """
    given = dict(access.properties)
    named = {key: value.removeprefix("secret:") for key, value in given.items() if value.startswith("secret:")}
    secrets: dict[str, str] = {}
    if named:
        if access.secrets_path is None:
            wanted = min(named.values())
            raise JobError("config_invalid", f'Cannot resolve secret "{wanted}": expected a secrets file, got none')
        try:
            secrets = json.loads(Path(access.secrets_path).read_text("utf-8"))
        except (OSError, ValueError) as error:
            seen = type(error).__name__
            raise JobError("config_invalid", f'Cannot read secrets "{access.secrets_path}": {seen}') from error
    for name in named.values():
        if name not in secrets:
            raise JobError("config_invalid", f'Cannot resolve secret "{name}": not in "{access.secrets_path}"')
    return {"bootstrap.servers": access.bootstrap} | given | {key: secrets[name] for key, name in named.items()}


def code_of(error: BaseException) -> ErrorCode:
    """The shared code of any exception."""
    if isinstance(error, JobError):
        return error.code if error.code in ERROR_CODES else "job_failed"
    if isinstance(error, TimeoutError):
        return "job_timed_out"
    return "job_failed"
