"""One slot's worker in a process of its own with the tests' model, to be killed: `slot_process.py PARAMS.json SLOT`.
Test support only.

SIGTERM ends it after the batch at hand. Prints its status as a JSON line when it ends.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[1])]
    from ray_jobs.generated.job import kafka_config
    from ray_jobs.generated.params import InferParams
    from ray_jobs.generated.weather_contract import CONTRACT
    from ray_jobs.model.champion import Champion
    from ray_jobs.stream.worker import Status, Worker
    from tests.scores import load

    params = InferParams.parse(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    status = Status()
    champion = Champion(lambda current: load(CONTRACT, params, current))
    Worker(CONTRACT, params, kafka_config(params.kafka), int(sys.argv[2]), champion, stopping.is_set, status).run()
    print(json.dumps(status.copy()), flush=True)
