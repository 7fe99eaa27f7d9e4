"""Table H: which of a request's headers pass, which do not, and whose they are."""

import random
import socket

import pytest

from tests.harness import contract, scene
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.upstream_visit import Received
from tests.harness.sockets.wire_client import request

HOP_BY_HOP = ("Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade")
OURS_UP = {"host", "authorization", "content-length"}


def send(
    gateway: GatewayProcess,
    upstream: ScriptedUpstream,
    *headers: str | bytes,
    target: str = scene.CHAT,
    key: str = scene.KEY,
) -> Received:
    """A good request with these headers; what the upstream received of it."""
    upstream.forget()
    assert gateway.ask(request(target, *headers, key=key, body=scene.BODY)).status == 200
    return upstream.only_request


def names(received: Received) -> set[str]:
    return {name.lower() for name, _ in received.headers}


@pytest.mark.parametrize(
    "header",
    [
        *(
            "Authorization: Bearer {}",
            "aUTHORIZATION: bearer {}",
            "x-api-key: {}",
            "X-aPi-KeY: {}",
            "key: {}",
            "KEY: {}",
        ),
    ],
)
def test_H1_the_key_goes_no_further(gateway: GatewayProcess, upstream: ScriptedUpstream, header: str) -> None:
    for target in (scene.CHAT, f"{scene.BARE}/v1/messages"):
        upstream.forget()
        assert gateway.ask(request(target, header.format(scene.KEY), body=scene.BODY)).status == 200
        assert b"CANARYKEY" not in upstream.raw()
        assert names(upstream.only_request).isdisjoint({"x-api-key", "key"})


@pytest.mark.parametrize(
    "name",
    [
        *(
            "api-key",
            "x-goog-api-key",
            "anthropic-api-key",
            "openai-api-key",
            "xi-api-key",
            "Proxy-Authorization",
            "x-key",
        ),
        *(
            "x_api_key",
            "x-auth-token",
            "X-Authorization",
            "ocp-apim-subscription-key",
            "Authorization2",
            "x-portkey-api-key",
        ),
    ],
)
def test_H1_a_key_in_another_products_header_is_no_key_and_goes_no_further(
    gateway: GatewayProcess, upstream: ScriptedUpstream, name: str
) -> None:
    header = f"{name}: Bearer {scene.KEY}"
    assert contract.BAD_KEY.is_kept_by(gateway.ask(request(scene.CHAT, header, body=scene.BODY)))
    assert upstream.requests == []
    assert b"CANARYKEY" not in send(gateway, upstream, header).raw


def test_H2_the_upstream_gets_its_own_key_once(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    received = send(gateway, upstream, f"x-api-key: {scene.KEY}", "Connection: authorization")
    assert received.values("Authorization") == [f"Bearer {scene.UPSTREAM_KEY}"]
    assert send(gateway, upstream, target=f"{scene.BARE}/v1/completions").values("Authorization") == []


def test_H3_an_upstream_key_that_is_no_header_value_is_refused_at_start(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    keys = ('"a\\r\\nX: y"', '"a\\nb"', '"schlüssel"', '"a b"', '"\\0"', '""', "5")
    fields = f"account: acme, upstream: '{upstream.url}', upstream_key"
    lines = [f"  d{number}: {{{fields}: {key}}}\n" for number, key in enumerate(keys)]
    gateway = start_gateway(f"{scene.ACCOUNTS}\ndeployments:\n{''.join(lines)}", serves=False)
    assert gateway.wait() == 1
    for number in range(len(keys)):
        assert f"deployments.d{number}.upstream_key" in gateway.log.since(0), keys[number]


def test_H4_cookies_stay(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    received = send(gateway, upstream, f"Cookie: a={scene.COOKIE}", f"Set-Cookie: b={scene.COOKIE}")
    assert names(received).isdisjoint({"cookie", "set-cookie"})


def test_H5_hop_by_hop_headers_stay(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    lines = [f"{name}: x" for name in HOP_BY_HOP if name not in {"Transfer-Encoding", "Upgrade"}]
    received = send(gateway, upstream, *lines, "HTTP2-Settings: x", "Proxy-Authenticate: x", "Upgrade: h2c")
    assert names(received) <= {*OURS_UP, "content-type"}


def test_H6_headers_that_connection_names_are_dropped_and_ours_arrive(
    gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    nominated = "keep-alive, X-Request-Id, Authorization, Content-Length, Host, User-Agent, x-api-key"
    received = send(
        gateway,
        upstream,
        f"Connection: {nominated}",
        "connection: ACCEPT",
        "User-Agent: u",
        "Accept: a",
        "Content-Type: b",
    )
    assert names(received) == {*OURS_UP, "content-type"}
    assert received.values("Content-Length") == [str(len(scene.BODY))]
    response = gateway.ask(
        request(scene.CHAT, f"Connection: {nominated}", "x-request-id: mine", key=scene.KEY, body=b"{}")
    )
    assert response.header("x-request-id") == "mine"


@pytest.mark.parametrize(
    "header",
    [
        *(
            "X-Forwarded-For: 127.0.0.1",
            "X-Forwarded-Host: evil.test",
            "X-Forwarded-Proto: https",
            "X-Real-IP: 127.0.0.1",
        ),
        *(
            "Forwarded: for=127.0.0.1;host=evil.test",
            "Via: 1.1 evil",
            "X-Original-URL: /slots",
            "X-Rewrite-URL: /slots",
        ),
        *(
            "X-HTTP-Method-Override: GET",
            "X-Forwarded-User: root",
            "X-Original-Host: evil.test",
            "Client-IP: 127.0.0.1",
        ),
        *("X-Forwarded-Prefix: /slots", "X-HTTP-Method: DELETE", "Max-Forwards: 0", "X-Real-IP: 127.0.0.1"),
    ],
)
def test_H7_what_is_said_of_other_hops_changes_nothing(
    gateway: GatewayProcess, upstream: ScriptedUpstream, header: str
) -> None:
    received = send(gateway, upstream, header)
    assert received.line == "POST /v1/chat/completions HTTP/1.1"
    assert names(received) == OURS_UP
    assert contract.BAD_KEY.is_kept_by(gateway.ask(request(scene.CHAT, header, body=scene.BODY)))


def test_H8_the_host_is_the_upstreams(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    received = send(gateway, upstream)
    assert received.values("Host") == [f"127.0.0.1:{upstream.port}"]


def test_H9_underscores_make_another_header(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    received = send(
        gateway, upstream, "content_length: 5", "Transfer_Encoding: chunked", "content_type: x", "user_agent: y"
    )
    assert names(received) == OURS_UP


def test_H9_no_header_goes_up_twice(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    for name in ("Content-Type", "User-Agent", "anthropic-version", "OpenAI-Organization"):
        upstream.forget()
        lines = (f"{name}: one", f"{name.lower()}: two")
        response = gateway.ask(request(scene.CHAT, *lines, key=scene.KEY, body=scene.BODY))
        assert response.status in {200, 400}
        assert all(received.values(name) == ["one"] for received in upstream.requests)


@pytest.mark.parametrize("value", [b"caf\xc3\xa9", b"\xff\xfe", "smile \N{GRINNING FACE}".encode()])
def test_H9_a_value_that_is_not_ascii_is_dropped(
    gateway: GatewayProcess, upstream: ScriptedUpstream, value: bytes
) -> None:
    assert names(send(gateway, upstream, b"User-Agent: " + value)) == OURS_UP


@pytest.mark.parametrize("coding", ["gzip, deflate, br;q=0.5", "identity", "*", "zstd"])
def test_H11_accept_encoding_is_the_clients(gateway: GatewayProcess, upstream: ScriptedUpstream, coding: str) -> None:
    assert send(gateway, upstream, f"Accept-Encoding: {coding}").values("Accept-Encoding") == [coding]
    assert send(gateway, upstream).values("Accept-Encoding") == []
    assert send(gateway, upstream).values("User-Agent") == []


PASS_UP = {
    "accept": "text/event-stream",
    "accept-language": "de",
    "content-type": "application/json",
    "user-agent": "OpenAI/Python 9",
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "a,b",
    "openai-organization": "org",
    "openai-project": "p",
    "x-stainless-retry-count": "1",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}


def test_H12_only_what_is_on_the_list_passes(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    chance = random.Random(12)
    strangers = [f"X-{chance.randbytes(6).hex()}: {chance.randbytes(6).hex()}" for _ in range(100)]
    received = send(gateway, upstream, *strangers, *(f"{name}: {value}" for name, value in PASS_UP.items()))
    assert names(received) == {*OURS_UP, *PASS_UP}
    assert all(received.values(name) == [value] for name, value in PASS_UP.items())


@pytest.mark.parametrize(
    "header",
    [
        *(
            "x-portkey-custom-host: http://127.0.0.1:1",
            "x-portkey-config: {}",
            "x-litellm-api-base: http://127.0.0.1:1",
        ),
        *(
            "x-bf-vk: x",
            "x-envoy-original-path: /slots",
            "x-envoy-upstream-rq-timeout-ms: 1",
            "helicone-target-url: http://x",
        ),
        *("X-Conversation-Id: 1", "x-model: foreign", "X-Host-Override: evil", "x-llama-slot: 0"),
    ],
)
def test_H17_other_products_routing_headers_are_ignored(
    gateway: GatewayProcess, upstream: ScriptedUpstream, header: str
) -> None:
    received = send(gateway, upstream, header)
    assert names(received) == OURS_UP
    assert received.values("Host") == [f"127.0.0.1:{upstream.port}"]


def test_H18_no_proxy_and_no_netrc_diverts_a_prompt(
    gateway: GatewayProcess, upstream: ScriptedUpstream, proxy_trap: socket.socket
) -> None:
    """The shared gateway runs with HTTP_PROXY pointing at a trap, and a .netrc for the upstream's host."""
    assert send(gateway, upstream, target=f"{scene.BARE}/v1/completions").values("Authorization") == []
    with pytest.raises(BlockingIOError):
        proxy_trap.accept()
