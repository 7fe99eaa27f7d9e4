"""Table H: which of an answer's headers pass, and which every answer has."""

import threading

import pytest

from tests.harness import scene
from tests.harness.patience import PATIENCE
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import request

ALWAYS_DOWN = {"date", "x-request-id", "request-id", "server", "x-content-type-options", "cache-control"}
NOT_FOR_CLIENTS = (
    *(b"Set-Cookie: s=CANARYUP", b"X-Powered-By: PHP", b"x-goog-api-key: CANARYUP", b"Authorization: Bearer CANARYUP"),
    *(
        b"Access-Control-Allow-Origin: http://evil.test",
        b"Access-Control-Allow-Credentials: true",
        b"Location: http://x/",
    ),
    *(b'Alt-Svc: h2=":1"', b"Strict-Transport-Security: max-age=9", b"Keep-Alive: timeout=5"),
    *(b"Date: Thu, 01 Jan 1970 00:00:00 GMT", b"date: Thu, 01 Jan 1970 00:00:00 GMT", b"Proxy-Authenticate: Basic"),
    *(
        b"Server: llama.cpp",
        b"WWW-Authenticate: Bearer",
        b"X-Request-Id: theirs",
        b"Via: 1.1 x",
        b"Link: </x>",
        b"P3P: x",
    ),
    *(b"X-Frame-Options: x", b"Content-Security-Policy: x", b"Clear-Site-Data: *", b"Refresh: 0"),
    *(b"Upgrade: h2c", b"Trailer: X", b"Location: http://x/", b"P3P: x"),
)


@pytest.mark.parametrize("connection", [b"Connection: keep-alive", b"Connection: close", b"Connection: content-type"])
@pytest.mark.parametrize("streams", [False, True])
def test_H13_what_a_model_server_says_of_itself_stays(
    gateway: GatewayProcess, upstream: ScriptedUpstream, connection: bytes, streams: bool
) -> None:
    def answer(visit: Visit) -> None:
        visit.read_body()
        if streams:
            visit.begin_stream(connection, *NOT_FOR_CLIENTS)
            visit.chunk(b"data: [DONE]\n\n")
            visit.chunk(b"")
        else:
            visit.answer(b"{}", "200 OK", connection, *NOT_FOR_CLIENTS)

    with upstream.playing(answer):
        response = gateway.ask(
            request(scene.CHAT, "x-request-id: ours", "Origin: http://evil.test", key=scene.KEY, body=b"{}")
        )
    assert response.status == 200
    framing = {"transfer-encoding", "x-accel-buffering"} if streams else {"content-length"}
    assert {name.lower() for name, _ in response.headers} == {*ALWAYS_DOWN, *framing, "content-type"}
    assert response.header("x-request-id") == "ours"
    assert not (response.header("Date") or "").endswith("1970 00:00:00 GMT")


def test_H13_what_a_client_needs_passes(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    lines = (
        b"Retry-After: 7",
        b"anthropic-ratelimit-requests-limit: 5",
        b"OpenAI-Processing-Ms: 12",
        b"x-should-retry: true",
    )

    def answer(visit: Visit) -> None:
        visit.read_body()
        visit.answer(b'{"error":{}}', "429 Too Many Requests", *lines, content_type=b"application/json; charset=utf-8")

    with upstream.playing(answer):
        response = gateway.ask(request(scene.CHAT, key=scene.KEY, body=b"{}"))
    assert (response.status, response.body) == (429, b'{"error":{}}')
    for line in (*lines, b"Content-Type: application/json; charset=utf-8"):
        name, _, value = line.decode().partition(": ")
        assert response.header(name) == value


EVERY_KIND = {
    "relayed": request(scene.CHAT, key=scene.KEY, body=b"{}"),
    "401": request(scene.CHAT, body=b"{}"),
    "404": request(f"{scene.FOREIGN}/v1/completions", key=scene.KEY, body=b"{}"),
    "405": request(scene.CHAT, method="PUT", key=scene.KEY),
    "503": request(f"{scene.PAUSED}/v1/completions", key=scene.KEY, body=b"{}"),
    "nothing": request("/nothing", method="GET"),
    "unreadable": b"nonsense\r\n\r\n",
    "hello": request(f"{scene.BASE}/api/hello", method="GET"),
    "healthz": request("/healthz", method="GET"),
}


@pytest.mark.parametrize("data", EVERY_KIND.values(), ids=EVERY_KIND)
def test_H14_H15_an_answer_is_unstorable_unsniffable_names_no_version(gateway: GatewayProcess, data: bytes) -> None:
    response = gateway.ask(data)
    assert response.header("Cache-Control") == "no-store"  # said once and for all, instead of `Vary: Authorization`
    assert response.header("X-Content-Type-Options") == "nosniff"
    assert response.header("Server") == "gguf-gateway"
    assert response.header("Access-Control-Allow-Origin") is None
    assert b"aiohttp" not in response.head.lower()
    assert b"python" not in response.head.lower()


def test_H16_a_stream_has_no_length_no_buffering_and_begins_at_once(
    gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    first_seen = threading.Event()

    def stream(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        visit.chunk(b"data: first\n\n")
        assert first_seen.wait(PATIENCE)
        visit.chunk(b"data: [DONE]\n\n")
        visit.chunk(b"")

    with upstream.playing(stream), gateway.connect() as client:
        client.send(request(scene.CHAT, key=scene.KEY, body=b'{"stream":true}'))
        head = client.read_head().decode().split("\r\n")
        assert b"data: first\n\n" in client.read_some()
        first_seen.set()
        assert client.read_to_last_chunk() == b"data: [DONE]\n\n"
    assert "Content-Type: text/event-stream" in head
    assert "X-Accel-Buffering: no" in head
    assert "Transfer-Encoding: chunked" in head
    assert not any(line.lower().startswith("content-length") for line in head)
