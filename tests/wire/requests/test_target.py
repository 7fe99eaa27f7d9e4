"""Table P: the request target. What is not exactly in the table of endpoints never reaches an upstream."""

import random
import time

import pytest

from tests.harness import contract, scene
from tests.harness.fleet import StartGateway
from tests.harness.gateway_process import GatewayProcess
from tests.harness.patience import AT_ONCE
from tests.harness.scripted_upstream import ScriptedUpstream
from tests.harness.wire_client import Response, request

BAD_TARGET = contract.bad_request("its target is not a valid URL")
BAD_HOST = contract.bad_request("its Host header is not valid")
BAD_VERSION = contract.bad_request("only HTTP/1.0 and HTTP/1.1 are supported")


def get(target: str | bytes, *headers: str, key: str | None = scene.KEY, method: str = "GET") -> bytes:
    return request(target, *headers, method=method, key=key)


def is_nothing(gateway: GatewayProcess, upstream: ScriptedUpstream, target: str) -> bool:
    """Whether a target below /api/gguf is 404 by any method, 401 without a key, and touches no upstream."""
    for method, body in (("GET", None), ("POST", scene.BODY), ("DELETE", None)):
        asked = request(target, method=method, key=scene.KEY, body=body)
        assert contract.NO_SUCH_PATH.is_kept_by(gateway.ask(asked)), (method, target)
    assert contract.BAD_KEY.is_kept_by(gateway.ask(get(target, key=None)))
    return upstream.requests == []


def is_bad(gateway: GatewayProcess, upstream: ScriptedUpstream, data: bytes) -> bool:
    """Whether this is answered 400, with the connection closed and no upstream touched."""
    with gateway.connect() as client:
        response = client.ask(data)
        assert contract.is_a_refusal(response, 400)
        assert response.header("Connection") == "close" or response.head.startswith(b"HTTP/1.0")
        assert client.is_closed()
    return upstream.requests == []


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/../slots", "/v1/./models", "/v1/%2e%2e/slots", "/v1/.%2e/slots", "/v1/%2E%2E%2Fslots", "/v1/..%2fslots"),
        *("/v1/..%5cslots", "/../bare/v1/models", "/%2e%2e/bare/v1/models", "/v1/models/..", "/v1/models/.", "/."),
        *("/v1/models/../models", "/./v1/models", "/v1/%6dodels", "/v1%2fmodels", "%2fv1/models"),
    ],
)
def test_P1_dots_and_escapes_lead_nowhere(gateway: GatewayProcess, upstream: ScriptedUpstream, path: str) -> None:
    assert is_nothing(gateway, upstream, scene.BASE + path)


def test_P1_a_backslash_is_400(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    assert is_bad(gateway, upstream, get(f"{scene.BASE}/v1/..\\slots"))


@pytest.mark.parametrize("path", ["/v1/..;/slots", "/v1/..;a=b/slots", "/;/v1/models", "/v1;x=/models", "/v1/models;"])
def test_P2_path_parameters_are_part_of_the_name(
    gateway: GatewayProcess, upstream: ScriptedUpstream, path: str
) -> None:
    assert is_nothing(gateway, upstream, scene.BASE + path)


@pytest.mark.parametrize(
    "path", ["//v1/models", "/v1//models", "/v1/models/", "/V1/MODELS", "/v1/Models", "/v1", "/v1/"]
)
def test_P3_slashes_and_case_count(gateway: GatewayProcess, upstream: ScriptedUpstream, path: str) -> None:
    assert is_nothing(gateway, upstream, scene.BASE + path)


@pytest.mark.parametrize("start", ["/", "//evil.test", "/evil.test/..", "/x/..", "/API/GGUF/.."])
def test_P3_there_is_one_way_to_spell_the_prefix(
    gateway: GatewayProcess, upstream: ScriptedUpstream, start: str
) -> None:
    response = gateway.ask(get(start + scene.MODELS))
    assert contract.NO_SUCH_PATH.is_kept_by(response)
    assert response.header("Location") is None
    assert upstream.requests == []


@pytest.mark.parametrize("path", ["/v1/%252e%252e/slots", "/v1/%25%32%65%25%32%65/slots", "/v1/%256dodels"])
def test_P4_nothing_is_decoded_twice(gateway: GatewayProcess, upstream: ScriptedUpstream, path: str) -> None:
    assert is_nothing(gateway, upstream, scene.BASE + path)


ODD_ESCAPES = ("%00", "%0d%0aX-Evil:1", "%0a", "%09", "%7f", "%ff%fe", "%c0%af", "%20", "%1b[31m", "%e2%80%a8")


@pytest.mark.parametrize("escape", ODD_ESCAPES)
def test_P5_escaped_controls_are_404_and_one_line_of_the_log(
    gateway: GatewayProcess, upstream: ScriptedUpstream, escape: str
) -> None:
    name = f"odd-{random.randrange(10**9)}"
    target = f"{scene.BASE}/v1/models{escape}"
    assert contract.NO_SUCH_PATH.is_kept_by(gateway.ask(get(target, f"x-request-id: {name}")))
    gateway.log.wait_for(name)
    assert sum(name in line for line in gateway.log.lines) == 1
    assert is_nothing(gateway, upstream, f"{scene.BASE}/{escape}/v1/models")


def test_P5_no_target_can_forge_a_line_of_the_log_for_people(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(scene.config(upstream.url, "log: {format: human}"))
    forged = "%0a12:00:00%20error%20forged%0d%1b%5b2J%c2%85%e2%80%a8forged"
    start = gateway.mark_log()
    for target in (f"/{forged}", f"/api/gguf/{forged}/v1/models", f"{scene.BASE}/{forged}", f"/api/gguf/{forged}"):
        gateway.ask(get(target, "User-Agent: x"))
    written = gateway.log.lines[start : gateway.mark_log()]
    assert len(written) == 5
    assert not any("\x1b" in line or line.startswith("12:00:00 error") for line in written)


@pytest.mark.parametrize("path", ["/v1/models%", "/v1/models%1", "/v1/models%zz", "/%/v1/models", "/v1/%u002e/x"])
def test_P6_a_bad_escape_is_400(gateway: GatewayProcess, upstream: ScriptedUpstream, path: str) -> None:
    assert BAD_TARGET.is_kept_by(gateway.ask(get(scene.BASE + path)))
    assert is_bad(gateway, upstream, get(scene.BASE + path))


@pytest.mark.parametrize("character", [b"\xe9", "é".encode(), b" ", b"\t", b"\x01", b"\x00", b"\x7f", b"\r", b"\n"])
@pytest.mark.parametrize("place", [b"/v1/mo%b/dels", b"/v1/models?a=%bb", b"%b/v1/models"])
def test_P7_a_raw_character_that_no_url_has_is_400(
    gateway: GatewayProcess, upstream: ScriptedUpstream, character: bytes, place: bytes
) -> None:
    assert is_bad(gateway, upstream, get(scene.BASE.encode() + place % character))


@pytest.mark.parametrize(
    "name",
    [
        *(
            "..",
            ".",
            "a%2Fb",
            "x" * 300,
            "%00",
            "'",
            "<script>",
            "%3Cscript%3E",
            "%F0%9F%98%80",
            "CON",
        ),
        *(
            "caf%C3%A9",
            "cafe%CC%81",
            "demo.",
            "demo%20",
            "%20demo",
            "demo%2e",
            "Demo",
            "demo:80",
            "demo@x",
            "~",
            "-",
            "$",
        ),
    ],
)
def test_P8_an_odd_deployment_name_is_just_missing(
    gateway: GatewayProcess, upstream: ScriptedUpstream, name: str
) -> None:
    for endpoint, method in scene.ENDPOINTS.items():
        response = gateway.ask(request(f"/api/gguf/{name}{endpoint}", method=method, key=scene.KEY, body=scene.BODY))
        assert contract.NO_DEPLOYMENT.is_kept_by(response)
    assert upstream.requests == []


def test_P8_no_name_at_all_is_nothing(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    assert is_nothing(gateway, upstream, "/api/gguf//v1/models/x")
    assert contract.NO_DEPLOYMENT.is_kept_by(gateway.ask(get("/api/gguf//v1/models")))


@pytest.mark.parametrize(("size", "status"), [(8190, 404), (8300, 400), (1 << 16, 400)])
def test_P9_a_long_target_is_served_up_to_a_limit(
    gateway: GatewayProcess, upstream: ScriptedUpstream, size: int, status: int
) -> None:
    start = f"{scene.BASE}/v1/{scene.KEY}/"
    target = start + "a" * (size - len(f"GET {start} HTTP/1.1"))
    assert contract.is_a_refusal(gateway.ask(get(target)), status)
    assert upstream.requests == []


@pytest.mark.parametrize(
    "query",
    [
        *("", "x=%2F&y=a+b&z=%zz&;q", "x=1&x=2", "&".join(f"p{n}" for n in range(1000)), "?", "/../../slots"),
        *(f"api_key={scene.KEY}", f"key={scene.KEY}", f"x-api-key={scene.KEY}&access_token={scene.KEY}", "%0d%0aX:1"),
    ],
)
def test_P10_the_query_is_dropped_and_no_place_for_a_key(
    gateway: GatewayProcess, upstream: ScriptedUpstream, query: str
) -> None:
    assert gateway.ask(get(f"{scene.MODELS}?{query}")).status == 200
    assert upstream.only_request.line == "GET /v1/models HTTP/1.1"
    assert contract.BAD_KEY.is_kept_by(gateway.ask(get(f"{scene.MODELS}?{query}", key=None)))
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "target", [f"{scene.MODELS}#x", f"{scene.BASE}/v1/slots#/v1/models", f"{scene.MODELS}?a#b", "/#"]
)
def test_P11_a_fragment_is_400(gateway: GatewayProcess, upstream: ScriptedUpstream, target: str) -> None:
    assert is_bad(gateway, upstream, get(target))


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("endpoint", scene.ENDPOINTS)
def test_P12_every_endpoint_has_one_method(
    gateway: GatewayProcess, upstream: ScriptedUpstream, endpoint: str, method: str
) -> None:
    right = scene.ENDPOINTS[endpoint]
    target = scene.BASE + endpoint
    if method == right:
        assert gateway.ask(request(target, method=method, key=scene.KEY, body=scene.BODY)).status == 200
        assert upstream.only_request.line == f"{right} {endpoint} HTTP/1.1"
        return
    response = gateway.ask(get(target, method=method), to_head=method == "HEAD")
    assert response.status == 405
    assert response.header("Allow") == right
    assert method == "HEAD" or contract.wrong_method(right).is_kept_by(response)
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


@pytest.mark.parametrize("origin", ["http://evil.test", "https://evil.test:99", "http://user:pw@evil.test", "HTTP://X"])
def test_P13_an_absolute_target_is_its_path_and_never_a_proxy_request(
    gateway: GatewayProcess, upstream: ScriptedUpstream, origin: str
) -> None:
    assert gateway.ask(get(origin + scene.MODELS)).status == 200
    assert upstream.only_request.line == "GET /v1/models HTTP/1.1"
    assert upstream.only_request.values("Host") == [f"127.0.0.1:{upstream.port}"]
    assert contract.BAD_KEY.is_kept_by(gateway.ask(get(origin + scene.MODELS, key=None)))
    for path in ("/admin", "/slots", "", "/v1/models", f"{scene.BASE}/v1/../slots"):
        assert contract.is_a_refusal(gateway.ask(get(origin + path)), 400, 404), path
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "target",
    ["evil.test:443", "api/gguf/demo/v1/models", "http:///x", "http://[::1/x", "ftp://x/y", "file:///x", "?"],
)
def test_P13_what_is_no_target_of_a_server_is_refused(
    gateway: GatewayProcess, upstream: ScriptedUpstream, target: str
) -> None:
    assert contract.is_a_refusal(gateway.ask(get(target)), 400, 404)
    assert upstream.requests == []


@pytest.mark.parametrize(
    "host",
    [
        *(
            "a/admin?x=",
            "a/#@b",
            "a#b",
            "a:99999",
            "a:",
            "a:b",
            "[::1",
            "[::1]x",
            "::1",
            "",
            "h" * 300,
            "hé",
            "a b",
            "a,b",
        ),
        *("@google.com", "user:pw@a", "localhost/../x", "a\\b", "<x>", "a%00", "http://a", "a;b", 'a"b', "[x]", "a,b"),
    ],
)
def test_P14_a_host_that_is_none_is_400_with_and_without_a_key(
    gateway: GatewayProcess, upstream: ScriptedUpstream, host: str
) -> None:
    for key in (scene.KEY, None):
        assert is_bad(gateway, upstream, request(scene.MODELS, method="GET", key=key, host=host))
    assert BAD_HOST.is_kept_by(gateway.ask(request("/healthz", method="GET", host=host)))


@pytest.mark.parametrize(
    "host", ["a", "A.B-c_d.test:8080", "127.0.0.1", "[::1]", "[::1]:80", "a:0", "a:65535", "xn--4ca"]
)
def test_P14_the_host_decides_nothing(gateway: GatewayProcess, host: str) -> None:
    assert gateway.ask(request(scene.MODELS, method="GET", key=scene.KEY, host=host)).status == 200
    assert gateway.ask(request(scene.MODELS, method="GET", host=host)).status == 401


def test_P14_two_hosts_and_no_host_are_400(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    assert is_bad(gateway, upstream, get(scene.MODELS, "Host: gateway.test"))
    assert is_bad(gateway, upstream, get(scene.MODELS, "Host: other.test"))
    assert is_bad(gateway, upstream, request(scene.MODELS, method="GET", key=scene.KEY, host=None))
    old = request(scene.MODELS, method="GET", key=scene.KEY, host=None, version="HTTP/1.0")
    assert gateway.ask(old).status == 200


def test_P15_asterisk(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    assert contract.NO_SUCH_PATH.is_kept_by(gateway.ask(get("*", method="OPTIONS")))
    assert is_bad(gateway, upstream, get("*"))
    assert is_bad(gateway, upstream, get("*", method="POST"))


TLS_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2


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


HIDDEN = (
    *(
        "/slots",
        "/slots/0?action=save",
        "/slots/0",
        "/props",
        "/metrics",
        "/completion",
        "/completions",
        "/infill",
        "/rerank",
    ),
    *(
        "/tokenize",
        "/detokenize",
        "/apply-template",
        "/embedding",
        "/embeddings",
        "/lora-adapters",
        "/models",
        "/reranking",
    ),
    *("/models/load", "/models/unload", "/tools", "/mcp", "/mcp/x", "/cors-proxy", "/", "/index.html", "/api/chat"),
    *(
        "/api/tags",
        "/api/show",
        "/health",
        "/v1/health",
        "/chat/completions",
        "/v1/audio/transcriptions",
        "/v1/models/demo",
    ),
    *("/v1/reranking", "/v1/chat/completions/input_tokens", "/v1/responses/input_tokens", "/v1/stream", "/api/hello/x"),
)


@pytest.mark.parametrize("path", HIDDEN)
def test_P19_the_model_servers_other_endpoints_are_out_of_reach(
    gateway: GatewayProcess, upstream: ScriptedUpstream, path: str
) -> None:
    assert is_nothing(gateway, upstream, scene.BASE + path)


OWN = {"/", "/healthz", "/metrics", "/readyz"}


@pytest.mark.parametrize("path", sorted({*HIDDEN, "/v1/models", "/v1/chat/completions"} - OWN))
def test_P20_at_the_root_there_is_only_what_is_the_gateways(
    gateway: GatewayProcess, upstream: ScriptedUpstream, path: str
) -> None:
    for method in ("GET", "POST", "DELETE"):
        response: Response = gateway.ask(get(path, method=method))
        assert contract.NO_SUCH_PATH.is_kept_by(response)
    assert upstream.requests == []
