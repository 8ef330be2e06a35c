"""A local Spark session for unit tests: two cores, in memory, the engines' connector jars on its class path."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pyspark.sql import SparkSession
from spark_jobs.kit import session, table

ROOT = Path(__file__).resolve().parents[3]
JARS = ROOT / "target" / "engines" / "spark"
DEFAULTS = ROOT / "infra" / "local" / "spark" / "spark-defaults.conf"


def local_session(folder: Path) -> SparkSession:
    """`folder`: where warehouse and Derby may leave files."""
    # What executors of a local session run Python functions with; on the cluster the submission says it.
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = (
        SparkSession.builder.master("local[2]")
        .appName("unit")
        .config("spark.driver.extraClassPath", f"{JARS}/*")
        .config("spark.driver.memory", "1g")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
        .config(
            "spark.driver.extraJavaOptions",
            f"-Dderby.system.home={folder / 'derby'} -XX:+UseSerialGC {session.AVRO_LIMITS}",
        )
    )
    # As the cluster's applications get them: how files are written is part of what is tested.
    for line in DEFAULTS.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            builder = builder.config(*line.split(maxsplit=1))
    return session.configure(
        builder,
        app_conf=session.APP_CONF | table.DELTA_CONF,
        sql_conf=session.SQL_CONF | {"spark.sql.shuffle.partitions": "2"},
    )
