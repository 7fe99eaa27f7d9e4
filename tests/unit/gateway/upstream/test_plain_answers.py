"""A plain answer is read without the parser, and exactly as the parser reads it."""

from dataclasses import replace

import pytest

from gateway.proxy.upstream.response_head import ResponseHead, plain_answer
from gateway.proxy.upstream.response_parser import ResponseParser

PLAIN = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nServer: llama.cpp\r\nKeep-Alive: timeout=5, max=100\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nx-ratelimit-left: 3\r\nContent-Length: 2\r\n\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\nRetry-After:7\r\n\r\n\x1f\x8b",
    b"HTTP/1.1 200 Fine, thank you\r\nContent-Type:\ttext/plain; charset=utf-8\r\nContent-Length: 1\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9\r\n\r\ndata: 1\n\n",
]
NOT_PLAIN = [
    b"",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello!",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCONTENT-LENGTH: 6\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length:5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nUpgrade: h2c\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx: 1\r\nX: 2\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx : 1\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx: 1\r\n folded\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx: \x00\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx: a\nb: c\r\n\r\nhello",
    b"HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"RTSP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx: " + b"y" * 4000 + b"\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 05\r\n\r\nhello",
]


def parsed(data: bytes) -> tuple[ResponseHead, bytes] | None:
    """What the parser makes of an answer, if it is a whole one."""
    parser = ResponseParser()
    wrong = parser.feed(data)
    if wrong or parser.head is None or not parser.complete or parser.surplus:
        return None
    body = parser.taken()
    assert parser.head.length == len(body)
    headers = {name: value for name, value in parser.head.headers.items() if name != b"content-length"}
    return replace(parser.head, length=None, headers=headers), body


@pytest.mark.parametrize("data", PLAIN, ids=range(len(PLAIN)))
def test_a_plain_answer_is_read_as_the_parser_reads_it(data: bytes) -> None:
    assert plain_answer(data) == parsed(data) is not None


@pytest.mark.parametrize("data", NOT_PLAIN, ids=range(len(NOT_PLAIN)))
def test_what_is_unusual_is_left_to_the_parser(data: bytes) -> None:
    assert plain_answer(data) is None


@pytest.mark.parametrize("data", PLAIN, ids=range(len(PLAIN)))
def test_whatever_byte_is_altered_both_read_the_same(data: bytes) -> None:
    for at in range(len(data)):
        for byte in b"\r\n\t :0aA\x00\xff":
            altered = data[:at] + bytes([byte]) + data[at + 1 :]
            plain = plain_answer(altered)
            assert plain is None or plain == parsed(altered), altered


def test_a_part_of_a_plain_answer_is_the_parsers_to_its_end() -> None:
    parser = ResponseParser()
    assert parser.plain(PLAIN[0][:40]) is None
    assert parser.feed(PLAIN[0][:40]) is None
    assert parser.plain(PLAIN[1]) is None, "it would be taken from the middle of another"


def test_after_a_plain_answer_the_next_is_read_from_its_beginning() -> None:
    parser = ResponseParser()
    for data in (PLAIN[0], NOT_PLAIN[10], PLAIN[1]):
        parser.reset()
        answer = parser.plain(data)
        if answer is None:
            assert parser.feed(data) is None
        body = answer[1] if answer is not None else parser.taken()
        assert (parser.complete, body) == (True, b"{}" if data is PLAIN[1] else b"hello")
