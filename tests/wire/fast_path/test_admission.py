"""One decision is taken on every proxied request, once, whichever way through the gateway it takes."""

import pytest

from tests.harness import scene
from tests.harness.patience import wait_until
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.processes.witness import BODY_BYTES, echo, warm
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.sockets.wire_client import chunked

PLAIN = chat("demo")
_LENGTH = b"Content-Length: %d\r\n\r\n%b" % (len(scene.BODY), scene.BODY)
REQUESTS = {
    "plain": PLAIN,
    "a query": PLAIN.replace(b" HTTP", b"?x=y! HTTP", 1),
    "chunks": PLAIN.replace(_LENGTH, b"Transfer-Encoding: chunked\r\n\r\n" + chunked(scene.BODY)),
    "expectation": PLAIN.replace(b"Content-Length", b"Expect: 100-continue\r\nContent-Length"),
    "HTTP/1.0": PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "a long body": chat("demo", body=b"x" * (BODY_BYTES + 1)),
    "a wrong key": PLAIN.replace(scene.KEY.encode(), b"gw_nobody_knows_this_key"),
    "another's deployment": chat("foreign"),
    "a paused deployment": chat("paused"),
    "nothing listening": chat("dead"),
}


def asked(gateway: GatewayProcess, start: int, requests: int) -> int:
    """How many decisions were taken since, once so many requests have their line in the log."""
    wait_until(lambda: gateway.log.since(start).count('"message":"request"') >= requests, what="a request has no line")
    return gateway.log.since(start).count("witness: asked ")


@pytest.mark.parametrize("data", REQUESTS.values(), ids=REQUESTS.keys())
@pytest.mark.parametrize("idle", [True, False], ids=["idle connection", "none"])
def test_a_request_is_decided_on_once(
    witnessed: GatewayProcess, upstream: ScriptedUpstream, data: bytes, idle: bool
) -> None:
    warm(witnessed, upstream)
    start = witnessed.mark_log()
    with upstream.playing(
        echo if idle else lambda visit: visit.answer(visit.read_body(), "200 OK", b"Connection: close")
    ):
        for number in (1, 2, 3):
            witnessed.ask(data)
            assert asked(witnessed, start, number) == number


def test_requests_sent_together_are_each_decided_on_once(witnessed: GatewayProcess, upstream: ScriptedUpstream) -> None:
    warm(witnessed, upstream)
    start = witnessed.mark_log()
    with upstream.playing(echo), witnessed.connect() as client:
        client.send(PLAIN * 5)
        assert [client.read_response().status for _ in range(5)] == [200] * 5
    assert asked(witnessed, start, 5) == 5
