"""An answer that is cut in the moment in which it ends: what no socket would do twice."""

import asyncio
import gc
import weakref
from typing import cast

import pytest

from gateway.core.deployment import Deployment, Timeouts
from gateway.core.endpoints import ENDPOINTS
from gateway.core.errors import Refusal
from gateway.core.exchange import Ending, Exchange
from gateway.proxy.client_connection import Client, ClientConnection
from gateway.proxy.response_relay import ResponseRelay
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.response_head import checked_head
from tests.harness.pools import pool_of
from tests.harness.sockets.upstream_wire import UpstreamWire

EVENT = b"data: 1\n\n"
DONE = b"data: [DONE]\n\n"
STREAM = checked_head(200, "1.1", [(b"content-type", b"text/event-stream"), (b"transfer-encoding", b"chunked")])


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

    is_backed_up = False
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

    def answer(self, *, speaks_http11: bool = True, ping: float | None = None) -> ResponseRelay:
        line = Line()
        self.wire = line.transport
        upstream = pool_of(Deployment("demo", "acme", "http://127.0.0.1:1", ping=ping))
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
    answer.cut(Ending.SHUTDOWN)
    answer.body_received(b"", True)  # came in the same turn of the event loop
    assert answer.exchange.ending is Ending.SHUTDOWN
    assert ended.reports == [None]
    assert EVENT in ended.wire.sent
    assert not ended.wire.sent.endswith(b"0\r\n\r\n")
    assert ended.wire.closed


async def test_what_has_ended_is_not_cut_as_well(ended: Ended) -> None:
    answer = ended.answer()
    answer.body_received(DONE, False)
    answer.body_received(b"", True)
    answer.cut(Ending.SHUTDOWN)
    assert answer.exchange.ending is Ending.FINISHED
    assert ended.reports == [None]
    assert ended.wire.sent.endswith(DONE + b"\r\n0\r\n\r\n")
    assert not ended.wire.closed


async def test_an_answer_that_is_cut_before_it_began_is_a_refusal(ended: Ended) -> None:
    answer = ended.answer()
    answer.body_received(b"", False)
    answer.cut(Ending.SHUTDOWN)
    await asyncio.sleep(0)  # the head alone would have been sent in this turn of the event loop
    assert [refusal is not None and refusal.row.status for refusal in ended.reports] == [503]
    assert ended.wire.sent == b""


async def test_no_timer_keeps_what_has_ended(ended: Ended) -> None:
    answer = ended.answer(ping=60)
    answer.body_received(EVENT, False)
    remembered = weakref.ref(answer)
    assert answer._pings is not None
    answer.body_received(b"", True)
    del answer
    await asyncio.sleep(0)
    gc.collect()
    assert remembered() is None


@pytest.mark.parametrize("speaks_http11", [True, False])
async def test_events_bypass_the_parser_once_the_beginning_is_known(ended: Ended, speaks_http11: bool) -> None:
    answer = ended.answer(speaks_http11=speaks_http11)
    answer.body_received(EVENT, False)
    assert answer.connection.passthrough is None
    answer.body_received(EVENT * 300, False)
    assert (answer.connection.passthrough is not None) == speaks_http11
    answer.cut(Ending.SHUTDOWN)
    assert answer.connection.passthrough is None


class Clock:
    """The event loop's time, which leaps when it is told to."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ahead, self._real = 0.0, loop.time

    def __call__(self) -> float:
        return self._real() + self._ahead

    async def leap(self, seconds: float) -> None:
        """Let so much time pass, and what is due by then happen."""
        self._ahead += seconds
        for _ in range(3):
            await asyncio.sleep(0.001)


async def test_silence_counts_anew_when_a_client_that_stalled_has_caught_up(
    ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the stall nor the silence after it is as long as the limit; both together are longer."""
    loop = asyncio.get_running_loop()
    clock = Clock(loop)
    monkeypatch.setattr(loop, "time", clock)
    answer = ended.answer()
    UpstreamWire(answer.connection)
    limit = Timeouts().silence
    answer.body_received(EVENT, False)
    answer.client_backed_up()
    await clock.leap(0.6 * limit)
    answer.client_caught_up()
    await clock.leap(0.6 * limit)
    assert ended.reports == []
    await clock.leap(0.6 * limit)
    assert answer.exchange.ending is Ending.TIMED_OUT
