"""The contracts the tests run on: weather's, that of another domain, and one whose windows are of an attribute."""

from spark_jobs.generated.meters_contract import CONTRACT as METERS
from spark_jobs.generated.weather_contract import CONTRACT as WEATHER
from tests.generated.pyspark.trams_contract import CONTRACT as TRAMS

__all__ = ["METERS", "TRAMS", "WEATHER"]
