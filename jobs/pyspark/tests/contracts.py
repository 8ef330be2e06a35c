"""The contracts the tests run on: weather's, and that of another domain."""

from spark_jobs.generated.meters_contract import CONTRACT as METERS
from spark_jobs.generated.weather_contract import CONTRACT as WEATHER

__all__ = ["METERS", "WEATHER"]
