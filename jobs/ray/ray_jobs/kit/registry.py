"""MLflow from Python: what training publishes and what an actor fetches.

Sits between train.py / infer.py and one tracking server. Reading goes over plain REST, because importing MLflow's
client costs an actor 200 MB and three seconds for three requests; publishing uses the client. Announces nothing and
judges no model: heads.py checks shapes. REST: https://mlflow.org/docs/latest/rest-api.html
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray_jobs.generated.job import JobError
from ray_jobs.kit import http
from ray_jobs.kit.manifest import MANIFEST, read_manifest

CHAMPION = "champion"
CARD = "card.html"
# MLflow takes no more at once: https://mlflow.org/docs/latest/rest-api.html#log-batch
METRICS_MAX = 1_000
_PROXIED = "mlflow-artifacts:/"


def find(mlflow_uri: str, model_name: str, alias: str = CHAMPION) -> str | None:
    """The version an alias names; None when there is no such model or alias. Errors: `store_unreachable` when the
    server does not answer.
    """
    found = _get(mlflow_uri, "registered-models/alias", {"name": model_name, "alias": alias})
    return None if found is None else str(found["model_version"]["version"])


def champion(mlflow_uri: str, model_name: str, cache_dir: str) -> tuple[str, str]:
    """(version, folder) of the model the alias `champion` names, fetched once and kept in `cache_dir`.

    Every byte is checked against the manifest, and the manifest's digest against the one the registry holds.
    Errors: `model_refused` when there is no champion or a digest differs; `store_unreachable` when the server does
    not answer.
    """
    found = _get(mlflow_uri, "registered-models/alias", {"name": model_name, "alias": CHAMPION})
    if found is None:
        raise JobError(
            "model_refused",
            f'Cannot load model "{model_name}" from "{mlflow_uri}": no version has the alias "{CHAMPION}", train one',
        )
    return _fetch(mlflow_uri, model_name, found["model_version"], Path(cache_dir))


def fetch(mlflow_uri: str, model_name: str, version: str, cache_dir: str) -> tuple[str, str]:
    """The same for one version by its number."""
    found = _get(mlflow_uri, "model-versions/get", {"name": model_name, "version": version})
    if found is None:
        raise JobError(
            "model_refused", f'Cannot load model "{model_name}" from "{mlflow_uri}": it has no version {version}'
        )
    return _fetch(mlflow_uri, model_name, found["model_version"], Path(cache_dir))


def publish(
    mlflow_uri: str,
    model_name: str,
    folder: Path,
    params: dict[str, str],
    metrics: dict[str, float],
    card: str,
    more_tags: dict[str, str],
) -> str:
    """One run with its parameters, metrics, artifacts and `card`, an HTML page, registered as a new version; the
    version's number.

    The version carries the tags `digest`, `fingerprint`, `contract_fingerprint`, and `card`, which names its model card
    among the run's artifacts: a version without one gets no alias. `more_tags` stand beside them.
    """
    from mlflow.entities import Metric, Param
    from mlflow.exceptions import MlflowException

    manifest = read_manifest(folder)
    client = _client(mlflow_uri)
    tags = {name: manifest[name] for name in ("digest", "fingerprint", "contract_fingerprint")}
    tags |= {"parent": manifest["parent"] or "none", "seed": str(manifest["training"]["seed"]), "card": CARD}
    tags |= more_tags
    experiment = client.get_experiment_by_name(model_name)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(model_name)
    run = client.create_run(experiment_id, tags=tags)
    run_id = run.info.run_id
    try:
        now_ms = run.info.start_time
        client.log_batch(
            run_id,
            metrics=[Metric(name, value, now_ms, 0) for name, value in sorted(metrics.items())],
            params=[Param(name, value) for name, value in sorted(params.items())],
        )
        client.log_artifacts(run_id, str(folder), "model")
        client.log_text(run_id, card, CARD)
        try:
            client.create_registered_model(model_name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        source = f"{run.info.artifact_uri}/model"
        version = client.create_model_version(model_name, source, run_id=run_id, tags=tags)
        client.set_terminated(run_id)
    except BaseException:
        client.set_terminated(run_id, status="FAILED")
        raise
    return str(version.version)


def version_of(mlflow_uri: str, model_name: str, version: str) -> dict[str, Any]:
    """What the registry holds of a version: `run_id`, and the `aliases` that name it now. Errors: `model_refused`."""
    found = _get(mlflow_uri, "model-versions/get", {"name": model_name, "version": version})
    model = _get(mlflow_uri, "registered-models/get", {"name": model_name})
    if found is None or model is None:
        raise JobError(
            "model_refused", f'Cannot find model "{model_name}" at "{mlflow_uri}": it has no version {version}'
        )
    held = model["registered_model"].get("aliases", [])
    named = sorted(a["alias"] for a in held if str(a["version"]) == version)
    return {"run_id": str(found["model_version"]["run_id"]), "aliases": named}


def cost_of(mlflow_uri: str, run_id: str) -> dict[str, float]:
    """What training said it took, by name; empty for a run that said nothing."""
    found = _get(mlflow_uri, "runs/get", {"run_id": run_id})
    sent = [] if found is None else found["run"]["data"].get("metrics", [])
    return {m["key"]: float(m["value"]) for m in sent if m["key"] in ("train_s", "train_rss_max_mb")}


def log_files(mlflow_uri: str, run_id: str, folder: str, files: dict[str, str], metrics: dict[str, float]) -> None:
    """Adds texts below `folder` of a run's artifacts, and metrics; a later call replaces texts of the same name."""
    from mlflow.entities import Metric

    client = _client(mlflow_uri)
    now_ms = int(time.time() * 1000)
    sent = [Metric(name, value, now_ms, 0) for name, value in sorted(metrics.items())]
    for start in range(0, len(sent), METRICS_MAX):
        client.log_batch(run_id, metrics=sent[start : start + METRICS_MAX])
    for name, text in files.items():
        client.log_text(run_id, text, f"{folder}/{name}")


def _client(mlflow_uri: str) -> Any:
    """MLflow's own client. It asks again by itself, up to seven times, and would take the proxy of the environment."""
    from mlflow.tracking import MlflowClient

    http.reach_directly(mlflow_uri)
    return MlflowClient(tracking_uri=mlflow_uri, registry_uri=mlflow_uri)


def _fetch(mlflow_uri: str, model_name: str, version: dict[str, Any], cache: Path) -> tuple[str, str]:
    number = str(version["version"])
    tags = {tag["key"]: tag["value"] for tag in version.get("tags", [])}
    wanted = tags.get("digest")
    if wanted is None:
        raise JobError(
            "model_refused", f'Cannot load model "{model_name}" version {number}: the registry holds no digest of it'
        )
    # The digest is part of the folder's name: a registry that was wiped and counts from 1 again must not find an old
    # model here.
    folder = cache / model_name / f"{number}-{wanted[:16]}"
    if not (folder / MANIFEST).exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Several actors may fetch at once: each into its own folder, and the first rename wins.
        scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".fetch-"))
        try:
            _download(mlflow_uri, version, scratch)
            _check(model_name, number, wanted, scratch)
            try:
                os.rename(scratch, folder)
            except OSError:
                if not (folder / MANIFEST).exists():
                    raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    _check(model_name, number, wanted, folder)
    return number, str(folder)


def _check(model_name: str, number: str, wanted: str, folder: Path) -> None:
    seen = read_manifest(folder)["digest"]
    if seen != wanted:
        raise JobError(
            "model_refused",
            f'Cannot load model "{model_name}" version {number}: its digest is {seen[:16]}, the '
            f"registry holds {wanted[:16]}",
        )


def _download(mlflow_uri: str, version: dict[str, Any], folder: Path) -> None:
    source = str(version["source"])
    if not source.startswith(_PROXIED):
        from mlflow.artifacts import download_artifacts

        http.reach_directly(mlflow_uri)
        download_artifacts(artifact_uri=source, dst_path=str(folder), tracking_uri=mlflow_uri)
        return
    root = source[len(_PROXIED) :].lstrip("/")
    manifest = _bytes(mlflow_uri, f"{root}/{MANIFEST}")
    (folder / MANIFEST).write_bytes(manifest)
    try:
        names = list(json.loads(manifest)["files"])
    except (ValueError, KeyError) as error:
        raise JobError("model_refused", f'Cannot load model from "{source}": its {MANIFEST} cannot be read') from error
    for name in names:
        place = (folder / name).resolve()
        if not place.is_relative_to(folder.resolve()):
            raise JobError(
                "model_refused", f'Cannot load model from "{source}": its {MANIFEST} names "{name}" outside its folder'
            )
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(_bytes(mlflow_uri, f"{root}/{name}"))


def _bytes(mlflow_uri: str, path: str) -> bytes:
    url = f"{mlflow_uri}/api/2.0/mlflow-artifacts/artifacts/{path}"
    try:
        reply = http.get(url)
    except http.UnansweredError as error:
        raise JobError("store_unreachable", f'Cannot reach MLflow at "{mlflow_uri}"') from error
    if reply.status == 404:
        raise JobError("model_refused", f'Cannot load model from "{url}": expected an artifact, got HTTP 404')
    if not reply.ok:
        raise JobError("job_failed", f'Cannot read "{url}": expected an artifact, got HTTP {reply.status}')
    return reply.body


def _get(mlflow_uri: str, path: str, query: dict[str, str]) -> dict[str, Any] | None:
    url = f"{mlflow_uri}/api/2.0/mlflow/{path}"
    return _answer(mlflow_uri, url, lambda: http.get(url, query))


def _answer(mlflow_uri: str, url: str, ask: Callable[[], http.Reply]) -> dict[str, Any] | None:
    """The JSON body; None when the server says that there is no such thing."""
    try:
        reply = ask()
        body: dict[str, Any] = json.loads(reply.body)
    except (http.UnansweredError, ValueError) as error:
        raise JobError("store_unreachable", f'Cannot reach MLflow at "{mlflow_uri}"') from error
    if reply.ok:
        return body
    missing = f"{body.get('message', '')}".lower()
    # An alias that is not set is INVALID_PARAMETER_VALUE with this text in 3.x, a missing model
    # RESOURCE_DOES_NOT_EXIST.
    if body.get("error_code") == "RESOURCE_DOES_NOT_EXIST" or ("alias" in missing and "not found" in missing):
        return None
    raise JobError("job_failed", f'Cannot ask MLflow "{url}": got HTTP {reply.status}, {body.get("error_code")}')
