"""The features job as `duplicates: engine` has it, for the cluster proof: weather itself trusts its source.

An entrypoint like the generated ones, submitted in their place with the same parameters.
"""

import sys
from dataclasses import replace
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from spark_jobs.generated import job
from spark_jobs.generated.params import FeaturesParams
from spark_jobs.generated.weather_contract import CONTRACT
from spark_jobs.windows import features

if __name__ == "__main__":
    job.main("weather-features", replace(CONTRACT, duplicates="engine"), FeaturesParams, features.run)
