"""A client that leaves in the very moment in which its requests come: each of them has one line in the log."""

import signal
from collections import Counter
from collections.abc import Callable

import pytest

from tests.harness import scene
from tests.harness.patience import wait_until
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.sockets.wire_client import WireClient, chunked, request

Leave = tuple[bool, Callable[[WireClient], None]]  # whether it has had an answer before, and how it leaves
LEAVE: dict[str, Leave] = {
    "closed": (True, WireClient.close),
    "half closed": (True, WireClient.half_close),
    "closed, new": (False, WireClient.close),
}


def posted(name: str, *headers: str, path: str = "/v1/chat/completions", key: str = scene.KEY) -> bytes:
    return chat("demo", f"x-request-id: {name}", *headers, path=path, key=key)


def in_chunks(name: str) -> bytes:
    head = chat("demo", f"x-request-id: {name}", "Transfer-Encoding: chunked", body=None)
    return head + chunked(scene.BODY)


# What comes, and the names of its requests.
SENT = {
    "plain": (posted("a"), "a"),
    "plain, of nobody": (posted("a", key="gw_CANARYKEYnobody"), "a"),
    "plain, without a body": (request(scene.MODELS, "x-request-id: a", key=scene.KEY, method="GET"), "a"),
    "plain, and not whole": (posted("a")[:-3], "a"),
    "several plain ones": (posted("a") + posted("b") + posted("c"), "abc"),
    "several, the last not whole": (posted("a") + posted("b")[:-3], "ab"),
    "with a query": (posted("a", path="/v1/chat/completions?x=y!"), "a"),
    "in chunks": (in_chunks("a"), "a"),
    "in chunks, and not whole": (in_chunks("a")[:-9], "a"),
    "several in chunks": (in_chunks("a") + in_chunks("b") + in_chunks("c"), "abc"),
    "of the gateway's own": (request("/healthz", "x-request-id: a", method="GET"), "a"),
    "of nothing served": (request("/no/such/path", "x-request-id: a", method="GET"), "a"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "names"), SENT.values(), ids=SENT)
@pytest.mark.parametrize("leave", LEAVE.values(), ids=LEAVE)
def test_requests_that_come_with_the_end_have_a_line_each(
    gateway: GatewayProcess, upstream: ScriptedUpstream, sent: bytes, names: str, leave: Leave
) -> None:
    start = gateway.mark_log()
    send_and_leave(gateway, sent, leave)
    seen = Counter(name for line in gateway.log.lines[start:] for name in names if f'"id":"{name}"' in line)
    assert seen == Counter(names), gateway.log.since(start)


@pytest.mark.parametrize("leave", LEAVE.values(), ids=LEAVE)
def test_bytes_that_are_no_request_and_come_with_the_end_have_a_line(gateway: GatewayProcess, leave: Leave) -> None:
    start = gateway.mark_log()
    send_and_leave(gateway, b"nonsense\r\n\r\n", leave)
    assert sum('"unreadable"' in line for line in gateway.log.lines[start:]) == 1


def send_and_leave(gateway: GatewayProcess, sent: bytes, leave: Leave) -> None:
    """Request and end are both there when the gateway looks, because it is stopped meanwhile."""
    known, leaves = leave
    with gateway.connect() as client:
        if known:
            assert client.ask(request("/healthz", method="GET")).status == 200
            gateway.wait_until_idle()
        gateway.send_signal(signal.SIGSTOP)
        client.send(sent)
        leaves(client)
        gateway.send_signal(signal.SIGCONT)
        wait_until(lambda: gateway.descriptors().clients == 0)
    gateway.mark_log()
