"""An upstream breaks off: its client sees a cut, in the protocol's own words, and never an end that looks whole."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.harness import scene
from tests.harness.patience import PATIENCE
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import DONE
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import Closed, Response, request

CUT = "The model endpoint broke off in the middle of its answer."
SILENT = "The model endpoint fell silent in the middle of its answer."


@dataclass(frozen=True)
class Speech:
    """How an endpoint streams: an event, the one with the reason to stop, and how it says that something broke."""

    path: str
    event: bytes
    stop: bytes
    error: bytes


def _openai(path: str, event: bytes, stop: bytes) -> Speech:
    return Speech(path, event, stop, b'data: {"error":{"type":"%b","message":"%b"}}\n\n')


SPEECHES = [
    _openai(
        "/v1/chat/completions",
        'data: {"choices":[{"delta":{"content":"日本語"}}]}\n\n'.encode(),
        b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n',
    ),
    _openai(
        "/v1/completions",
        b'data: {"choices":[{"text":"word "}]}\n\n',
        b'data: {"choices":[{"text":"","finish_reason":"stop"}]}\n\n',
    ),
    _openai(
        "/v1/responses",
        b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"word "}\n\n',
        b'event: response.output_text.done\ndata: {"type":"response.output_text.done"}\n\n',
    ),
    Speech(
        "/v1/messages",
        b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"word "}}\n\n',
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\n',
        b'event: error\ndata: {"type":"error","error":{"type":"%b","message":"%b"}}\n\n',
    ),
]

# What was sent before it broke, and what the gateway adds to finish the line.
MOMENTS: dict[str, Callable[[Speech], tuple[bytes, bytes]]] = {
    "after an event": lambda speech: (speech.event * 3, b""),
    "after the reason to stop": lambda speech: (speech.event + speech.stop, b""),
    "within an event": lambda speech: (speech.event * 2 + speech.event[:-12], b"\n\n"),
    "within a character": lambda speech: (speech.event + speech.event.partition("本".encode())[0] + b"\xe6", b"\n\n"),
    "between a line and the blank one": lambda speech: (speech.event + speech.event[:-1], b"\n"),
    "after a CRLF": lambda speech: ((speech.event + speech.event[:-1]).replace(b"\n", b"\r\n"), b"\n"),
    "before an event": lambda _: (b": \n\n", b""),
}


def _fin(visit: Visit) -> None:
    visit.close()


def _rst(visit: Visit) -> None:
    visit.reset()


def _garbage(visit: Visit) -> None:
    visit.send(b"this is no chunk\r\n")
    visit.wait_until_left()


def _end_properly(visit: Visit) -> None:
    visit.chunk(b"")


@pytest.mark.parametrize("breaks", [_fin, _rst, _garbage, _end_properly])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("speech", SPEECHES, ids=[speech.path for speech in SPEECHES])
def test_a_stream_that_breaks_ends_in_the_protocols_error_event(
    gateway: GatewayProcess,
    upstream: ScriptedUpstream,
    speech: Speech,
    moment: str,
    breaks: Callable[[Visit], None],
) -> None:
    said, finish = MOMENTS[moment](speech)

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        visit.chunk(said)
        assert heard.wait(PATIENCE)
        breaks(visit)

    heard = threading.Event()
    with upstream.playing(script), gateway.connect() as client:
        client.send(request(scene.BASE + speech.path, key=scene.KEY, body=scene.BODY))
        assert client.read_head().startswith(b"HTTP/1.1 200 ")
        first = client.read_some()
        heard.set()
        rest = client.read_to_end()
    body, whole = _unchunked(first + rest)
    error = speech.error % (b"api_error", CUT.encode())
    assert body == said + finish + error
    assert not whole, "the final chunk says that the answer is complete"
    assert len(upstream.requests) == 1


def _unchunked(wire: bytes) -> tuple[bytes, bool]:
    """A chunked body and whether its last chunk came."""
    body = b""
    while wire:
        size, _, rest = wire.partition(b"\r\n")
        if int(size, 16) == 0:
            return body, True
        body += rest[: int(size, 16)]
        wire = rest[int(size, 16) + 2 :]
    return body, False


def test_every_error_event_is_json_on_one_line() -> None:
    for speech in SPEECHES:
        lines = (speech.error % (b"api_error", CUT.encode())).decode().strip().splitlines()
        assert json.loads(lines[-1].removeprefix("data: "))


# --- answers that are no streams, or are framed otherwise


def answer_of(gateway: GatewayProcess, upstream: ScriptedUpstream, *pieces: bytes, reset: bool = False) -> Response:
    """What a client gets of an upstream that sends these bytes and breaks off."""

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.send(*pieces)
        if reset:
            visit.reset()
        else:
            visit.close()

    with upstream.playing(script):
        return gateway.ask(request(scene.CHAT, key=scene.KEY, body=scene.BODY))


def test_a_json_answer_shorter_than_its_length_is_cut_and_nothing_is_added(
    gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    response = answer_of(gateway, upstream, head, b'{"half":')
    assert (response.status, response.whole) == (200, False)
    assert response.body == b""  # the reader gives up what it has: 8 bytes of 1000 are no answer


def test_a_json_answer_without_its_last_chunk_is_cut_nothing_is_added(
    gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    response = answer_of(gateway, upstream, head, b'8\r\n{"half":\r\n')
    assert (response.status, response.whole, response.body) == (200, False, b'{"half":')


def test_a_stream_without_framing_that_is_closed_is_whole(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    response = answer_of(gateway, upstream, head, SPEECHES[0].event + DONE)
    assert (response.whole, response.body) == (True, SPEECHES[0].event + DONE)


def test_an_answer_that_breaks_before_its_body_is_a_502(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    response = answer_of(gateway, upstream, head)
    assert response.status in {200, 502}  # 200 only if the close came so late that the head had been passed on
    assert response.status == 502 or not response.whole


def test_a_client_of_http_1_0_sees_a_reset_where_there_is_no_framing(
    gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    def script(visit: Visit) -> None:
        visit.read_body()
        visit.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n"
        )
        visit.wait_until_left(0.1)
        visit.reset()

    with upstream.playing(script), gateway.connect() as client:
        client.send(request(scene.CHAT, key=scene.KEY, body=scene.BODY, version="HTTP/1.0"))
        client.read_head()
        assert client.read_some() == b"12345"
        with pytest.raises(Closed, match="reset"):
            client.read_some()


# --- silence


def test_a_stream_that_falls_silent_ends_in_the_error_event(
    impatient_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    speech = SPEECHES[0]

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        visit.chunk(speech.event)
        assert visit.wait_until_left()

    with upstream.playing(script):
        response = impatient_gateway.ask(request(scene.CHAT, key=scene.KEY, body=scene.BODY))
    assert not response.whole
    assert response.body == speech.event + speech.error % (b"timeout_error", SILENT.encode())


def test_a_stream_may_not_be_silent_for_as_long_as_its_first_byte_may_take(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    def script(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        visit.chunk(SPEECHES[0].event)
        assert visit.wait_until_left()

    gateway = start_gateway(scene.config(upstream.url, "timeouts: {first_byte: 600, silence: 0.3}"))
    with upstream.playing(script):
        response = gateway.ask(request(scene.CHAT, key=scene.KEY, body=scene.BODY))
    assert SILENT.encode() in response.body


@pytest.mark.slow
def test_the_wait_of_a_request_begins_with_it_not_with_the_one_before(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    waits: list[float] = []

    def script(visit: Visit) -> None:
        visit.read_body()
        begun = time.monotonic()
        assert visit.wait_until_left()
        waits.append(time.monotonic() - begun)

    gateway = start_gateway(scene.config(upstream.url, "timeouts: {first_byte: 2, silence: 2}"))
    for _ in range(2):
        assert gateway.ask(request(scene.CHAT, key=scene.KEY, body=scene.BODY)).status == 200
        time.sleep(1)  # of the 2 s that the connection's silence was watched for
        with upstream.playing(script):
            assert gateway.ask(request(scene.CHAT, key=scene.KEY, body=scene.BODY)).status == 504
    assert all(waited > 1.9 for waited in waits)
    assert len({seen.connection for seen in upstream.requests}) == 2


def test_no_answer_at_all_is_a_504_and_the_upstream_is_let_go(
    impatient_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    def script(visit: Visit) -> None:
        visit.read_body()
        assert visit.wait_until_left()

    with upstream.playing(script):
        response = impatient_gateway.ask(request(scene.CHAT, key=scene.KEY, body=scene.BODY))
    assert response.status == 504
    assert len(upstream.requests) == 1


# --- a request is sent once


@pytest.mark.parametrize("breaks", [_fin, _rst])
def test_a_request_that_was_received_is_never_sent_again(
    gateway: GatewayProcess, upstream: ScriptedUpstream, breaks: Callable[[Visit], None]
) -> None:
    assert gateway.ask(request(scene.CHAT, key=scene.KEY, body=scene.BODY)).status == 200  # leaves a connection idle

    def script(visit: Visit) -> None:
        visit.read_body()
        breaks(visit)

    with upstream.playing(script):
        assert gateway.ask(request(scene.CHAT, key=scene.KEY, body=scene.BODY)).status == 502
    assert [seen.connection for seen in upstream.requests] == [upstream.requests[0].connection] * 2


def test_an_idle_connection_that_is_closed_costs_nobody_a_request(
    gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    def answer_and_close(visit: Visit) -> None:
        visit.read_body()
        visit.answer()
        visit.close()

    for _ in range(20):
        with upstream.playing(answer_and_close):
            assert gateway.ask(request(scene.CHAT, key=scene.KEY, body=scene.BODY)).status == 200
            assert upstream.wait_for(lambda upstream: upstream.busy == 0)  # the close has been sent
    assert len(upstream.requests) == 20
