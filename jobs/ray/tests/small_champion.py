"""A real model that is quick to make: few small trees over four cities of the bundled sample, published as champion.

For cluster proofs that need forecasts but do not judge them. The cities stand for four stations of Singapore, which
are neighbours of each other and are streamed in the proofs: forecasts there depend on what a station hears.
`python -m tests.small_champion ARGUMENTS.json` with `{"mlflow": url, "model": name, "folder": path}`; a folder that
holds a model of this contract is published as it is, so that several namespaces share one training. With
`"table": path` the rows it was made from are written there too, for those who want to judge it. Prints one JSON line.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from ray_jobs.fold.fold import Fold
from ray_jobs.generated.job import JobError
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.judge import card
from ray_jobs.kit import registry
from ray_jobs.kit.cluster import Inline
from ray_jobs.kit.manifest import read_manifest
from ray_jobs.model import heads as model
from ray_jobs.train.train import train
from tests.aliases import set_alias
from tests.tables import train_params, write_sample

FROM, CUT = "2016-01-01", "2016-08-01"
STATIONS = {"sg-s06": "boston", "sg-s43": "new-york", "sg-s107": "philadelphia", "sg-s24": "pittsburgh"}


def make(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch) / "table"
        write_sample(table, CONTRACT, FROM, CUT, STATIONS)
        params = train_params(table, CUT, trees=5, leaves=7, sample_every=12)
        train(CONTRACT, params, Inline(), folder, parent=None, say=lambda *_: None)


def main() -> None:
    arguments: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(arguments["folder"])
    fold = Fold(CONTRACT)
    try:
        model.load(folder, CONTRACT, fold.input_names, fold.input_units, "kept")
    except JobError:
        folder.mkdir(parents=True, exist_ok=True)
        make(folder)
    if arguments.get("table"):
        write_sample(Path(arguments["table"]), CONTRACT, FROM, CUT, STATIONS)
    page = card.of_training(read_manifest(folder), {}, arguments["model"])
    version = registry.publish(arguments["mlflow"], arguments["model"], folder, {}, {}, page, {})
    set_alias(arguments["mlflow"], arguments["model"], registry.CHAMPION, version)
    print(json.dumps({"model": arguments["model"], "version": version}))


if __name__ == "__main__":
    main()
