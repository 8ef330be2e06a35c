"""HTTP as it goes wrong, over a real server on this machine that resets, cuts short, is busy, redirects, or is away."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from ray_jobs.kit import http

Answer = Callable[[BaseHTTPRequestHandler], None]


def ok(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "4")
    request.end_headers()
    request.wfile.write(b"well")


def says(status: int) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Retry-After", "3600")
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


def resets(request: BaseHTTPRequestHandler) -> None:
    # Closed without lingering, the other side sees a reset; detached, because the handler's files hold it open.
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(request.connection.detach())


def cuts_short(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "100")
    request.end_headers()
    request.wfile.write(b"half")
    request.close_connection = True


class Server:
    """Serves each request by the next answer, the last one for all that follow. `seen` holds methods and bodies."""

    def __init__(self, *answers: Answer, port: int = 0) -> None:
        self.seen: list[tuple[str, bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                answer = answers[min(len(outer.seen), len(answers) - 1)]
                outer.seen.append((self.command, body))
                answer(self)

            do_POST = do_GET

            def finish(self) -> None:
                with suppress(OSError, ValueError):
                    super().finish()

            def handle(self) -> None:
                with suppress(OSError, ValueError):
                    super().handle()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/x"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    running: list[Server] = []

    def start(*answers: Answer, port: int = 0) -> Server:
        running.append(Server(*answers, port=port))
        return running[-1]

    yield start
    for server in running:
        server.close()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tries of the product without their pauses."""
    monkeypatch.setattr(http, "RETRIES", http.RETRIES.new(backoff_factor=0, backoff_jitter=0))


@pytest.mark.parametrize("fault", [resets, cuts_short, says(502), says(503), says(504)])
def test_get_asks_again_after_a_fault_that_passes(serve: Callable[..., Server], fault: Answer) -> None:
    server = serve(fault, fault, ok)
    assert http.get(server.url) == http.Reply(200, b"well")
    assert len(server.seen) == 3


def test_get_asks_again_after_a_kept_connection_that_was_closed(serve: Callable[..., Server]) -> None:
    server = serve(ok, resets, ok)
    assert http.get(server.url).ok
    assert http.get(server.url).ok
    assert len(server.seen) == 3


def test_get_takes_what_the_server_says_of_itself_for_an_answer(serve: Callable[..., Server]) -> None:
    for status in (302, 404, 500):
        server = serve(says(status))
        assert http.get(server.url).status == status
        assert len(server.seen) == 1


def test_get_gives_up_after_its_tries(serve: Callable[..., Server]) -> None:
    server = serve(says(503))
    with pytest.raises(http.UnansweredError, match="503"):
        http.get(server.url)
    assert len(server.seen) == 6


def test_get_waits_for_a_server_that_is_started_again(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    away = serve(ok)
    away.close()
    refusals = []

    class Back(http.urllib3.Retry):
        def sleep(self, response: object = None) -> None:
            refusals.append(1)
            if len(refusals) == 2:
                serve(ok, port=away.port)

    monkeypatch.setattr(http, "RETRIES", Back(total=5))
    assert http.get(away.url).ok
    assert len(refusals) == 2


@pytest.mark.parametrize("held", [None, "localhost", "localhost,127.0.0.1"])
def test_reach_directly_is_heard_by_a_library_that_reads_the_environment(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, held: str | None
) -> None:
    proxy, server = serve(says(418)), serve(ok)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("no_proxy", held or "")
    if held is None:
        assert requests.get(server.url, timeout=5).status_code == 418
        proxy.seen.clear()
    http.reach_directly(server.url)
    http.reach_directly(server.url)
    assert requests.get(server.url, timeout=5).status_code == 200
    assert proxy.seen == []
    assert os.environ["no_proxy"].split(",").count("127.0.0.1") == 1
