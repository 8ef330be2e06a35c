"""What streaming queries say of themselves, as counters for job_progress.

Sits between Spark's progress events and the reporter. Reads each event as one JSON text: pyspark's own listener asks
the JVM some eighty times an event, which at three micro-batches a second costs more than the windows do.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from py4j.java_gateway import java_import
from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql import SparkSession

# durationMs of a progress event, by the name of our counter.
DURATIONS = {
    "batch_ms": "triggerExecution",
    "latest_offset_ms": "latestOffset",
    "query_planning_ms": "queryPlanning",
    "wal_commit_ms": "walCommit",
    "add_batch_ms": "addBatch",
    "commit_ms": "commitOffsets",
}


class Progress:
    """The last event and the running totals of one or more queries, by query name. Safe to read from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[str, dict[str, Any]] = {}
        self._totals: dict[str, dict[str, float]] = {}

    @contextmanager
    def listen(self, spark: SparkSession) -> Iterator[None]:
        """Follows every query of the session while the body runs."""
        gateway = spark.sparkContext._gateway
        assert gateway is not None
        java_import(gateway.jvm, "org.apache.spark.sql.streaming.*")
        ensure_callback_server_started(gateway)  # type: ignore[no-untyped-call]
        listener = gateway.jvm.PythonStreamingQueryListenerWrapper(Events(self))
        streams = spark._jsparkSession.streams()
        streams.addListener(listener)
        try:
            yield
        finally:
            streams.removeListener(listener)

    def take(self, event: dict[str, Any]) -> None:
        """Takes in one progress event, as Spark writes it in JSON."""
        name = event["name"]
        with self._lock:
            self._last[name] = event
            totals = self._totals.setdefault(name, {"input_rows": 0.0, "late_rows": 0.0, "output_rows": 0.0})
            totals["input_rows"] += event["numInputRows"]
            totals["late_rows"] += sum(o["numRowsDroppedByWatermark"] for o in event["stateOperators"])
            observed = event.get("observedMetrics", {})
            totals["output_rows"] += sum(metrics.get("rows", 0) for metrics in observed.values())

    def counters(self, name: str) -> dict[str, float]:
        """Counters of one query since this process started; empty before its first event.

        `late_rows` counts groups of (window, key) that one batch lost to the watermark: Spark drops after its first
        aggregation. `lag` is in records, `watermark_ms` in event time, 0 before there is one.
        """
        with self._lock:
            if name not in self._last:
                return {}
            event, totals = self._last[name], dict(self._totals[name])
        states = event["stateOperators"]
        return totals | {
            "batch_id": float(event["batchId"]),
            "batch_rows": float(event["numInputRows"]),
            "rows_per_s": float(event.get("processedRowsPerSecond") or 0.0),
            **{name: float(event["durationMs"].get(word, 0)) for name, word in DURATIONS.items()},
            "lag": float(sum(lag(source) for source in event["sources"])),
            "watermark_ms": epoch_ms(event.get("eventTime", {}).get("watermark")),
            "state_rows": float(sum(o["numRowsTotal"] for o in states)),
            "state_bytes": float(sum(o["memoryUsedBytes"] for o in states)),
        }


class Events:
    """The Java side's view of a Progress."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def onQueryStarted(self, event: Any) -> None:
        pass

    def onQueryProgress(self, event: Any) -> None:
        self._progress.take(json.loads(event.progress().json()))

    def onQueryIdle(self, event: Any) -> None:
        pass

    def onQueryTerminated(self, event: Any) -> None:
        pass

    class Java:
        implements = ("org.apache.spark.sql.streaming.PythonStreamingQueryListener",)


def lag(source: dict[str, Any]) -> int:
    """Records not read yet. A transactional topic may rest at one a partition: its markers."""
    read, there = source.get("endOffset"), source.get("latestOffset")
    if not isinstance(read, dict) or not isinstance(there, dict):
        return 0
    return sum(offset - read.get(topic, {}).get(p, 0) for topic, parts in there.items() for p, offset in parts.items())


def epoch_ms(text: str | None) -> float:
    return datetime.fromisoformat(text).timestamp() * 1000 if text else 0.0
