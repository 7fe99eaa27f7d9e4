"""Table U: good and bad answers at random, to many clients at once."""

import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.harness import contract
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import DONE, EVENT, chat
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import Response
from tests.wire.upstream.faults.loading_answers import LOADING

BROKEN = (502, contract.UNREACHABLE.body, True)


def _stream_broken(own: bytes) -> bytes:
    return b'data: %b\n\ndata: {"error":{"type":"api_error","message":"%b"}}\n\n' % (
        own,
        b"The model endpoint broke off in the middle of its answer.",
    )


@dataclass(frozen=True)
class Play:
    """What an upstream does with a request that holds a number, and what its client may see: status, body, whole."""

    act: Callable[[Visit, bytes], object]
    seen: Callable[[bytes], tuple[tuple[int, bytes, bool], ...]] = lambda _: (BROKEN,)


def _stream(visit: Visit, own: bytes) -> None:
    visit.begin_stream()
    for piece in (EVENT, b"data: %b\n\n" % own, DONE, b""):
        visit.chunk(piece)


def _broken_stream(visit: Visit, own: bytes) -> None:
    visit.begin_stream()
    visit.chunk(b"data: %b\n\n" % own)
    visit.close()


def _cut(visit: Visit, own: bytes) -> None:
    visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + own)
    visit.close()


GOOD = [
    Play(lambda visit, own: visit.answer(own), lambda own: ((200, own, True),)),
    Play(_stream, lambda own: ((200, EVENT + b"data: %b\n\n" % own + DONE, True),)),
]
BAD = [
    Play(lambda visit, own: visit.answer(own, "500 Oh"), lambda own: ((500, own, True),)),
    Play(lambda visit, _: visit.close()),
    Play(lambda visit, _: visit.reset()),
    Play(lambda visit, own: visit.send(b"garbage %b\r\n\r\n" % own)),
    Play(lambda visit, own: visit.answer(b"", "302 Found", b"Location: /" + own)),
    Play(lambda visit, _: visit.answer(LOADING[0], "503 Service Unavailable")),
    Play(_cut, lambda _: ((200, b"", False), BROKEN)),
    Play(_broken_stream, lambda own: ((200, _stream_broken(own), False), BROKEN)),
]


def play_for(number: int) -> Play:
    """Half of the time something good, half of the time something bad."""
    return random.Random(number).choice(GOOD * len(BAD) + BAD * len(GOOD))


@pytest.mark.slow
def test_U24_every_client_gets_its_own_answer_whatever_others_do(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    def script(visit: Visit) -> None:
        own = visit.read_body()
        play_for(int(own)).act(visit, own)

    def ask(number: int) -> Response:
        return relay_gateway.ask(chat(body=b"%d" % number))

    numbers = range(800)
    with upstream.playing(script), ThreadPoolExecutor(16) as clients:
        responses = list(clients.map(ask, numbers))
    for number, seen in zip(numbers, responses, strict=True):
        assert (seen.status, seen.body, seen.whole) in play_for(number).seen(b"%d" % number)
    assert Counter(int(received.body) for received in upstream.requests) == Counter(numbers)
