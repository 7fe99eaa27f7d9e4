"""A proxy on this machine, and the world behind it: its headers keep the operator's pages from both."""

import pytest

from tests.harness import contract, scene
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.wire_client import request

SIGNS = (
    "X-Forwarded-For: 203.0.113.9",
    "X-Forwarded-Host: models.example",
    "x-forwarded-anything: x",
    "Forwarded: for=203.0.113.9",
    "Via: 1.1 proxy",
    "X-Real-IP: 203.0.113.9",
    "CF-Connecting-IP: 203.0.113.9",
    "cf-ray: 7d0a1b2c3d4e5f60-AMS",
    "CDN-Loop: cloudflare",
    "True-Client-IP: 203.0.113.9",
    "X-Envoy-External-Address: 203.0.113.9",
    "X-Amzn-Trace-Id: Root=1-67891233-abcdef012345678912345678",
    "Fly-Client-IP: 203.0.113.9",
    "Tailscale-User-Login: somebody@example.com",
    "X-Request-Start: t=1700000000",
)


@pytest.mark.parametrize("path", ["/", "/events", "/static/status.js", "/metrics"])
@pytest.mark.parametrize("sign", SIGNS)
def test_any_sign_of_a_proxy_hides_them(
    gateway: GatewayProcess, upstream: ScriptedUpstream, path: str, sign: str
) -> None:
    asked = request(path, sign, method="GET", host="localhost")
    assert contract.NO_SUCH_PATH.is_kept_by(gateway.ask(asked))


@pytest.mark.parametrize("sign", SIGNS)
def test_no_sign_of_a_proxy_keeps_a_client_from_its_deployment(
    gateway: GatewayProcess, upstream: ScriptedUpstream, sign: str
) -> None:
    assert gateway.ask(request(scene.CHAT, sign, key=scene.KEY, body=scene.BODY)).status == 200
