"""Behind a streamed answer the connection ends, as a llama-server's does, though its head does not say so."""

from mockserver import MockLlamaServer
from tests.harness.sockets.rawhttp import connect, encode

STREAM = b'{"stream": true, "max_tokens": 2, "messages": [{"role": "user", "content": "hi"}]}'
LAST_CHUNK = b"\r\n0\r\n\r\n"


async def test_a_connection_ends_behind_a_stream_and_not_behind_other_answers() -> None:
    async with MockLlamaServer() as mock:
        reader, writer = await connect(mock.url)
        for _ in range(2):
            writer.write(encode("GET", "/health"))
            assert b"ok" in await reader.readuntil(b'"}')
        writer.write(encode("POST", "/v1/chat/completions", {}, STREAM))
        answer = await reader.readuntil(LAST_CHUNK)
        assert b"Connection:" not in answer
        assert b"Keep-Alive: timeout=5, max=100\r\n" in answer
        assert await reader.read() == b""
        writer.close()
