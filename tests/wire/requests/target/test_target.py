"""Table P: the request target. What is not exactly in the table of endpoints never reaches an upstream."""

import pytest

from tests.harness import contract, scene
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.wire_client import Response, request
from tests.wire.requests.target.targets import get, is_bad, is_nothing

OWN = {"/", "/healthz", "/metrics", "/readyz"}


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
    ("path", "base"),
    [
        ("//v1/models", scene.BASE),
        ("/v1//models", f"{scene.BASE}/v1"),
        ("/v1/models/", f"{scene.BASE}/v1"),
        ("/V1/MODELS", None),
        ("/v1/Models", None),
    ],
)
def test_P3_slashes_and_case_count(
    gateway: GatewayProcess, upstream: ScriptedUpstream, path: str, base: str | None
) -> None:
    said = contract.NO_SUCH_PATH if base is None else contract.one_slip_off(base)
    assert is_nothing(gateway, upstream, scene.BASE + path, said)


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
    assert is_nothing(gateway, upstream, "/api/gguf//v1/nothing/x")
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


HIDDEN = (
    *("/slots", "/slots/0?action=save", "/slots/0", "/metrics", "/lora-adapters", "/models/load", "/models/unload"),
    *("/models/sse/x", "/tools", "/mcp", "/mcp/x", "/cors-proxy", "/index.html", "/api/chat", "/api/tags", "/api/show"),
    *("/v1/stream", "/v1/streams/lookup", "/api/hello/x", "/v1/models/a/b", "/predict", "/v1/slots"),
)


@pytest.mark.parametrize("path", HIDDEN)
def test_P19_the_model_servers_other_endpoints_are_out_of_reach(
    gateway: GatewayProcess, upstream: ScriptedUpstream, path: str
) -> None:
    assert is_nothing(gateway, upstream, scene.BASE + path)


# What a client with a host for a base URL asks for: it is told how a base URL looks.
HOST_FOR_BASE = (
    "/v1/models",
    "/v1/chat/completions",
    "/chat/completions",
    "/infill",
    "/v1/messages",
    "/x/v1/responses",
)
A_BASE = "The base URL of a deployment ends in /api/gguf/{deployment_id}, for an OpenAI client with /v1 behind"


@pytest.mark.parametrize("path", sorted({*HIDDEN, *HOST_FOR_BASE} - OWN))
def test_P20_at_the_root_there_is_only_what_is_the_gateways(
    gateway: GatewayProcess, upstream: ScriptedUpstream, path: str
) -> None:
    for method in ("GET", "POST", "DELETE"):
        response: Response = gateway.ask(get(path, method=method))
        assert contract.is_a_refusal(response, 404)
        said = response.json()["error"]["message"].removeprefix(contract.NO_SUCH_PATH.message)
        assert said.strip() == (A_BASE if path in HOST_FOR_BASE else "")
    assert upstream.requests == []
