"""A port for the operator alone: what is served there, and what is served to clients no more."""

import re
import signal
import socket
from pathlib import Path

import pytest

from tests.harness import contract, scene
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.processes.nginx import Nginx, is_installed
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.sockets.wire_client import Response, WireClient, request

PAGES = ("/", "/metrics", "/events", "/static/status.css")


def start(start_gateway: StartGateway, upstream: ScriptedUpstream, server: str = "") -> tuple[GatewayProcess, int]:
    """A gateway, and the port of its operator."""
    gateway = start_gateway(scene.config(upstream.url, f"admin: {{port: 0}}, {server}"))
    return gateway, int(gateway.log.wait_for(r"status page and metrics on http://127\.0\.0\.1:(\d+)")[1])


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    return request(path, *headers, method=method, host="localhost")


def ask(port: int, data: bytes) -> Response:
    """The head of an answer."""
    with WireClient(port) as client:
        client.send(data)
        return Response(client.read_head())


@pytest.mark.parametrize("workers", [1, 2])
def test_the_operators_pages_are_there_and_for_clients_no_longer(
    start_gateway: StartGateway, upstream: ScriptedUpstream, workers: int
) -> None:
    gateway, port = start(start_gateway, upstream, f"workers: {workers}")
    for path in PAGES:
        assert ask(port, get(path)).status == 200
        assert ask(port, get(path, method="HEAD")).status == 200
        assert contract.NO_SUCH_PATH.is_kept_by(gateway.ask(get(path)))
    for path in ("/healthz", "/readyz"):
        assert [ask(at, get(path)).status for at in (port, gateway.port)] == [200, 200]
    hello = gateway.ask(get("/", method="HEAD"), to_head=True)
    assert hello.status == 204  # as Claude Code wants it
    assert hello.header("Content-Security-Policy") is None


def test_what_clients_do_is_told_there_and_no_deployment_is_served(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    gateway, port = start(start_gateway, upstream)
    assert gateway.ask(chat()).status == 200
    with WireClient(port) as client:
        metrics = client.ask(get("/metrics")).body.decode()
        assert re.search(r'^gguf_requests_total\{deployment="demo",.*status="200"\} 1\.0$', metrics, re.MULTILINE)
        assert "<h3><bdi>demo</bdi></h3>" in client.ask(get("/")).body.decode()
        assert f"<code>http://localhost:{gateway.port}<wbr>/api/gguf/" in client.ask(get("/")).body.decode()
        seen = len(upstream.requests)
        for _ in range(2):  # a plain request, as the fast path takes them elsewhere
            assert contract.NO_SUCH_PATH.is_kept_by(client.ask(chat()))
        assert contract.NO_SUCH_PATH.is_kept_by(client.ask(get("/api/gguf/demo/api/hello")))
    assert len(upstream.requests) == seen


def test_who_may_see_them_is_decided_there_as_ever(start_gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    _, port = start(start_gateway, upstream, "metrics: off")
    assert ask(port, get("/metrics")).status == 404
    assert ask(port, get("/", "X-Forwarded-For: 203.0.113.1")).status == 404
    assert ask(port, request("/", method="GET", host="evil.test")).status == 421


def test_the_operator_watches_it_drain(start_gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    gateway, port = start(start_gateway, upstream, "timeouts: {drain: 100}")
    with gateway.connect() as client, WireClient(port) as watcher:
        watcher.send(get("/events"))
        watcher.read_head()
        client.send(chat("demo", "Content-Length: 1000", body=None) + b"x" * 10)
        gateway.wait_until_read(client)
        gateway.send_signal(signal.SIGTERM)
        gateway.log.wait_for("stopping: 1 request in progress")
        with pytest.raises(ConnectionRefusedError):
            gateway.connect()
        assert ask(port, get("/readyz")).status == 503
        with WireClient(port) as page:
            assert "Shutting down" in page.ask(get("/")).body.decode()
    assert gateway.wait() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_that_is_taken_is_one_sentence_that_names_the_setting(
    start_gateway: StartGateway, upstream: ScriptedUpstream, workers: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = f"admin: {{port: {port}}}, workers: {workers}"
        gateway = start_gateway(scene.config(upstream.url, server), serves=False)
        assert gateway.wait() == 1
    gateway.log.wait_for(rf"Port {port} on 127\.0\.0\.1 is taken\. .* choose another with server\.admin\.port\.")
    assert "Traceback" not in gateway.log.since(0)


@pytest.mark.skipif(not is_installed(), reason="nginx is not installed")
def test_a_bare_proxy_shows_the_world_none_of_the_operators_pages(
    start_gateway: StartGateway, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    gateway, port = start(start_gateway, upstream)
    with Nginx(tmp_path, gateway.port) as nginx:
        assert [ask(nginx.port, get(path)).status for path in PAGES] == [404] * len(PAGES)
        with WireClient(nginx.port) as client:
            assert client.ask(chat()).status == 200
    assert [ask(port, get(path)).status for path in PAGES] == [200] * len(PAGES)
