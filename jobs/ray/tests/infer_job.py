"""The inference job with the tests' model, to be killed: `infer_job.py PARAMS.json RAY_ADDRESS`. Test support only.

Prints each report as a JSON line. Differs from the generated entrypoint in the model and in who reads the reports.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class Lines:
    """A reporter that prints."""

    def progress(self, counters: Mapping[str, float], state: str = "running", message: str | None = None) -> None:
        print(json.dumps({"state": state, "message": message, "counters": dict(counters)}), flush=True)

    def stop_requested(self) -> bool:
        return False

    def end(
        self, counters: Mapping[str, float], state: str, message: str | None = None, error_code: str | None = None
    ) -> None:
        self.progress(counters, state, message)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    import ray
    from ray_jobs.generated.params import InferParams
    from ray_jobs.generated.weather_contract import CONTRACT
    from ray_jobs.stream import infer
    from tests.scores import load_and_tell

    params = InferParams.parse(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    ray.init(address=sys.argv[2], runtime_env={"working_dir": str(ROOT)}, log_to_driver=True)
    infer.run(CONTRACT, params, Lines(), load=load_and_tell)  # type: ignore[arg-type]
