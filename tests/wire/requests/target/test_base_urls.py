"""A base URL one slip off: still 404, and the message ends with the right one for the client that asked."""

import pytest

from tests.harness import contract, scene
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.wire_client import Response, request

V1, BARE = f"{scene.BASE}/v1", scene.BASE
IS_A_BASE = f" It is a base URL: that of an OpenAI client ends in {V1}, that of an Anthropic client in {BARE}"
SLIPS = {
    "/chat/completions": V1,
    "/responses": V1,
    "/models": V1,
    "/models/tiny": V1,
    "/messages": V1,  # of @ai-sdk/anthropic, which adds no /v1
    "/audio/transcriptions": V1,
    "/v1/v1/chat/completions": BARE,
    "/v1/v1/messages": BARE,
    "/v1/v1/models": BARE,
    "//v1/messages": BARE,
    "///v1/messages": BARE,
    "//v1/chat/completions": BARE,
    "/v1//chat/completions": V1,
    "//infill": BARE,
    "/v1/infill": BARE,
    "/v1/props": BARE,
    "/v1/chat/completions/": V1,
    "/v1/messages/": BARE,
    "/v1/chat/completions/chat/completions": V1,
    "/v1/messages/v1/messages": BARE,
    "/infill/infill": BARE,
}


def post(gateway: GatewayProcess, target: str, *, key: str | None = scene.KEY, method: str = "POST") -> Response:
    body = scene.BODY if method == "POST" else None
    return gateway.ask(request(target, method=method, key=key, body=body), to_head=method == "HEAD")


def test_the_right_base_url_ends_the_message(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    for path, base in SLIPS.items():
        for method in ("POST", "GET"):
            said = post(gateway, scene.BASE + path, method=method)
            assert contract.one_slip_off(base).is_kept_by(said), path
    assert upstream.requests == []


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
def test_a_base_url_itself_says_that_it_is_one(gateway: GatewayProcess, upstream: ScriptedUpstream, path: str) -> None:
    said = post(gateway, scene.BASE + path).json()["error"]["message"]
    assert said == contract.NO_SUCH_PATH.message + IS_A_BASE
    assert post(gateway, scene.BASE + path, method="HEAD", key=None).status == 204
    assert upstream.requests == []


@pytest.mark.parametrize("path", ["/slots", "/v1/nothing", "/v1/v1/v1/models", "/V1/chat/completions", "/v1/chat"])
def test_more_than_one_slip_is_guessed_at_by_nobody(gateway: GatewayProcess, path: str) -> None:
    assert contract.NO_SUCH_PATH.is_kept_by(post(gateway, scene.BASE + path))


def test_only_deployments_of_the_account_are_named(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    for base in (scene.FOREIGN, "/api/gguf/missing", f"/api/gguf/{scene.TWIN_KEY}"):
        assert contract.NO_SUCH_PATH.is_kept_by(post(gateway, f"{base}/chat/completions"))
    assert contract.BAD_KEY.is_kept_by(post(gateway, f"{scene.BASE}/chat/completions", key=None))
    assert contract.one_slip_off(f"{scene.PAUSED}/v1").is_kept_by(post(gateway, f"{scene.PAUSED}/chat/completions"))
    assert upstream.requests == []


def test_log_and_page_name_the_path_that_was_asked_for(gateway: GatewayProcess) -> None:
    secret = "gw_CANARYKEYpasted000000000000000000000000000001"
    for path in ("/v1/v1/messages", f"/v1/{secret}"):
        post(gateway, scene.BASE + path)
    page = gateway.ask(request("/", method="GET", host=f"127.0.0.1:{gateway.port}")).body.decode()
    assert "<code>POST /api/gguf/demo/v1/v1/messages</code>" in page
    assert "<code>POST /api/gguf/demo/v1/gw_…</code>" in page
    gateway.log.wait_for("POST /api/gguf/demo/v1/v1/messages")


def test_the_page_repeats_no_path_that_came_without_a_key(gateway: GatewayProcess) -> None:
    post(gateway, "/wp-admin/setup.php", key=None)
    post(gateway, f"{scene.BASE}/wp-admin/setup.php", key=None)
    page = gateway.ask(request("/", method="GET", host=f"127.0.0.1:{gateway.port}")).body
    assert b"setup.php" not in page
