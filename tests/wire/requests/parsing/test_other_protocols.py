"""Requests of protocols that only look like HTTP: refused, wherever in a connection they stand, and not carried."""

import pytest

from tests.harness import contract
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.sockets.wire_client import request

HEALTHZ = request("/healthz", method="GET")


def spoken(protocol: bytes, data: bytes) -> bytes:
    return data.replace(b" HTTP/1.1\r\n", b" " + protocol + b"\r\n", 1)


@pytest.mark.parametrize("protocol", [b"RTSP/1.0", b"RTSP/1.1", b"RTSP/2.0", b"ICE/1.0", b"rtsp/1.0"])
@pytest.mark.parametrize("asked", [chat(), chat(path="/v1/models", method="GET", body=None), HEALTHZ])
def test_a_request_of_another_protocol_is_400(
    gateway: GatewayProcess, upstream: ScriptedUpstream, protocol: bytes, asked: bytes
) -> None:
    with gateway.connect() as client:
        assert contract.is_a_refusal(client.ask(spoken(protocol, asked)), 400)
        assert client.is_closed()
    assert upstream.requests == []


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_it_is_400_in_pieces_as_well(gateway: GatewayProcess, upstream: ScriptedUpstream, cut: int) -> None:
    data = spoken(b"RTSP/1.0", HEALTHZ)
    with gateway.connect() as client:
        client.send(data[:cut])
        gateway.wait_until_read(client)
        client.send(data[cut:])
        assert contract.is_a_refusal(client.read_response(), 400)


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("first", [HEALTHZ, chat(), chat("demo", "Accept: a", "Accept: b")])
def test_behind_a_request_of_http_it_is_400_as_well(
    gateway: GatewayProcess, upstream: ScriptedUpstream, first: bytes, at_once: bool
) -> None:
    with gateway.connect() as client:
        client.send(first + spoken(b"RTSP/1.0", chat()) if at_once else first)
        status = client.read_response().status
        if not at_once:
            client.send(spoken(b"RTSP/1.0", chat()))
        assert status == 400 or contract.is_a_refusal(client.read_response(), 400)
        assert client.is_closed()
    assert len(upstream.requests) <= 1


def test_a_body_that_speaks_of_other_protocols_is_only_a_body(
    gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    body = b'{"prompt": "\nSETUP rtsp://camera/1 RTSP/1.0\r\nCSeq: 1\r\n\r\n"}'
    for accept in ("Accept: a", "Accept: b"), ():
        for version in (b"HTTP/1.1", b"HTTP/1.0"):
            data = chat("demo", *accept, body=body).replace(b" HTTP/1.1\r\n", b" " + version + b"\r\n", 1)
            assert gateway.ask(data).status == 200
    assert {received.body for received in upstream.requests} == {body}
