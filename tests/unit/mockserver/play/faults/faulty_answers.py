"""Requests to a mock with faults, and its answers byte by byte."""

import json
from typing import Any

from mockserver import MockLlamaServer
from tests.harness.sockets.rawhttp import RawAnswer, ask, connect, encode

PLAIN = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 6}
STREAM = {**PLAIN, "stream": True}
CHAT = "/v1/chat/completions"


async def chat(mock: MockLlamaServer, body: Any = PLAIN, **headers: str) -> RawAnswer:
    return await ask(mock.url, "POST", CHAT, body, headers={k.replace("_", "-"): v for k, v in headers.items()})


async def bytes_of(mock: MockLlamaServer, body: Any = STREAM, path: str = CHAT) -> tuple[bytes, bytes]:
    """Head and rest of what comes until the mock closes the connection."""
    reader, writer = await connect(mock.url)
    writer.write(encode("POST", path, {"Connection": "close"}, json.dumps(body).encode()))
    head, _, rest = (await reader.read(-1)).partition(b"\r\n\r\n")
    writer.close()
    return head, rest


def data_of(rest: bytes) -> bytes:
    """What the chunks of a body hold, as far as they came."""
    data = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        data, rest = data + rest[: int(size or b"0", 16)], rest[int(size or b"0", 16) + 2 :]
    return data
