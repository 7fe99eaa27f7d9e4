"""Table H: the name that a request has in the log and in its answer."""

import pytest

from tests.harness import scene
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.wire_client import request

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
