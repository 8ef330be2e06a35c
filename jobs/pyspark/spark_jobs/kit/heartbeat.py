"""How a batch job says that it lives, and hears that it is to stop, while Spark works."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession
from spark_jobs.generated.job import Reporter

HEARTBEAT_S = 1.0


@contextmanager
def heartbeat(spark: SparkSession, reporter: Reporter) -> Iterator[None]:
    """Reports tasks done and running while the body runs; a stop request cancels the body's Spark jobs."""
    done = threading.Event()

    def beat() -> None:
        tracker = spark.sparkContext.statusTracker()
        while not done.wait(HEARTBEAT_S):
            if reporter.stop_requested():
                spark.sparkContext.cancelAllJobs()
                return
            stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
            active = [stage for stage in stages if stage is not None]
            reporter.progress(
                {
                    "stages_active": float(len(active)),
                    "tasks": float(sum(stage.numTasks for stage in active)),
                    "tasks_done": float(sum(stage.numCompletedTasks for stage in active)),
                }
            )

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
