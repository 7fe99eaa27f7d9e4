"""No byte of one exchange gets into another, whatever an upstream sends: one client connection serves them all."""

import random
import re

import pytest

from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import Closed

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

EXCHANGES = 2_000  # of the random ones


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


@pytest.mark.slow
def test_no_byte_of_one_exchange_is_in_another(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, seed: int
) -> None:
    """However the pieces of answers are put together: each client sees its own number, and no other."""
    dice = random.Random(seed)
    number = 0

    def answer(visit: Visit) -> None:
        visit.read_body()
        pieces = dice.choices(PIECES, k=dice.randrange(1, 7))
        visit.send(numbered(b"".join(pieces), number))
        if dice.random() < 0.1:
            visit.reset()
        else:
            visit.close()

    with upstream.playing(answer):
        client = relay_gateway.connect()
        for number in range(1, EXCHANGES + 1):
            before = len(client.received)
            try:
                client.ask(chat())
            except Closed:
                closed = True
            else:
                closed = False
            told = re.findall(rb"token (\d{6})", client.received[before:])
            assert set(told) <= {b"%06d" % number}
            if closed:
                client.close()
                client = relay_gateway.connect()
        client.close()
