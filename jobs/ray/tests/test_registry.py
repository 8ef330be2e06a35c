"""What the registry client takes and refuses, over a small HTTP server that speaks MLflow's routes and a real one."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from ray_jobs.generated.job import JobError
from ray_jobs.kit import http, registry
from ray_jobs.model import heads as model
from tests.aliases import set_alias

MANIFEST: dict[str, Any] = {
    "fingerprint": "f",
    "contract_fingerprint": "c",
    "parent": None,
    "training": {"seed": 1},
    "baseline": {"stations": ["boston"]},
    "shape": {"targets": [{"name": "temperature", "unit": "degC"}], "horizons_h": [6], "inputs": []},
}
HEADS = {"heads/a.txt": "tree\n", "heads/b.txt": "another tree\n"}


class Server:
    """One registered model with one version and its files; `hits` counts requests for files."""

    def __init__(self, digest: str | None, files: dict[str, bytes]) -> None:
        self.digest = digest
        self.files = files
        self.hits = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = {k: v[0] for k, v in parse_qs(parts.query).items()}
                status, body = outer.answer(parts.path, query)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, bytes]:
        prefix = "/api/2.0/mlflow-artifacts/artifacts/1/run/artifacts/model/"
        if path.startswith(prefix):
            self.hits += 1
            found = self.files.get(path.removeprefix(prefix))
            return (404, b"") if found is None else (200, found)
        if path.startswith("/api/2.0/mlflow/") and query.get("name") != "weather":
            return 404, json.dumps({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "not found"}).encode()
        if path.endswith("registered-models/alias") and query["alias"] != "champion":
            text = f"Registered model alias {query['alias']} not found."
            return 400, json.dumps({"error_code": "INVALID_PARAMETER_VALUE", "message": text}).encode()
        version = {
            "name": "weather",
            "version": "3",
            "source": "mlflow-artifacts:/1/run/artifacts/model",
            "tags": [] if self.digest is None else [{"key": "digest", "value": self.digest}],
        }
        return 200, json.dumps({"model_version": version}).encode()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "model").mkdir()
    whole = model.write(tmp_path / "model", MANIFEST, HEADS)
    running = Server(whole["digest"], files_of(tmp_path / "model"))
    yield running
    running.close()


def test_champion_is_fetched_once_and_checked(server: Server, tmp_path: Path) -> None:
    version, path = registry.champion(server.url, "weather", str(tmp_path / "cache"))
    assert version == "3"
    assert (Path(path) / "heads/b.txt").read_text() == HEADS["heads/b.txt"]
    hits = server.hits
    assert registry.champion(server.url, "weather", str(tmp_path / "cache")) == (version, path)
    assert server.hits == hits == 3
    assert [p.name for p in Path(path).parent.iterdir()] == [Path(path).name]


def test_champion_refuses_a_file_that_was_changed_in_the_store(server: Server, tmp_path: Path) -> None:
    server.files["heads/a.txt"] = b"tree?\n"
    with pytest.raises(JobError, match=r'"heads/a.txt" has digest') as refused:
        registry.champion(server.url, "weather", str(tmp_path / "cache"))
    assert refused.value.code == "model_refused"
    assert not list((tmp_path / "cache" / "weather").iterdir())


def test_champion_refuses_a_file_that_was_changed_in_the_cache(server: Server, tmp_path: Path) -> None:
    _, path = registry.champion(server.url, "weather", str(tmp_path / "cache"))
    (Path(path) / "heads/a.txt").write_text("tree?\n")
    with pytest.raises(JobError, match=r'"heads/a.txt" has digest'):
        registry.champion(server.url, "weather", str(tmp_path / "cache"))


def test_champion_refuses_a_whole_model_that_was_exchanged(server: Server, tmp_path: Path) -> None:
    """A consistent manifest of other files: only the digest that the registry holds tells."""
    (tmp_path / "other").mkdir()
    model.write(tmp_path / "other", MANIFEST, {"heads/a.txt": "a better tree\n"})
    server.files = files_of(tmp_path / "other")
    with pytest.raises(JobError, match="the registry holds") as refused:
        registry.champion(server.url, "weather", str(tmp_path / "cache"))
    assert refused.value.code == "model_refused"


def test_champion_refuses_a_manifest_that_reaches_outside_its_folder(server: Server, tmp_path: Path) -> None:
    manifest = json.loads(server.files["manifest.json"])
    manifest["files"]["../../stolen"] = "0"
    server.files["manifest.json"] = json.dumps(manifest).encode()
    with pytest.raises(JobError, match="outside its folder"):
        registry.champion(server.url, "weather", str(tmp_path / "cache"))
    assert not (tmp_path / "cache" / "stolen").exists()


def test_champion_refuses_a_version_without_a_digest_and_a_missing_file(server: Server, tmp_path: Path) -> None:
    del server.files["heads/b.txt"]
    with pytest.raises(JobError, match="HTTP 404"):
        registry.champion(server.url, "weather", str(tmp_path / "cache"))
    server.digest = None
    with pytest.raises(JobError, match="holds no digest"):
        registry.champion(server.url, "weather", str(tmp_path / "cache"))


def test_champion_and_find_without_a_model(server: Server, tmp_path: Path) -> None:
    assert registry.find(server.url, "weather") == "3"
    assert registry.find(server.url, "weather", "challenger") is None
    assert registry.find(server.url, "vehicles") is None
    with pytest.raises(JobError, match='no version has the alias "champion"'):
        registry.champion(server.url, "vehicles", str(tmp_path))


def test_find_says_when_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "RETRIES", http.RETRIES.new(total=0))
    with pytest.raises(JobError, match="Cannot reach MLflow") as refused:
        registry.find("http://127.0.0.1:9", "weather")
    assert refused.value.code == "store_unreachable"


@pytest.mark.parametrize("no_proxy", [None, "localhost", "localhost,127.0.0.1"])
def test_find_takes_no_proxy_from_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch, no_proxy: str | None
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    if no_proxy is not None:
        monkeypatch.setenv("no_proxy", no_proxy)
    assert registry.find(server.url, "weather") == "3"


@pytest.mark.cluster
def test_publish_and_fetch_over_a_real_server(addresses: dict[str, Any], tmp_path: Path) -> None:
    if not addresses.get("mlflow"):
        pytest.skip("needs MLflow: no address of it in the file")
    uri, name = addresses["mlflow"], f"t{uuid.uuid4().hex[:8]}-weather"
    (tmp_path / "model").mkdir()
    manifest = model.write(tmp_path / "model", MANIFEST, HEADS)
    assert registry.find(uri, name) is None
    first = registry.publish(
        uri,
        name,
        tmp_path / "model",
        {"trees": "2"},
        {"temperature_6h_mae_degC": 1.5},
        "<p>card</p>",
        {"submission": "s-1"},
    )
    assert registry.find(uri, name) is None
    set_alias(uri, name, "champion", first)
    assert registry.find(uri, name) == first
    second = registry.publish(uri, name, tmp_path / "model", {"trees": "2"}, {"temperature_6h_mae_degC": 1.4}, "", {})
    assert (first, second) == ("1", "2")
    version, path = registry.champion(uri, name, str(tmp_path / "cache"))
    assert version == first
    assert files_of(Path(path)) == files_of(tmp_path / "model")
    assert registry.fetch(uri, name, second, str(tmp_path / "cache"))[1].endswith(f"2-{manifest['digest'][:16]}")
