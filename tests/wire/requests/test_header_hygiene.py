"""Table H: which headers pass, which do not, and whose they are, seen on both sockets of the gateway."""

import random
import socket
import threading

import pytest

from tests.harness import contract, scene
from tests.harness.fleet import StartGateway
from tests.harness.gateway_process import GatewayProcess
from tests.harness.patience import PATIENCE
from tests.harness.scripted_upstream import Received, ScriptedUpstream, Visit
from tests.harness.wire_client import request

HOP_BY_HOP = ("Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade")
OURS_UP = {"host", "authorization", "content-length"}
ALWAYS_DOWN = {"date", "x-request-id", "server", "x-content-type-options", "cache-control"}


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


# --- up


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
    for name in ("Content-Type", "Accept", "User-Agent", "anthropic-version", "OpenAI-Organization"):
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


GOOD_IDS = ("a", "A-b_c.9", "x" * 128, "01J9ZK3V7Q", "req-7f3a")
BAD_IDS = (
    "",
    "x" * 129,
    "<script>alert(1)</script>",
    "a b",
    "a,b",
    "a/b",
    "a\tb",
    "id;x",
    "x" * 8000,
    "ü",
    "a:b",
    "%0a",
)


@pytest.mark.parametrize("request_id", [*GOOD_IDS, *BAD_IDS])
@pytest.mark.parametrize("target", [scene.CHAT, "/nothing", "/healthz", f"{scene.FOREIGN}/v1/completions"])
def test_H10_a_sane_request_id_is_kept_and_any_other_replaced(
    gateway: GatewayProcess, target: str, request_id: str
) -> None:
    method = "GET" if target == "/healthz" else "POST"
    body = None if method == "GET" else scene.BODY
    response = gateway.ask(request(target, f"X-Request-ID: {request_id}", method=method, key=scene.KEY, body=body))
    answered = response.header("x-request-id") or ""
    assert (answered == request_id) == (request_id in GOOD_IDS)
    assert answered.isascii()
    assert 0 < len(answered) <= 128


@pytest.mark.parametrize("data", [b"GET / HTTP/9.9\r\n\r\n", b"nonsense\r\n\r\n", request("/%", method="GET")])
def test_H10_even_what_cannot_be_read_gets_a_request_id(gateway: GatewayProcess, data: bytes) -> None:
    one, other = gateway.ask(data), gateway.ask(data)
    assert one.header("x-request-id") != other.header("x-request-id")


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


# --- down

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
            visit.chunk(b"data: 1\n\n")
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
