"""The archive against its topic, record by record: the cluster proof of weather-archive.

Reads both from outside, the topic as a consumer of committed records and the table without Spark. Called as
`python -m tests.archive_check ARGUMENTS.json` with bootstrap, raw_topic and table_path. Prints one JSON line; leaves
with 1 and the differences on stderr when something is wrong.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import confluent_kafka
import deltalake

Place = tuple[int, int]
IDLE_S = 30.0


def committed(bootstrap: str, topic: str) -> dict[Place, Any]:
    """Every committed record up to now, by (partition, offset): key, value, headers, append time in epoch ms."""
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"proof-{time.time_ns()}",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    partitions = consumer.list_topics(topic, 30).topics[topic].partitions
    consumer.assign([confluent_kafka.TopicPartition(topic, p, confluent_kafka.OFFSET_BEGINNING) for p in partitions])
    found: dict[Place, Any] = {}
    ended: set[int] = set()
    deadline = time.monotonic() + IDLE_S
    while len(ended) < len(partitions):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the topic did not come to an end within {IDLE_S} s")
        for message in consumer.consume(10_000, 1):
            if message.error() is not None:
                ended.add(message.partition())
                continue
            deadline = time.monotonic() + IDLE_S
            headers = [(name, value) for name, value in message.headers() or []]
            found[message.partition(), message.offset()] = (
                message.key(),
                message.value(),
                headers,
                message.timestamp()[1],
            )
    consumer.close()
    return found


def archived(path: str) -> list[tuple[Place, Any]]:
    columns = ["partition", "offset", "key", "value", "headers", "append_time"]
    rows = deltalake.DeltaTable(path).to_pyarrow_table(columns=columns).to_pylist()
    return [
        (
            (row["partition"], row["offset"]),
            (
                row["key"],
                row["value"],
                [(h["key"], h["value"]) for h in row["headers"] or []],
                round(row["append_time"].timestamp() * 1000),
            ),
        )
        for row in rows
    ]


def main() -> None:
    given = json.loads(Path(sys.argv[1]).read_text())
    wanted = committed(given["bootstrap"], given["raw_topic"])
    rows = archived(given["table_path"])
    got = dict(rows)
    missing, extra = wanted.keys() - got.keys(), got.keys() - wanted.keys()
    other = [place for place in wanted.keys() & got.keys() if wanted[place] != got[place]]
    said = {
        "records": len(wanted),
        "rows": len(rows),
        "missing": len(missing),
        "extra": len(extra),
        "repeated": len(rows) - len(got),
        "changed": len(other),
    }
    wrong = said["missing"] + said["extra"] + said["repeated"] + said["changed"]
    print(json.dumps(said | {"wrong": wrong}))
    for name, places in (("missing", missing), ("extra", extra), ("changed", other)):
        for place in sorted(places)[:10]:
            print(f"{name} {place}: topic {wanted.get(place)}, table {got.get(place)}"[:600], file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
