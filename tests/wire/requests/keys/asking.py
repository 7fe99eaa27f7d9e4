"""Requests with one key or another, and whether they are refused."""

from tests.harness import contract, scene
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.wire_client import request


def ask_models(*headers: str | bytes, target: str = scene.MODELS, key: str | bytes | None = None) -> bytes:
    return request(target, *headers, method="GET", key=key)


def is_refused(gateway: GatewayProcess, upstream: ScriptedUpstream, *headers: str | bytes) -> bool:
    """Whether these headers get the 401 on an endpoint, and nothing gets through."""
    kept = contract.BAD_KEY.is_kept_by(gateway.ask(request(scene.CHAT, *headers, body=scene.BODY)))
    return kept and upstream.requests == []
