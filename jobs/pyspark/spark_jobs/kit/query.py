"""A job's streaming queries: followed while they run, ended after their running batch at a word from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery
from spark_jobs.generated.job import Reporter

# How often the job reports and looks for a stop request; how often it looks whether a batch has ended, and how long it
# waits for that: a batch of a catch-up may take minutes, and stopped in the middle it is repeated whole.
LOOK_S = 1
END_LOOK_S = 0.05
END_S = 600

STOP_REQUESTED = "stop requested: this batch is left to the next start"


def follow(
    spark: SparkSession,
    queries: list[StreamingQuery],
    counters: Callable[[], dict[str, float]],
    reporter: Reporter,
    stop: threading.Event | None = None,
) -> dict[str, float]:
    """Reports progress until a stop is asked for; then lets the running batches end and returns the last counters.

    `queries` are all of the session; `stop` tells their own work that it may leave a batch. Raises
    StreamingQueryException for a failed query, RuntimeError for one that ended without an error.
    """
    while not reporter.stop_requested():
        spark.streams.awaitAnyTermination(LOOK_S)
        if not all(query.isActive for query in queries):
            raise RuntimeError("a streaming query ended without an error")
        reporter.progress(counters())
    if stop is not None:
        stop.set()
    for query in queries:
        end(query, reporter)
    return counters()


def end(query: StreamingQuery, reporter: Reporter) -> None:
    """Waits for the running batch, at most END_S, and ends the query. An earlier end is the supervisor's to ask for."""
    deadline = time.monotonic() + END_S
    while query.isActive and query.status["isTriggerActive"] and time.monotonic() < deadline:
        if reporter.abort_requested():
            break
        time.sleep(END_LOOK_S)
    query.stop()
    error = query.exception()
    if error is not None and STOP_REQUESTED not in str(error):
        raise error
