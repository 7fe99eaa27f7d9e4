"""Table P: targets that name a host, and the Host header."""

import pytest

from tests.harness import contract, scene
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.wire_client import request
from tests.wire.requests.target.targets import get, is_bad

BAD_HOST = contract.bad_request("its Host header is not valid")


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
