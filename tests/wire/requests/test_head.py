"""HEAD is GET without the body (RFC 9110 9.3.2), for all that is the gateway's own and all that is proxied."""

import json

import pytest

from tests.harness import contract, scene
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import Response, request

GOOD = b'{"object":"list","data":[{"id":"demo"}]}'
# What differs between any two answers, or belongs to a body that is sent in pieces (RFC 9112 6.1).
OF_ONE = {b"date", b"x-request-id", b"request-id", b"transfer-encoding"}
OWN = ("/", "/healthz", "/readyz", "/metrics", "/events", "/static/status.css", f"{scene.BASE}/api/hello")


def ask(target: str, method: str, *headers: str, key: str | None = None) -> bytes:
    return request(target, *headers, method=method, key=key, host="localhost")


def fields_of(response: Response, *but: bytes) -> dict[bytes, bytes]:
    lines = (line.partition(b":") for line in response.head.split(b"\r\n")[1:])
    return {name.lower(): value for name, _, value in lines if name.lower() not in {*OF_ONE, *but}}


def both(gateway: GatewayProcess, target: str, key: str | None = None) -> tuple[Response, Response]:
    """The answers to HEAD and to GET. What follows the first on its connection shows that no body did."""
    with gateway.connect() as client:
        head = client.ask(ask(target, "HEAD", key=key), to_head=True)
        assert client.ask(ask("/healthz", "GET")).body == b'{"status": "ok"}'
        client.send(ask(target, "GET", key=key))
        got = Response(client.read_head())
    return head, got


@pytest.mark.parametrize("target", OWN)
def test_what_get_serves_head_serves_with_its_headers(
    gateway: GatewayProcess, upstream: ScriptedUpstream, target: str
) -> None:
    head, got = both(gateway, target)
    assert head.status == got.status < 300
    sized = (b"content-length",) if target in {"/", "/metrics"} else ()  # both tell of the time
    assert fields_of(head, *sized) == fields_of(got, *sized)


def test_a_models_list_is_asked_with_get_and_passed_on_without_its_body(
    gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    with upstream.playing(lambda visit: visit.answer(GOOD)):
        head, got = both(gateway, scene.MODELS, scene.KEY)
    assert (head.status, got.status) == (200, 200)
    assert fields_of(head) == fields_of(got)
    assert head.header("Content-Length") == str(len(GOOD))
    assert [one.line for one in upstream.requests] == ["GET /v1/models HTTP/1.1"] * 2


def test_chunks_are_left_out_and_the_connection_serves_on(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    def in_chunks(visit: Visit) -> None:
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (GOOD[:7], GOOD[7:], b""):
            visit.chunk(piece)

    with upstream.playing(in_chunks):
        head, got = both(gateway, scene.MODELS, scene.KEY)
    assert fields_of(head) == fields_of(got)


@pytest.mark.parametrize(
    ("target", "key", "promise"),
    [
        (scene.MODELS, None, contract.BAD_KEY),
        (f"{scene.FOREIGN}/v1/models", scene.KEY, contract.NO_DEPLOYMENT),
        (scene.CHAT, scene.KEY, contract.wrong_method("POST")),
        ("/nowhere", None, contract.NO_SUCH_PATH),
    ],
)
def test_a_refusal_has_the_headers_of_a_refused_get(
    gateway: GatewayProcess, upstream: ScriptedUpstream, target: str, key: str | None, promise: contract.Promise
) -> None:
    head, got = both(gateway, target, key)
    assert head.status == got.status == promise.status
    assert fields_of(head) == fields_of(got)
    assert head.header("Content-Length") == str(len(promise.body))


def test_no_byte_of_a_body_is_counted(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    start = len(gateway.log.lines)
    with upstream.playing(lambda visit: visit.answer(GOOD)):
        gateway.ask(ask(scene.MODELS, "HEAD", "x-request-id: head-only", key=scene.KEY), to_head=True)
    line = json.loads(gateway.log.wait_for('"head-only"', start=start).string)
    assert (line["bytes_out"], line["ending"], line["endpoint"]) == (0, "finished", "/v1/models")
