"""What an answer leaves behind in the parser of its connection: nothing that the next one would begin with."""

import pytest

from gateway.proxy.upstream.response_parser import ResponseParser

WHOLE = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "empty": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "an empty header at the end": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Left:\r\n\r\n",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "a trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Left: behind\r\n\r\n",
    "an empty trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: b\r\nX-Left:\r\n\r\n",
    "no content": b"HTTP/1.1 204 x\r\nX-Left: behind\r\n\r\n",
    "not modified": b"HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n",
    "an interim answer": b"HTTP/1.1 103 x\r\nX-Left: behind\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "empty lines behind it": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n\r\n\r\n",
}
NEXT = b"HTTP/1.1 201 x\r\nContent-Length: 4\r\nX-Own: line\r\n\r\nnext"


def read(parser: ResponseParser, data: bytes, size: int) -> bytes:
    """Feed an answer in pieces of this size; its body."""
    parser.reset()
    body = b""
    for piece in _pieces(data, size):
        assert parser.feed(piece) is None
        body += parser.taken()
    assert (parser.complete, parser.surplus) == (True, False)
    return body


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("before", WHOLE.values(), ids=WHOLE)
def test_an_answer_begins_with_nothing_of_the_one_before(before: bytes, size: int) -> None:
    parser = ResponseParser()
    for data in (before, before, NEXT):
        body = read(parser, data, size)
    assert parser.head is not None
    assert (parser.head.status, body) == (201, b"next")
    assert parser.head.headers == {b"content-length": b"4", b"x-own": b"line"}


@pytest.mark.parametrize("size", [1, 10_000])
@pytest.mark.parametrize("behind", [b"H", b"x", b"0\r\n\r\n", b"HTTP/1.1 100 x\r\n\r\n", NEXT])
def test_whatever_follows_an_answer_is_surplus_and_no_part_of_it(behind: bytes, size: int) -> None:
    parser, body = ResponseParser(), b""
    for piece in _pieces(WHOLE["length"] + behind, size):
        assert parser.feed(piece) is None
        body += parser.taken()
    assert (parser.complete, parser.surplus, body) == (True, True, b"hi")


@pytest.mark.parametrize("protocol", [b"RTSP/1.0", b"ICE/1.0"])
@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 100 x\r\n\r\n", b"HTTP/1.1 103 x\r\nLink: </x>\r\n\r\n\r\n" * 2])
def test_another_protocol_is_refused_also_behind_an_interim_answer(protocol: bytes, before: bytes) -> None:
    parser, wrong = ResponseParser(), None
    for piece in _pieces(before + protocol + b" 200 OK\r\nContent-Length: 2\r\n\r\nhi", 5):
        wrong = wrong or parser.feed(piece)
    # An older httptools refuses it by itself.
    assert wrong in {f"it does not speak valid HTTP: {why}" for why in ("another protocol", "Expected HTTP/")}
    assert parser.taken() == b""
