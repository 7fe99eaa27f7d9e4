"""Which preflight leaves its connection to the fast path: one that aiohttp reads as one whole request, and no more."""

import asyncio

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.fast_path.fast_path_parser import is_plain_preflight

HEAD = (
    b"OPTIONS /api/gguf/demo/v1/messages HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nConnection: keep-alive\r\nAccept: */*\r\n"
    b"Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization,content-type\r\n"
    b"Origin: http://localhost:3000\r\nSec-Fetch-Mode: cors\r\n"
)
WHOLE = HEAD + b"\r\n"
ODD_LINES = (
    *(b"Content-Length: 0\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Upgrade: h2c\r\n"),
    *(b"Connection: close\r\n", b"Host: other\r\n", b"Expect: 100-continue\r\n", b"X: \xff\r\n", b" folded\r\n"),
    *(b"X : y\r\n", b"X\r\n", b"X: y\n", b"X: \r\n", b"Sec-WebSocket-Key: x\r\n", b"TE: trailers\r\n"),
)


def test_what_chromium_sends_is_plain() -> None:
    assert is_plain_preflight(WHOLE)


@pytest.mark.parametrize("line", ODD_LINES)
def test_a_header_that_could_be_read_in_two_ways_is_not_plain(line: bytes) -> None:
    assert not is_plain_preflight(HEAD + line + b"\r\n")


@pytest.mark.parametrize(
    "data",
    [
        *(b"", HEAD, WHOLE[:-1], WHOLE + b"G", WHOLE + WHOLE, b"\r\n" + WHOLE, WHOLE.replace(b"\r\n", b"\n")),
        *(WHOLE.replace(b"OPTIONS", b"POST"), WHOLE.replace(b"1.1\r", b"1.0\r"), WHOLE.replace(b"/v1", b"?v1")),
        *(WHOLE.replace(b"/api", b"http://a/api"), WHOLE.replace(b"/api", b"*"), WHOLE.replace(b" HTTP", b"  HTTP")),
        HEAD + b"X: " + b"y" * 4000 + b"\r\n\r\n",
        WHOLE.replace(b"Host:", b"Most:"),
        WHOLE.replace(b"Host: ", b"Host: /"),
    ],
)
def test_what_is_not_one_whole_preflight_is_not_plain(data: bytes) -> None:
    assert not is_plain_preflight(data)


PIECES = st.sampled_from([*ODD_LINES, b"\r\n", b"\r", b"\n", b"X: y\r\n", b"OPTIONS / HTTP/1.1\r\n", b"x", b" ", b":"])


@given(st.lists(st.tuples(st.integers(0, len(WHOLE)), PIECES | st.binary(max_size=3)), max_size=3))
def test_what_is_plain_is_one_request_to_aiohttp_with_nothing_after_it(changes: list[tuple[int, bytes]]) -> None:
    data = WHOLE
    for at, piece in changes:
        data = data[:at] + piece + data[at:]
    if is_plain_preflight(data):
        loop = asyncio.new_event_loop()
        try:
            parser = HttpRequestParser(BaseProtocol(loop), loop, 2**16)
            ((message, payload),), upgraded, rest = parser.feed_data(data)
        finally:
            loop.close()
        assert (message.method, message.should_close, message.chunked, upgraded, rest) == (
            "OPTIONS",
            False,
            False,
            False,
            b"",
        )
        assert payload.is_eof()
