"""Clients that leave while the gateway reads nothing from them, or while they have not read what it sent."""

import threading
from collections.abc import Callable

import pytest

from tests.harness import scene
from tests.harness.patience import PATIENCE, wait_until_blocked
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import EVENT, chat, says
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import Closed, WireClient

LENGTH = 64 << 20
LONG = f"Content-Length: {LENGTH}"
PIECE = b"x" * (32 << 10)  # less than the kernel takes for a reader that pauses: behind more, no end would arrive
Leave = Callable[[WireClient], None]
LEAVE: list[Leave] = [WireClient.close, WireClient.reset]
USAGE = (
    b'event: message_start\ndata: {"type":"message_start","message":{"usage":'
    b'{"cache_read_input_tokens":0,"input_tokens":33,"output_tokens":1}}}\n\n'
)


def hold(visit: Visit) -> None:
    """A script: never answer."""
    visit.read_body()
    assert visit.wait_until_left(10)


def send_until_unread(gateway: GatewayProcess, client: WireClient) -> None:
    """Send more and more of a body, until the gateway reads it no longer."""
    for _ in range(LENGTH // len(PIECE) - 1):
        client.send(PIECE)
        if gateway.is_behind(client):
            return
    raise AssertionError("it reads on and on")


@pytest.mark.slow
@pytest.mark.parametrize("leave", LEAVE)
def test_who_leaves_the_line_with_a_long_body_never_reaches_the_upstream(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, leave: Leave
) -> None:
    line = relay_gateway.mark_log()
    with upstream.playing(hold), relay_gateway.connect() as first, relay_gateway.connect() as second:
        first.send(chat("narrow", body=b"first"))
        assert upstream.wait_for(lambda upstream: any(seen.body == b"first" for seen in upstream.requests))
        second.send(chat("narrow", "x-request-id: second", LONG, body=None))
        send_until_unread(relay_gateway, second)
        leave(second)
        relay_gateway.log.wait_for('"second".*client_left', start=line)
    assert [seen.body for seen in upstream.requests] == [b"first"]


@pytest.mark.slow
@pytest.mark.parametrize("leave", LEAVE)
def test_leaving_while_the_upstream_reads_nothing_frees_the_connection(
    gateway: GatewayProcess, upstream: ScriptedUpstream, leave: Leave
) -> None:
    line = gateway.mark_log()
    is_over = threading.Event()

    def read_nothing(visit: Visit) -> None:
        is_over.wait(PATIENCE)
        visit.close()

    with upstream.playing(read_nothing), gateway.connect() as client:
        try:
            client.send(chat("demo", "x-request-id: stuck", LONG, body=None))
            send_until_unread(gateway, client)
            leave(client)
            gateway.log.wait_for('"stuck".*client_left', start=line)
        finally:
            is_over.set()


@pytest.mark.slow
@pytest.mark.parametrize("leave", LEAVE)
def test_who_has_sent_far_ahead_and_leaves_frees_its_connection(
    gateway: GatewayProcess, upstream: ScriptedUpstream, leave: Leave
) -> None:
    line = gateway.mark_log()
    with upstream.playing(hold), gateway.connect() as client:
        client.send(chat("demo", "x-request-id: ahead", body=b"first"))
        assert upstream.wait_for(lambda upstream: any(seen.body == b"first" for seen in upstream.requests))
        client.send(chat("demo", LONG, body=None))
        send_until_unread(gateway, client)
        leave(client)
        gateway.log.wait_for('"ahead".*client_left', start=line)
        assert upstream.wait_for(ScriptedUpstream.is_quiet)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("way", ["fast", "long"])
def test_closing_a_half_with_a_backlog_frees_the_upstream_connection(
    gateway: GatewayProcess, upstream: ScriptedUpstream, way: str
) -> None:
    sent = [0]

    def flood(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        while True:
            visit.chunk(EVENT * 1000)
            sent[0] += 1

    gateway.ask(chat())  # the fast path takes a connection that is open
    with upstream.playing(flood), gateway.connect() as client:
        client.send(chat("demo", *(["TE: x"] if way == "long" else [])))
        wait_until_blocked(sent)
        client.half_close()
        assert upstream.wait_for(ScriptedUpstream.is_quiet)
        rest = client.read_to_end()
    assert EVENT in rest
    assert not rest.endswith(b"0\r\n\r\n")


def test_a_body_until_the_close_is_reset_if_its_client_closes_its_half(
    gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    """Closed properly, the part that has come would look whole."""
    script = says(b"HTTP/1.0 200 OK\r\n\r\npart", then=lambda visit: visit.wait_until_left())
    with upstream.playing(script), gateway.connect() as client:
        client.send(chat().replace(b"HTTP/1.1", b"HTTP/1.0"))
        client.read_head()
        client.half_close()
        with pytest.raises(Closed) as closed:
            client.read_to_last_chunk()
    assert closed.value.reset


@pytest.mark.parametrize("way", ["fast", "long"])
def test_the_tokens_of_a_stream_are_noted_although_its_client_left(
    gateway: GatewayProcess, upstream: ScriptedUpstream, way: str
) -> None:
    line = gateway.mark_log()

    def talk(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        visit.chunk(USAGE)
        assert visit.wait_until_left()

    gateway.ask(chat())  # the fast path takes a connection that is open
    with upstream.playing(talk), gateway.connect() as client:
        extra = ["TE: x"] if way == "long" else []
        client.send(chat("demo", f"x-request-id: tokens-{way}", *extra, path="/v1/messages"))
        client.read_head()
        assert client.read_chunk() == USAGE
        client.close()
        assert gateway.log.wait_for(rf'"tokens-{way}".*client_left.*"tokens_in": ?33', start=line)


@pytest.mark.slow
def test_the_wait_for_the_first_byte_begins_after_the_requests_last(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    limits = "timeouts: {first_byte: 2, upload_silence: 100}"
    gateway, body = start_gateway(scene.config(upstream.url, limits)), b"x" * (1 << 20)
    head, data = chat(body=body).split(b"\r\n\r\n", 1)
    with gateway.connect() as client:
        client.send(head + b"\r\n\r\n" + data[: 600 << 10])
        client.socket.settimeout(2.5)  # more than the upstream has
        with pytest.raises(TimeoutError):
            client.read_head()
        client.send(data[600 << 10 :])
        client.socket.settimeout(PATIENCE)
        assert client.read_response().status == 200
    assert upstream.only_request.body == body
