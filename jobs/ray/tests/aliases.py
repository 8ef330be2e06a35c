"""Moves an alias of a model at an MLflow server, as TypeScript does for the product. Test support only."""

import requests

TIMEOUT_S = 30


def set_alias(mlflow_uri: str, model_name: str, alias: str, version: str) -> None:
    body = {"name": model_name, "alias": alias, "version": version}
    url = f"{mlflow_uri}/api/2.0/mlflow/registered-models/alias"
    requests.post(url, json=body, timeout=TIMEOUT_S).raise_for_status()
