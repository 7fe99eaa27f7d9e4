"""Table P: methods, versions, other protocols, upgrades."""

import random
import time

import pytest

from tests.harness import contract, scene
from tests.harness.patience import AT_ONCE
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.wire_client import request
from tests.wire.requests.target.targets import get, is_bad

TLS_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("endpoint", scene.ENDPOINTS)
def test_P12_every_endpoint_has_one_method_and_head_with_get(
    gateway: GatewayProcess, upstream: ScriptedUpstream, endpoint: str, method: str
) -> None:
    right = scene.ENDPOINTS[endpoint]
    target = scene.BASE + endpoint
    if method == right or (right, method) == ("GET", "HEAD"):
        asked = request(target, method=method, key=scene.KEY, body=scene.BODY)
        assert gateway.ask(asked, to_head=method == "HEAD").status == 200
        assert upstream.only_request.line == f"{right} {endpoint} HTTP/1.1"
        return
    response = gateway.ask(get(target, method=method), to_head=method == "HEAD")
    assert response.status == 405
    allowed = "GET, HEAD" if right == "GET" else right
    assert response.header("Allow") == allowed
    assert method == "HEAD" or contract.wrong_method(allowed).is_kept_by(response)
    unknown = gateway.ask(get(target, method=method, key=None), to_head=method == "HEAD")
    assert unknown.status == 401
    assert upstream.requests == []


@pytest.mark.parametrize("method", ["FOO", "get", "Get", "GE T", "", "G\x01T", "PRI", "M" * 10_000])
def test_P12_a_method_that_http_does_not_know_is_400(
    gateway: GatewayProcess, upstream: ScriptedUpstream, method: str
) -> None:
    assert is_bad(gateway, upstream, get(scene.MODELS, method=method))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("target", ["/healthz", "/readyz"])
def test_P12_the_probes_are_for_get(gateway: GatewayProcess, target: str, method: str) -> None:
    response = gateway.ask(get(target, method=method))
    assert contract.is_a_refusal(response, 405)
    assert "GET" in (response.header("Allow") or "")


def test_P15_asterisk(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    assert contract.NO_SUCH_PATH.is_kept_by(gateway.ask(get("*", method="OPTIONS")))
    assert is_bad(gateway, upstream, get("*"))
    assert is_bad(gateway, upstream, get("*", method="POST"))


@pytest.mark.parametrize(
    "data",
    [
        f"GET {scene.MODELS}\r\n\r\n".encode(),
        f"GET {scene.MODELS}\n\n".encode(),
        *(
            request(scene.MODELS, method="GET", key=scene.KEY, version=version)
            for version in (
                "HTTP/1.2",
                "HTTP/2.0",
                "HTTP/0.9",
                "HTTP/1.10",
                "HTTP/11",
                "HTTP/1",
                "http/1.1",
                "HTTPS/1.1",
            )
        ),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        TLS_HELLO,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00" * 64,
        b"\xff\xfe\r\n\r\n",
        b"EHLO mail\r\n",
    ],
    ids=lambda data: data[-20:].decode("latin-1") if isinstance(data, bytes) else None,
)
def test_P16_what_is_not_http_1_is_400(gateway: GatewayProcess, upstream: ScriptedUpstream, data: bytes) -> None:
    with gateway.connect() as client:
        response = client.ask(data)
        assert contract.is_a_refusal(response, 400)
        assert response.head.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")), response.head[:20]
        assert client.is_closed()
    assert upstream.requests == []


def test_P16_a_mebibyte_of_noise_is_400(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    for seed in range(3):
        assert is_bad(gateway, upstream, random.Random(seed).randbytes(1 << 20))


@pytest.mark.parametrize("key", [scene.KEY, None])
@pytest.mark.parametrize("body", [None, scene.BODY])
@pytest.mark.parametrize("target", ["evil.test:443", f"127.0.0.1:{9}", scene.MODELS])
def test_P17_connect_is_405_and_the_end(
    gateway: GatewayProcess, upstream: ScriptedUpstream, target: str, body: bytes | None, key: str | None
) -> None:
    with gateway.connect() as client:
        client.send(request(target, method="CONNECT", key=key, body=body) + get(scene.MODELS) + TLS_HELLO)
        assert contract.is_a_refusal(client.read_response(), 400, 405)
        assert client.is_closed()
    assert upstream.requests == []


@pytest.mark.parametrize("protocol", ["websocket", "h2c", "foo", "TLS/1.3"])
@pytest.mark.parametrize("body", [None, scene.BODY])
@pytest.mark.parametrize("together", [True, False])
def test_P18_an_upgrade_is_answered_normally_and_ends_the_connection(
    gateway: GatewayProcess, upstream: ScriptedUpstream, protocol: str, body: bytes | None, together: bool
) -> None:
    headers = (
        "Connection: Upgrade, HTTP2-Settings",
        f"Upgrade: {protocol}",
        "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
    )
    target, method = (scene.MODELS, "GET") if body is None else (scene.CHAT, "POST")
    upgrade = request(target, *headers, "Sec-WebSocket-Version: 13", method=method, key=scene.KEY, body=body)
    with gateway.connect() as client:
        begun = time.monotonic()
        client.send(upgrade + (get(scene.MODELS) if together else b""))
        response = client.read_response()
        assert response.status == 200
        assert response.header("Connection") == "close"
        assert response.header("Upgrade") is None
        assert time.monotonic() - begun < AT_ONCE
        if not together:
            client.send(get(scene.MODELS))
        assert client.is_closed()
    assert upstream.only_request.body == (body or b"")
    assert upstream.only_request.values("Upgrade") == []
