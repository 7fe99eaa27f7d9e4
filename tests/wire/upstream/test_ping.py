"""A stream that is silent is kept alive where the deployment says so: between its events, and otherwise untouched."""

import threading
import time
from dataclasses import dataclass, replace

import pytest

from tests.harness.patience import PATIENCE
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.backlog import Backlog, marked, stalling_client
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import DONE, EVENT, PING, STEADY, chat
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import Response

COMMENT = b":\n\n"
ANTHROPIC_PING = b'event: ping\ndata: {"type":"ping"}\n\n'
MESSAGE_STOP = b"event: message_stop\ndata: {}\n\n"
SILENCE = PING * 3.5
SPEECHES = {
    "/v1/chat/completions": COMMENT,
    "/v1/completions": COMMENT,
    "/v1/responses": COMMENT,
    "/v1/messages": ANTHROPIC_PING,
}


@dataclass(frozen=True)
class Told:
    """A script that tells a stream, piece by piece, with silences between: of some time, or until `go_on` is set."""

    pieces: tuple[bytes, ...]
    head: bytes = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    silence: float = SILENCE
    chunked: bool = True
    go_on: threading.Event | None = None

    def __call__(self, visit: Visit) -> None:
        visit.read_body()
        visit.send(self.head)
        for number, piece in enumerate(self.pieces):
            if number and self.go_on is not None:
                assert self.go_on.wait(PATIENCE)
            elif number:
                time.sleep(self.silence)
            if self.chunked:
                visit.chunk(piece)
            else:
                visit.send(piece)
        if self.chunked:
            visit.chunk(b"")
        else:
            visit.close()


def heard(gateway: GatewayProcess, upstream: ScriptedUpstream, told: Told, deployment: str = "pinged") -> Response:
    """What a client of chat completions hears of it."""
    with upstream.playing(told):
        return gateway.ask(chat(deployment))


def heard_after_a_ping(
    gateway: GatewayProcess, upstream: ScriptedUpstream, told: Told, path: str = "/v1/chat/completions"
) -> list[bytes]:
    """The pieces that a client hears of two: the silence between them lasts until it has heard something in it."""
    go_on, begun = threading.Event(), time.monotonic()
    with upstream.playing(replace(told, go_on=go_on)), gateway.connect() as client:
        client.send(chat("pinged", path=path))
        client.read_head()
        pieces = [client.read_chunk(), client.read_chunk()]
        go_on.set()
        pieces += iter(client.read_chunk, b"")
    assert len(pieces) - len(told.pieces) <= (time.monotonic() - begun) / PING
    return pieces


@pytest.mark.parametrize(("path", "ping"), SPEECHES.items())
def test_a_silence_between_events_is_filled_with_the_protocols_ping(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, path: str, ping: bytes
) -> None:
    first, *between, last = heard_after_a_ping(relay_gateway, upstream, Told((EVENT, EVENT + DONE)), path)
    assert (first, last) == (EVENT, EVENT + DONE)
    assert set(between) == {ping}


BETWEEN = {
    "LF": EVENT,
    "CRLF": EVENT.replace(b"\n", b"\r\n"),
    "CR": EVENT.replace(b"\n", b"\r"),
}
WITHIN = {
    "within a line": (EVENT[:-9], EVENT[-9:]),
    "after a line": (EVENT[:-1], b"\n"),
    "after a line's CR": ((EVENT[:-2] + b"\r"), b"\n\r\n"),
    "after a line's CRLF": ((EVENT[:-2] + b"\r\n"), b"\r\n"),
    "within a character": (b"data: \xe6\x97", b"\xa5\n\n"),
    "between two fields": (b"event: a\n", b"data: b\n\n"),
}


@pytest.mark.parametrize("event", BETWEEN.values(), ids=BETWEEN)
def test_a_ping_comes_whatever_ends_the_lines(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, event: bytes
) -> None:
    first, *between, last = heard_after_a_ping(relay_gateway, upstream, Told((event, event + DONE)))
    assert (first, last) == (event, event + DONE)
    assert set(between) == {COMMENT}


@pytest.mark.slow
@pytest.mark.parametrize(("begun", "rest"), WITHIN.values(), ids=WITHIN)
def test_no_ping_comes_within_an_event(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, begun: bytes, rest: bytes
) -> None:
    response = heard(relay_gateway, upstream, Told((EVENT + begun, rest + DONE), silence=PING * 2.5))
    assert response.pieces == (EVENT + begun, rest + DONE)


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
LONG = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n"
NOT_TO_BE_FILLED = {
    "no stream": Told((EVENT, DONE), b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + CHUNKED),
    "no type": Told((EVENT, DONE), b"HTTP/1.1 200 OK\r\n" + CHUNKED),
    "of a stated length": Told((EVENT, DONE), LONG % len(EVENT + DONE), chunked=False),
    "compressed": Told(
        (b"\x1f\x8b\n\n", b"\x00\n\n"),
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n" + CHUNKED,
    ),
    "it talks often enough": Told((EVENT,) * 25 + (DONE,), silence=STEADY / 20),
}


@pytest.mark.slow
@pytest.mark.parametrize("told", NOT_TO_BE_FILLED.values(), ids=NOT_TO_BE_FILLED)
def test_nothing_is_added_where_it_does_not_belong(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, told: Told
) -> None:
    response = heard(relay_gateway, upstream, told, "pinged-late" if told.silence < SILENCE else "pinged")
    assert response.whole
    assert response.body == b"".join(told.pieces)


def test_nothing_is_sent_before_the_stream_has_begun(relay_gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    def late(visit: Visit) -> None:
        visit.read_body()
        time.sleep(PING * 2)
        visit.begin_stream()
        time.sleep(PING * 2)
        visit.chunk(EVENT + DONE)
        visit.chunk(b"")

    with upstream.playing(late):
        assert relay_gateway.ask(chat("pinged")).pieces == (EVENT + DONE,)


def test_nothing_is_added_by_default(relay_gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    assert heard(relay_gateway, upstream, Told((EVENT, DONE)), "demo").pieces == (EVENT, DONE)


def test_a_stream_until_the_close_is_kept_alive_too(relay_gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    told = Told((EVENT, DONE), b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", chunked=False)
    first, *between, last = heard_after_a_ping(relay_gateway, upstream, told)
    assert (first, last) == (EVENT, DONE)
    assert set(between) == {COMMENT}


@pytest.mark.slow
def test_a_ping_is_no_sign_of_life_of_the_upstream(relay_gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    def fall_silent(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        visit.chunk(EVENT)
        visit.wait_until_left()

    with upstream.playing(fall_silent):
        response = relay_gateway.ask(chat("pinged-steady"))
    assert not response.whole
    assert response.body.startswith(EVENT + COMMENT)
    assert response.body.endswith(b'"The model endpoint fell silent in the middle of its answer."}}\n\n')


@pytest.mark.slow
def test_pings_do_not_pile_up_for_a_client_that_reads_nothing(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    """It stalls between two events, where a ping might be sent, for several times the silence that asks for one."""
    backlog = Backlog(relay_gateway, upstream.port)
    with upstream.playing(backlog), stalling_client(relay_gateway) as client:
        client.send(chat("pinged"))
        client.read_head()
        unread = backlog.stalled.get(timeout=PATIENCE)
        backlog.go_on.set()
        body = client.read_to_last_chunk()
    before = body.partition(marked(unread))[0]
    assert before.removesuffix(COMMENT).endswith(EVENT), "pings between the last event that was read and the next"


@pytest.mark.slow
@pytest.mark.parametrize(("path", "ping"), SPEECHES.items())
def test_a_comment_of_the_servers_own_is_no_event_to_ping_after(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, path: str, ping: bytes
) -> None:
    """An Anthropic client takes nothing before `message_start`, however long a prompt keeps the server silent."""
    with upstream.playing(Told((COMMENT, COMMENT, EVENT, DONE + MESSAGE_STOP))):
        pieces = relay_gateway.ask(chat("pinged", path=path)).pieces
    assert pieces[:3] == (COMMENT, COMMENT, EVENT)
    assert ping in pieces[3:]
