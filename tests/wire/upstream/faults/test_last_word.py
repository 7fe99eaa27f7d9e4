"""A stream that ends properly without the last word of its protocol is broken, and its client is shown so.

A llama-server in router mode ends one like that when the server behind it dies: its own words, then a proper end.
"""

import json

import pytest

from tests.harness import contract
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.events_one_by_one import CUT, OneByOne, events
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import DONE, EVENT, chat, says

PROXY_ERROR = b"proxy error: Failed to read connection"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
COMPLETED = b'event: response.completed\ndata: {"type":"response.completed","response":{"text":"%b"}}\n\n'
LAST_WORDS = {
    "/v1/chat/completions": DONE,
    "/v1/completions": DONE,
    "/v1/messages": b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    "/v1/responses": COMPLETED % (b"word " * 200_000),
}
OWN_ERROR = b'data: {"error":{"code":500,"message":"Compute error.","type":"server_error"}}\n\n'


def chunks(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


@pytest.mark.parametrize(("path", "last_word"), LAST_WORDS.items(), ids=LAST_WORDS)
def test_a_stream_with_its_last_word_comes_down_as_it_is(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, path: str, last_word: bytes
) -> None:
    with upstream.playing(says(HEAD, chunks(EVENT, last_word))):
        response = relay_gateway.ask(chat(path=path))
    assert (response.body, response.whole) == (EVENT + last_word, True)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("path", LAST_WORDS)
def test_a_stream_whose_server_died_behind_a_router_is_broken(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, path: str, together: bool
) -> None:
    """Whether it comes in one read, head and all, or in several."""
    start, wire = relay_gateway.mark_log(), chunks(EVENT, PROXY_ERROR)
    script = says(HEAD + wire) if together else says(HEAD, wire[:30], wire[30:-5], wire[-5:])
    with upstream.playing(script):
        response = relay_gateway.ask(chat("demo", "x-request-id: routed", path=path))
    assert response.body.startswith(EVENT + PROXY_ERROR + b"\n\n")
    assert b"The model endpoint broke off in the middle of its answer." in response.body
    assert not response.whole
    line = json.loads(relay_gateway.log.wait_for(r'\{.*"id":"routed".*\}', start=start)[0])
    assert (line["ending"], line["cause"]) == (
        "upstream_cut",
        "it ended its stream without the last word of its protocol",
    )


def test_events_past_the_parser_need_a_last_word_too(relay_gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    told = OneByOne(events(60), lambda visit: visit.chunk(b""))
    with upstream.playing(told), relay_gateway.connect() as client:
        client.send(chat())
        assert list(told.heard_by(client)) == told.events
        assert client.read_chunk() == CUT
        assert client.is_closed()


@pytest.mark.parametrize("pieces", [(b"x" * 5000 + DONE,), (b"x" * 5000, DONE)], ids=["one piece", "two"])
def test_a_last_word_that_is_no_event_of_its_own_is_none(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, pieces: tuple[bytes, ...]
) -> None:
    with upstream.playing(says(HEAD, chunks(EVENT)[:-5], *(chunks(piece)[:-5] for piece in pieces), b"0\r\n\r\n")):
        assert not relay_gateway.ask(chat()).whole


def test_an_error_of_the_servers_own_is_a_last_word(relay_gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    with upstream.playing(says(HEAD, chunks(EVENT, OWN_ERROR))):
        response = relay_gateway.ask(chat())
    assert (response.body, response.whole) == (EVENT + OWN_ERROR, True)


def test_a_stream_of_nothing_is_a_502(relay_gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    with upstream.playing(says(HEAD + chunks())):
        assert contract.UNREACHABLE.is_kept_by(relay_gateway.ask(chat()))


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: br\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n",
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/event-stream\r\n",
    ],
    ids=["compressed", "no stream", "an error"],
)
def test_what_is_no_stream_that_can_be_read_needs_no_last_word(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, head: bytes
) -> None:
    with upstream.playing(says(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks(EVENT))):
        response = relay_gateway.ask(chat())
    assert (response.body, response.whole) == (EVENT, True)


def test_a_connection_whose_stream_had_no_last_word_is_not_used_again(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    relay_gateway.ask(chat())
    with upstream.playing(says(HEAD, chunks(EVENT))):
        relay_gateway.ask(chat())
    relay_gateway.ask(chat())
    first, broken, last = (received.connection for received in upstream.requests)
    assert (first == broken, broken == last) == (True, False)
