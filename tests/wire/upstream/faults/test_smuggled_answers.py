"""No byte of one exchange gets into another, whatever an upstream sends: one client connection serves them all."""

import random
import re

import pytest

from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import Closed, WireClient

# What an upstream sends for one request; NUMBER is replaced by that of the request.
FORGED = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nforged NUMBER"
STREAMS = {
    "a status below 100": b"HTTP/1.1 099 x\r\nContent-Length: %d\r\n\r\n%b" % (len(FORGED), FORGED),
    "a status of 000": b"HTTP/1.1 000 x\r\nContent-Length: 12\r\n\r\nforged NUMBER",
    "a status above 599": b"HTTP/1.1 600 x\r\nContent-Length: 12\r\n\r\nforged NUMBER",
    "a switch never asked for": b"HTTP/1.1 101 x\r\n\r\n" + FORGED,
    "a switch with its header": b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" + FORGED,
    "RTSP after an interim answer": b"HTTP/1.1 100 x\r\n\r\nRTSP/1.0 200 OK\r\nContent-Length: 12\r\n\r\nforged NUMBER",
    "ICE after two": b"HTTP/1.1 103 x\r\n\r\nHTTP/1.1 103 x\r\n\r\nICE/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
}
PIECES = (
    *(
        b"HTTP/1.1 %b x\r\n" % status
        for status in (b"099", b"000", b"100", b"101", b"103", b"200", b"204", b"304", b"600")
    ),
    *(
        b"HTTP/1.1 %03d x\r\nContent-Length: 12\r\n\r\ntoken NUMBER" % status
        for status in (0, 99, 100, 103, 200, 200, 200, 204, 404, 600)
    ),
    b"HTTP/1.1 200 OK\r\n",
    b"RTSP/1.0 200 OK\r\n",
    b"Content-Length: 12\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"\r\n",
    b"\r\n",
    b"token NUMBER",
    b"token NUMBER",
    b"c\r\ntoken NUMBER\r\n",
    b"0\r\n\r\n",
    b"0\r\n",
    b"\n",
)

INTERIM = (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nX-Empty:\r\n\r\n")
WHOLE = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\ntoken NUMBER",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Empty:\r\n\r\n",
    b"HTTP/1.1 404 x\r\nTransfer-Encoding: chunked\r\n\r\nc\r\ntoken NUMBER\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nRetry-After: token NUMBER\r\nX-Empty:\r\n\r\n",
    b"HTTP/1.1 204 x\r\nRetry-After: token NUMBER\r\n\r\n",
    b"HTTP/1.1 304 x\r\nContent-Length: 12\r\n\r\n",
)


def numbered(data: bytes, number: int) -> bytes:
    """What is sent for a request: its number has as many digits as NUMBER has letters."""
    return data.replace(b"NUMBER", b"%06d" % number)


@pytest.mark.parametrize("data", STREAMS.values(), ids=STREAMS.keys())
def test_what_is_no_answer_is_a_502_and_reaches_nobody(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, data: bytes
) -> None:
    def answer(visit: Visit) -> None:
        visit.read_body()
        visit.send(numbered(data, 1))

    with relay_gateway.connect() as client:
        with upstream.playing(answer):
            refused = client.ask(chat())
        with upstream.playing(lambda visit: visit.answer(visit.read_body())):
            good = client.ask(chat(body=b"what was asked second"))
    assert (refused.status, b"forged" in refused.body) == (502, False)
    assert (good.status, good.body) == (200, b"what was asked second")


class Liar:
    """A script whose answers are put together from pieces at random. `number` is that of the request under way."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self.number = 0

    def __call__(self, visit: Visit) -> None:
        visit.read_body()
        if self._dice.random() < 0.5:
            self._answer_wholly(visit)
        else:
            self._break_off(visit)

    def _answer_wholly(self, visit: Visit) -> None:
        """Often with something before it, or behind it; in one segment, or what is behind might come too late."""
        before = self._dice.choices(INTERIM, k=max(0, self._dice.randrange(-2, 3)))
        behind = self._dice.choices(PIECES, k=max(0, self._dice.randrange(-4, 3)))
        self._send(visit, b"".join((*before, self._dice.choice(WHOLE), *behind)))

    def _break_off(self, visit: Visit) -> None:
        data = b"".join(self._dice.choices(PIECES, k=self._dice.randrange(1, 7)))
        cut = self._dice.randrange(len(data))
        for part in (data[:cut], data[cut:]) if self._dice.random() < 0.2 else (data,):
            self._send(visit, part)
        if self._dice.random() < 0.1:
            visit.reset()
        else:
            visit.close()

    def _send(self, visit: Visit, data: bytes) -> None:
        visit.send(numbered(data, self.number))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_no_byte_of_one_exchange_is_in_another(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, seed: int, is_thorough: bool
) -> None:
    """However the pieces of answers are put together: each client sees its own number, and no other."""
    liar, exchanges = Liar(seed), 100_000 if is_thorough else 4_000
    before, told, client = upstream.connections, 0, relay_gateway.connect()
    with upstream.playing(liar):
        for liar.number in range(1, exchanges + 1):
            start = len(client.received)
            closed = is_closed_by_answer(client)
            found = set(re.findall(rb"token (\d{6})", client.received[start:]))
            assert found <= {b"%06d" % liar.number}
            assert closed or not client.unread, "the beginning of the next answer, for a client that believes lengths"
            told += len(found)
            if closed:
                client.close()
                client = relay_gateway.connect()
            if liar.number % 1000 == 0:
                upstream.forget()
    client.close()
    assert told > exchanges / 4, "hardly an answer was passed on"
    assert upstream.connections - before < exchanges * 0.9, "hardly a connection was used twice"


def is_closed_by_answer(client: WireClient) -> bool:
    """Ask, and read the answer; whether the connection ended before it did, be it within the body."""
    try:
        return not client.ask(chat()).whole
    except Closed:
        return True
