"""Bodies whose framing breaks, however they are cut into segments: refused at once, not when their time is over."""

from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pytest

from tests.harness import contract
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat

HEAD = chat(body=None).replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
BROKEN = {
    "behind a chunk": b"5\r\nhelloXXXX",
    "in the line end of a chunk": b"5\r\nhello\rXXX",
    "a line feed behind a chunk": b"5\r\nhello\nXXX",
    "in the next chunk's size": b"5\r\nhello\r\nzz\r\n",
    "no next size": b"5\r\nhello\r\n\r\n\r\n",
    "in a trailer": b"5\r\nhello\r\n0\r\nX Y: \r\n\r\n",
    "in the last size": b"5\r\nhello\r\n0\rXXX",
    "in the last line end": b"5\r\nhello\r\n0\r\n\rX",
    "behind the second chunk": b"5\r\nhello\r\n5\r\nhelloX",
    "in the first size": b"0x5\r\nhello\r\n0\r\n\r\n",
}


def segments(body: bytes) -> list[tuple[bytes, ...]]:
    """The request in two segments or three, cut everywhere before its last byte."""
    cuts = range(1, len(body))
    cut = chain.from_iterable(
        (
            (HEAD + body[:at], body[at:]),
            (HEAD, body[:at], body[at:]),
            (HEAD + body[: at - 1], body[at - 1 : at], body[at:]),
        )
        for at in cuts
    )
    return list(cut)


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_broken_chunks_are_400_at_once_wherever_they_are_cut(
    gateway: GatewayProcess, upstream: ScriptedUpstream, body: bytes
) -> None:
    """Whoever is not told at once is told 408, after 60 s."""

    def is_refused(pieces: tuple[bytes, ...]) -> bool:
        with gateway.connect() as client:
            for piece in pieces:
                client.send(piece)
            return contract.is_a_refusal(client.read_response(), 400) and client.is_closed()

    with ThreadPoolExecutor(8) as clients:
        assert all(clients.map(is_refused, segments(body)))
    assert upstream.requests == []
