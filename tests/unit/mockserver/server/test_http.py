"""The protocol below the endpoints: what is no HTTP, what is too much, and how long a connection lives."""

import pytest

from mockserver import MockLlamaServer
from tests.harness.sockets.rawhttp import ask, connect, encode, read_answer

MALFORMED = [
    b"FOO / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"garbage\r\n\r\n",
    b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
    b"POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
]


@pytest.mark.parametrize("data", MALFORMED, ids=range(len(MALFORMED)))
async def test_what_is_no_http_gets_400_and_nothing_to_read(data: bytes) -> None:
    async with MockLlamaServer() as mock:
        reader, writer = await connect(mock.url)
        writer.write(data)
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\nServer: llama.cpp\r\n")
        assert answer.endswith(b"\r\n\r\n")
        writer.close()


async def test_trace_is_refused_without_a_body() -> None:
    async with MockLlamaServer() as mock:
        answer = await ask(mock.url, "TRACE", "/health")
        assert (answer.status, answer.body) == (400, b"")


async def test_a_body_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockserver.server.app._MAX_BODY", 1000)
    async with MockLlamaServer() as mock:
        assert (await ask(mock.url, "POST", "/tokenize", {"content": "x" * 2000})).status == 413


async def test_the_hundredth_answer_of_a_connection_is_its_last() -> None:
    async with MockLlamaServer() as mock:
        reader, writer = await connect(mock.url)
        for number in range(1, 101):
            writer.write(encode("GET", "/health"))
            answer = await read_answer(reader)
            assert answer.header("Connection") == ("close" if number == 100 else None)
        assert await reader.read() == b""
        writer.close()


async def test_an_error_ends_its_connection() -> None:
    async with MockLlamaServer() as mock:
        reader, writer = await connect(mock.url)
        writer.write(encode("GET", "/nope"))
        assert (await read_answer(reader)).header("Connection") == "close"
        assert await reader.read() == b""
        writer.close()


async def test_a_page_of_another_machine_may_not_read_when_only_this_one_may() -> None:
    async with MockLlamaServer(cors_origins="localhost") as mock:
        for origin, expected in (("http://localhost:3000", True), ("http://localhost.evil.com", False)):
            answer = await ask(mock.url, "OPTIONS", "/v1/models", headers={"Origin": origin})
            assert (answer.header("Access-Control-Allow-Origin") == origin) is expected
