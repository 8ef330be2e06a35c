"""The end of a streaming query: after its running batch, at a person's or the supervisor's word."""

from __future__ import annotations

import time

from pyspark.sql.streaming.query import StreamingQuery

# How often the job reports and looks for a stop request; how often it looks whether a batch has ended, and how long it
# waits for that: a batch of a catch-up may take minutes, and stopped in the middle it is repeated whole.
LOOK_S = 1
END_LOOK_S = 0.05
END_S = 600

STOP_REQUESTED = "stop requested: this batch is left to the next start"


def end(query: StreamingQuery) -> None:
    """Waits for the running batch, at most END_S, and ends the query. An earlier kill is the supervisor's."""
    deadline = time.monotonic() + END_S
    while query.isActive and query.status["isTriggerActive"] and time.monotonic() < deadline:
        time.sleep(END_LOOK_S)
    query.stop()
    error = query.exception()
    if error is not None and STOP_REQUESTED not in str(error):
        raise error
