"""The groups of endpoints: what a deployment enables is relayed; the rest is a 404 that says how to enable it."""

import json
from functools import partial

import pytest

from tests.harness import contract, scene
from tests.harness.processes.fleet import Fleet
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import Response, request

ALL = "/api/gguf/all"
ONLY_NATIVE = "/api/gguf/only-native"


@pytest.fixture
def grouped(fleet: Fleet, gateway_loop: str, shared_upstream: ScriptedUpstream) -> GatewayProcess:
    """A gateway with a deployment of all groups, and one of llama-server's own alone."""
    more = f"""
  all: {{account: acme, upstream: "{shared_upstream.url}", status: ready, endpoints: [openai, anthropic, native]}}
  only-native: {{account: acme, upstream: "{shared_upstream.url}", status: ready, endpoints: [native]}}
  paused-native: {{account: acme, upstream: "{shared_upstream.url}", status: paused, endpoints: [native]}}
"""
    return fleet.share(gateway_loop, scene.config(shared_upstream.url) + more)


def ask(gateway: GatewayProcess, target: str, method: str, *, key: str | None = scene.KEY) -> Response:
    return gateway.ask(request(target, method=method, key=key, body=scene.BODY if method == "POST" else None))


@pytest.mark.parametrize("path", scene.NATIVE)
def test_an_enabled_group_is_relayed_byte_for_byte(
    grouped: GatewayProcess, upstream: ScriptedUpstream, path: str
) -> None:
    for base in (ALL, ONLY_NATIVE):
        upstream.forget()
        answer = ask(grouped, base + path, "POST")
        assert (answer.status, answer.body) == (200, b'{"object":"fine"}')
        assert upstream.only_request.line == f"POST {path} HTTP/1.1"
        assert upstream.only_request.body == scene.BODY
        assert ask(grouped, base + path, "GET").header("Allow") == "POST"
        assert contract.BAD_KEY.is_kept_by(ask(grouped, base + path, "POST", key=None))


def test_by_default_nothing_of_llama_servers_own_is_served(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    add = "add `native` to its `endpoints`"
    for path, method in {**scene.NATIVE, "/props": "GET", "/health": "GET", "/v1/health": "GET"}.items():
        answer = ask(gateway, scene.BASE + path, method)
        twin = f". To ask for /v1{path}, end the base URL in {scene.BASE}/v1"
        has_twin = path in {"/completions", "/embeddings", "/rerank"}
        assert contract.not_enabled(add + twin if has_twin else add).is_kept_by(answer), path
        assert contract.NO_DEPLOYMENT.is_kept_by(ask(gateway, scene.FOREIGN + path, method))
        assert contract.BAD_KEY.is_kept_by(ask(gateway, scene.BASE + path, method, key=None))
    assert upstream.requests == []


def test_a_group_that_is_left_out_is_not_served(grouped: GatewayProcess, upstream: ScriptedUpstream) -> None:
    for path, method in scene.ENDPOINTS.items():
        group = "anthropic" if "messages" in path else "openai"
        answer = ask(grouped, ONLY_NATIVE + path, method)
        assert contract.not_enabled(f"add `{group}` to its `endpoints`").is_kept_by(answer), path
        paused = ask(grouped, "/api/gguf/paused-native" + path, method)
        assert contract.not_enabled(f"add `{group}` to its `endpoints`").is_kept_by(paused), path
    assert upstream.requests == []


def test_what_would_show_or_change_the_server_is_never_served(
    grouped: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    for path in ("/slots", "/slots/0", "/metrics", "/lora-adapters", "/models/load", "/tools", "/cors-proxy"):
        for method in ("GET", "POST"):
            assert contract.NO_SUCH_PATH.is_kept_by(ask(grouped, ALL + path, method))
    assert contract.wrong_method("GET, HEAD").is_kept_by(ask(grouped, f"{ALL}/props", "POST"))
    assert upstream.requests == []


# --- GET /props


PROPS = {
    "default_generation_settings": {"params": {"temperature": 0.800000011920929, "seed": 4294967295}, "n_ctx": 4096},
    "model_alias": "/srv/secret/models/tiny.gguf",
    "eos_token": "</s>",
    "model_path": "/srv/secret/models/tiny.gguf",
    "chat_template": "{% if enable_thinking %}\n",
    "loras": [{"path": "C:\\secret\\adapter.gguf"}],
}


def test_the_properties_come_without_the_paths_of_the_disk(grouped: GatewayProcess, upstream: ScriptedUpstream) -> None:
    with upstream.playing(lambda visit: visit.answer(json.dumps(PROPS).encode())):
        asked = request(f"{ALL}/props?model=x", "Accept-Encoding: gzip", method="GET", key=scene.KEY)
        answer = grouped.ask(asked)
    shown = {**PROPS, "model_alias": "tiny.gguf", "model_path": "tiny.gguf", "loras": [{"path": "adapter.gguf"}]}
    assert (answer.status, answer.json()) == (200, shown)
    assert upstream.only_request.line == "GET /props HTTP/1.1"
    assert upstream.only_request.values("Accept-Encoding") == []
    assert answer.header("Content-Type") == "application/json"


def test_the_properties_are_asked_for_by_head_too(grouped: GatewayProcess, upstream: ScriptedUpstream) -> None:
    with upstream.playing(lambda visit: visit.answer(json.dumps(PROPS).encode())):
        whole = ask(grouped, f"{ALL}/props", "GET")
        head = grouped.ask(request(f"{ALL}/props", method="HEAD", key=scene.KEY), to_head=True)
    assert (whole.status, head.status) == (200, 200)
    assert whole.header("Content-Length") == head.header("Content-Length") == str(len(whole.body))


def in_pieces(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for piece in (b'{"model_', b'path":"/srv/', b'x.gguf"}', b""):
        visit.chunk(piece)


def cut(visit: Visit) -> None:
    visit.send(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"model_path":"/srv/secret/')
    visit.close()


def test_properties_that_come_in_pieces_are_one_answer(grouped: GatewayProcess, upstream: ScriptedUpstream) -> None:
    with upstream.playing(in_pieces):
        assert ask(grouped, f"{ALL}/props", "GET").body == b'{"model_path":"x.gguf"}'


def test_nothing_is_shown_of_properties_that_cannot_be_read(
    grouped: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    too_long = b'{"x":"' + b"/srv/secret" * 200_000 + b'"}'
    deep = b'{"x":' * 900 + b'"/srv/secret"' + b"}" * 900
    for body in (deep, b"", b"[]", b'"/srv/secret"', b"\x1f\x8b/srv/secret", b'{"model_path":"/srv/secret', too_long):
        with upstream.playing(partial(Visit.answer, body=body)):
            assert contract.UNREACHABLE.is_kept_by(ask(grouped, f"{ALL}/props", "GET")), body[:20]
    with upstream.playing(cut):
        assert contract.UNREACHABLE.is_kept_by(ask(grouped, f"{ALL}/props", "GET"))
    grouped.log.wait_for("it broke off after the head of its answer")


def test_an_error_in_the_place_of_properties_passes_untouched(
    grouped: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    with upstream.playing(lambda visit: visit.answer(b'{"error":{"path":"/x/y"}}', "501 Not Implemented")):
        answer = ask(grouped, f"{ALL}/props", "GET")
    assert (answer.status, answer.body) == (501, b'{"error":{"path":"/x/y"}}')


# --- GET /v1/models/{model}


MODELS = b"""{"object":"list","data":[
    {"id":"tiny","aliases":["small","org/name:Q4","/srv/x.gguf"],"object":"model"},
    {"id":"big","object":"model","status":{"value":"loaded","args":["-m","/srv/big.gguf"],"preset":"x=/srv"}}
]}"""


@pytest.mark.parametrize("name", ["tiny", "small", "org%2Fname:Q4", "org%2fname%3AQ4", "%2Fsrv%2Fx.gguf"])
def test_a_model_is_found_by_its_name_or_alias(grouped: GatewayProcess, upstream: ScriptedUpstream, name: str) -> None:
    with upstream.playing(lambda visit: visit.answer(MODELS)):
        answer = ask(grouped, f"{scene.MODELS}/{name}", "GET")
    assert answer.json() == json.loads(MODELS)["data"][0]
    assert upstream.only_request.line == "GET /v1/models HTTP/1.1"


def test_a_models_command_line_stays_behind(grouped: GatewayProcess, upstream: ScriptedUpstream) -> None:
    with upstream.playing(lambda visit: visit.answer(MODELS)):
        answer = ask(grouped, f"{scene.MODELS}/big", "GET")
    assert answer.json() == {"id": "big", "object": "model", "status": {"value": "loaded"}}


def test_a_model_that_is_not_there_is_404(grouped: GatewayProcess, upstream: ScriptedUpstream) -> None:
    missing = contract.Promise(404, "not_found_error", "The model server has no model of this name.")
    with upstream.playing(lambda visit: visit.answer(MODELS)):
        assert missing.is_kept_by(ask(grouped, f"{scene.MODELS}/other", "GET"))
        assert contract.wrong_method("GET, HEAD").is_kept_by(ask(grouped, f"{scene.MODELS}/tiny", "DELETE"))
    with upstream.playing(lambda visit: visit.answer(b'{"data":{}}')):
        assert contract.UNREACHABLE.is_kept_by(ask(grouped, f"{scene.MODELS}/tiny", "GET"))


# --- GET /health


@pytest.mark.parametrize("path", ["/health", "/v1/health"])
def test_health_is_the_deployments_readiness(grouped: GatewayProcess, upstream: ScriptedUpstream, path: str) -> None:
    answer = ask(grouped, ALL + path, "GET")
    assert (answer.status, answer.body) == (200, b'{"status":"ok"}')
    assert answer.header("x-request-id")
    paused = ask(grouped, f"/api/gguf/paused-native{path}", "GET")
    assert (paused.status, paused.header("Retry-After")) == (503, "30")
    assert contract.BAD_KEY.is_kept_by(ask(grouped, ALL + path, "GET", key=None))
    assert contract.wrong_method("GET, HEAD").is_kept_by(ask(grouped, ALL + path, "POST"))
    assert upstream.requests == []


def test_health_of_an_upstream_that_is_away_is_the_502_of_a_request(
    fleet: Fleet, gateway_loop: str, upstream: ScriptedUpstream
) -> None:
    away = scene.config("http://127.0.0.1:1").replace("paused}", "paused, endpoints: [native]}")
    gateway = fleet.borrow(gateway_loop, away.replace("ready}", "ready, endpoints: [native]}"))
    assert gateway.log.wait_for("upstream")
    assert contract.UNREACHABLE.is_kept_by(ask(gateway, f"{scene.BASE}/health", "GET"))
