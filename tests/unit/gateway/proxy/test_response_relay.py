"""An answer that is cut in the moment in which it ends: what no socket would do twice."""

import asyncio
from typing import cast

import pytest

from gateway.core.deployment import Deployment
from gateway.core.endpoints import ENDPOINTS
from gateway.core.errors import Refusal
from gateway.core.exchange import Ending, Exchange
from gateway.proxy.client_connection import Client, ClientConnection
from gateway.proxy.response_relay import ResponseRelay
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.connection_pool import Upstream
from gateway.proxy.upstream.response_head import ResponseHead

EVENT = b"data: 1\n\n"
STREAM = ResponseHead(200, {b"content-type": b"text/event-stream"}, None, chunked=True, keep_alive=True)


class Wire(asyncio.Transport):
    """Stands for the client's socket: keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


class Line:
    """Stands for the client's connection."""

    writing_paused = False
    answer: object = None

    def __init__(self) -> None:
        self.transport = Wire()

    def send(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    send_with_others = send


class Ended:
    """What an answer reported."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.reports: list[Refusal | None] = []

    def answer(self, *, speaks_http11: bool = True) -> ResponseRelay:
        line = Line()
        self.wire = line.transport
        upstream = Upstream(Deployment("demo", "acme", "http://127.0.0.1:1"))
        client = Client(cast(ClientConnection, line), speaks_http11=speaks_http11)
        endpoint = ENDPOINTS["/v1/chat/completions"]
        answer = ResponseRelay(
            Exchange("id"), endpoint, upstream, UpstreamConnection(), client=client, report=self._report
        )
        answer.head_received(STREAM)
        return answer

    def _report(self, answer: ResponseRelay, refusal: Refusal | None) -> None:
        self.reports.append(refusal)


@pytest.fixture
def ended() -> Ended:
    return Ended()


async def test_what_is_cut_is_not_ended_as_well(ended: Ended) -> None:
    answer = ended.answer()
    answer.body_received(EVENT, False)
    answer.cut()
    answer.body_received(b"", True)  # came in the same turn of the event loop
    assert answer.exchange.ending is Ending.SHUTDOWN
    assert ended.reports == [None]
    assert EVENT in ended.wire.sent
    assert not ended.wire.sent.endswith(b"0\r\n\r\n")
    assert ended.wire.closed


async def test_what_has_ended_is_not_cut_as_well(ended: Ended) -> None:
    answer = ended.answer()
    answer.body_received(EVENT, False)
    answer.body_received(b"", True)
    answer.cut()
    assert answer.exchange.ending is Ending.FINISHED
    assert ended.reports == [None]
    assert ended.wire.sent.endswith(EVENT + b"\r\n0\r\n\r\n")
    assert not ended.wire.closed


async def test_an_answer_that_is_cut_before_it_began_is_a_refusal(ended: Ended) -> None:
    answer = ended.answer()
    answer.body_received(b"", False)
    answer.cut()
    await asyncio.sleep(0)  # the head alone would have been sent in this turn of the event loop
    assert [refusal is not None and refusal.row.status for refusal in ended.reports] == [503]
    assert ended.wire.sent == b""


@pytest.mark.parametrize("speaks_http11", [True, False])
async def test_events_take_the_short_way_to_a_client_that_knows_chunks_once_the_beginning_is_known(
    ended: Ended, speaks_http11: bool
) -> None:
    answer = ended.answer(speaks_http11=speaks_http11)
    answer.body_received(EVENT, False)
    assert answer.connection.passthrough is None
    answer.body_received(EVENT * 300, False)
    assert (answer.connection.passthrough is not None) == speaks_http11
    answer.cut()
    assert answer.connection.passthrough is None
