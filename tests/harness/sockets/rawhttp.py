"""A client that sees what is on the wire: header order and chunk boundaries included."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass
class RawAnswer:
    """An HTTP answer as received; `complete` is false when the stream broke off."""

    status_line: str
    headers: list[tuple[str, str]]
    chunks: list[bytes] = field(default_factory=list)
    complete: bool = True

    @property
    def status(self) -> int:
        return int(self.status_line.split()[1])

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Any:
        return json.loads(self.body)


def encode(method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


async def connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A new connection to the server of a URL."""
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port, limit=2**24)


async def read_head(reader: asyncio.StreamReader) -> RawAnswer:
    """The next answer as far as the end of its head."""
    status_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    pairs = [line.partition(":") for line in lines]
    return RawAnswer(status_line, [(name, value.strip()) for name, _, value in pairs])


async def read_answer(reader: asyncio.StreamReader, *, head_only: bool = False) -> RawAnswer:
    """The next answer, whole or broken off; `head_only` if it is the one to a HEAD request."""
    answer = await read_head(reader)
    if head_only:
        return answer
    try:
        if answer.header("Transfer-Encoding") == "chunked":
            while size := int(await reader.readline() or b"x", 16):
                answer.chunks.append((await reader.readexactly(size + 2))[:-2])
            await reader.readline()
        else:
            answer.chunks.append(await reader.readexactly(int(answer.header("Content-Length") or 0)))
    except (asyncio.IncompleteReadError, ValueError, ConnectionResetError):
        answer.complete = False
    return answer


async def ask(
    url: str,
    method: str,
    path: str,
    json_body: Any = None,
    *,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> RawAnswer:
    """One request on a connection of its own."""
    if json_body is not None:
        body = json.dumps(json_body).encode()
        headers = {"Content-Type": "application/json"} | (headers or {})
    reader, writer = await connect(url)
    try:
        writer.write(encode(method, path, headers, body))
        await writer.drain()
        return await read_answer(reader, head_only=method == "HEAD")
    finally:
        writer.close()
        await writer.wait_closed()


async def is_refused(url: str) -> bool:
    """Whether nothing listens at a URL."""
    try:
        _, writer = await connect(url)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False
