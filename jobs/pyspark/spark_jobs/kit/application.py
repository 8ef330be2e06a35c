"""One Spark application for several streams: the driver's main program, which starts and ends its members one by one.

Sits between whoever submits (ts/engines/application.ts) and the streams' own modules. They meet in the folder of the
application's parameter file: a file `<submission>.json` there asks for a member, `<submission>.state` beside it says
how it fares, `closed` that no further one is taken. Which member runs and how often is not decided here.

A member's way:   asked for --thread begun--> running --returns or raises--> succeeded, stopped or failed
  Each has a thread, a session, a pool of the scheduler and a group of jobs of its own. One that fails takes nobody with
  it; one that is asked to stop ends itself; one that is asked to leave its batch has its group of jobs cancelled.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from pyspark import InheritableThread, SparkContext
from pyspark.sql import SparkSession
from spark_jobs.generated.job import Job, Outcome, argument_of, attempt, describe, read_params
from spark_jobs.generated.params import StreamsParams
from spark_jobs.kit import session, table

# How often it looks into its folder: as often as a stream looks for a request to stop.
LOOK_S = 1.0

CLOSED = "closed"
OWN_PARAMS = "application.json"

# A batch of one stream must not hold up another's: each has a pool, and pools share the cores evenly.
APP_CONF = {**session.APP_CONF, "spark.scheduler.mode": "FAIR"}


class Asked(NamedTuple):
    """What a member's file says: which job, and where its parameters lie."""

    submission: str
    job: str
    params_path: str


def main(name: str, members: Sequence[Job]) -> NoReturn:
    """Runs until there has been no member for as long as its parameters say; leaves the process with 1 when the
    application has broken. `--describe` prints what the members are made for, and starts nothing."""
    path = argument_of(
        name,
        lambda: {"application": name, "members": [describe(one.name, one.contract, one.params) for one in members]},
    )
    params = read_params(path, StreamsParams)
    conf = APP_CONF | (dict(table.DELTA_CONF) if params.delta else {})
    spark = session.configure(SparkSession.builder, conf, {})
    application = Application(path.parent, members, params.idle_ms / 1000, spark.sparkContext)
    code = 1
    try:
        application.run()
        code = 0
    except Exception:
        traceback.print_exc()
    finally:
        application.close()
        with suppress(Exception):
            spark.stop()
        # A thread that hangs must not keep the process: whoever waits for its member has seen the driver end.
        sys.stdout.flush()
        os._exit(code)


class Application:
    """The members of one folder."""

    def __init__(
        self,
        folder: Path,
        members: Sequence[Job],
        idle_s: float,
        context: SparkContext,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._idle_s, self._context, self._clock = folder, idle_s, context, clock
        self._jobs = {job.name: job for job in members}
        self._threads: dict[str, tuple[Asked, threading.Thread]] = {}

    def run(self, look_s: float = LOOK_S) -> None:
        """Resolves once nothing has run for `idle_s`, or the folder is gone: whoever removes it wants nothing of it.

        Raises RuntimeError when Spark has ended under its members.
        """
        busy_s = self._clock()
        while self._folder.exists():
            if bool(self._context._jsc.sc().isStopped()):
                raise RuntimeError("Spark has ended the application")
            if self.look():
                busy_s = self._clock()
            elif self._clock() - busy_s >= self._idle_s:
                return
            time.sleep(look_s)

    def look(self) -> bool:
        """One look into the folder; whether any member runs after it."""
        for path in sorted(self._folder.glob("*.json")):
            if path.name == OWN_PARAMS or path.stem in self._threads:
                continue
            asked, state = asked_in(path), self._state(path.stem)
            if not state.exists():
                self._begin(asked)
            elif not Path(asked.params_path).exists():
                # Whoever asked for it knows how it ended: nothing of it is kept, for restarts go on for months.
                path.unlink(missing_ok=True)
                state.unlink(missing_ok=True)
        for asked, thread in self._threads.values():
            if thread.is_alive() and Path(f"{asked.params_path}.abort").exists():
                self._context.cancelJobGroup(asked.job)
        self._threads = {name: one for name, one in self._threads.items() if one[1].is_alive()}
        return bool(self._threads)

    def close(self) -> None:
        """Takes no member from now on: whoever asks for one and finds this begins another application."""
        if self._folder.exists():
            (self._folder / CLOSED).touch()

    def _begin(self, asked: Asked) -> None:
        if not self._write(asked.submission, Outcome("running"), first=True):
            return
        # With the thread of the JVM that belongs to it, of which pool and group are properties.
        thread = InheritableThread(target=self._work, args=(asked,), name=asked.submission, daemon=True)
        self._threads[asked.submission] = (asked, thread)
        thread.start()

    def _work(self, asked: Asked) -> None:
        try:
            job = self._jobs[asked.job]
            # Queries and jobs that are begun in this thread take both on; the page shows their names.
            self._context.setLocalProperty("spark.scheduler.pool", job.name)
            self._context.setJobGroup(job.name, job.name)
            outcome = attempt(job, Path(asked.params_path))
        except BaseException as error:
            outcome = Outcome("failed", f"{type(error).__name__}: {error}", "job_failed")
        self._write(asked.submission, outcome)

    def _state(self, submission: str) -> Path:
        return self._folder / f"{submission}.state"

    def _write(self, submission: str, outcome: Outcome, first: bool = False) -> bool:
        """Whole or not at all: it is read by another process. False for the first state of a member that has one: it
        was taken back before it began."""
        path = self._state(submission)
        beside = path.with_name(f"{path.name}.new")
        try:
            beside.write_text(json.dumps(outcome._asdict()), "utf-8")
            if first:
                path.hardlink_to(beside)
                beside.unlink()
            else:
                beside.replace(path)
        except FileExistsError:
            beside.unlink()
            return False
        except FileNotFoundError:
            print(f"{submission}: {outcome.state}, and its folder is gone", file=sys.stderr)
        return True


def asked_in(path: Path) -> Asked:
    said: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return Asked(path.stem, said["job"], said["params_path"])
