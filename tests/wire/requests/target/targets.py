"""Requests for a target, and what becomes of those that are refused."""

from tests.harness import contract, scene
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.wire_client import request


def get(target: str | bytes, *headers: str, key: str | None = scene.KEY, method: str = "GET") -> bytes:
    return request(target, *headers, method=method, key=key)


def is_nothing(
    gateway: GatewayProcess, upstream: ScriptedUpstream, target: str, said: contract.Promise = contract.NO_SUCH_PATH
) -> bool:
    """Whether a target below /api/gguf is 404 by any method, 401 without a key, and touches no upstream."""
    for method, body in (("GET", None), ("POST", scene.BODY), ("DELETE", None)):
        asked = request(target, method=method, key=scene.KEY, body=body)
        assert said.is_kept_by(gateway.ask(asked)), (method, target)
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
