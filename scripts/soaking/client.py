"""A strict HTTP/1.1 client: an answer is what its framing says it is, or it is broken. It never guesses."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from scripts.soaking.resets import reset

Between = Callable[[], Coroutine[Any, Any, None]]  # awaited between two pieces of a body

_PATIENCE = 60.0  # seconds without a byte: the gateway owes an answer


@dataclass(frozen=True)
class Outcome:
    """One answer. `whole` is False if it broke off before the end its framing promised."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool

    @property
    def closes(self) -> bool:
        """Whether no further request may be sent after it."""
        return not self.whole or self.headers.get("connection") == "close"


class Malformed(Exception):
    """What came is no HTTP/1.1 answer, or no answer at all."""


class Client:
    """One connection. Make it with `Client.connect`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int, receive_buffer: int = 0) -> "Client":
        """Connect to this machine; with a `receive_buffer` of so many bytes, if that is to be small."""
        one = socket.socket()
        one.setblocking(False)
        if receive_buffer:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(one, ("127.0.0.1", port))
        return cls(*await asyncio.open_connection(sock=one, limit=receive_buffer or 2**16))

    async def send(self, *pieces: bytes) -> None:
        """Send pieces, each by itself. What the other side closed is not an error here: its answer may be there."""
        try:
            for piece in pieces:
                self.writer.write(piece)
                await self.writer.drain()
                if len(pieces) > 1:
                    await asyncio.sleep(0)
        except ConnectionError:
            return

    async def receive(self, between: Between | None = None) -> Outcome:
        """The next answer; `between` is awaited before each piece of its body. Raises Malformed, TimeoutError."""
        try:
            async with asyncio.timeout(_PATIENCE):
                head = await self._reader.readuntil(b"\r\n\r\n")
                status, headers = _parse(head)
                pieces: list[bytes] = []
                whole = await self._body(headers, pieces, between)
        except asyncio.IncompleteReadError as error:
            raise Malformed(f"closed without an answer, after {error.partial[:100]!r}") from error
        except (ConnectionError, asyncio.LimitOverrunError) as error:
            raise Malformed(f"no answer: {error!r}") from error
        return Outcome(status, headers, b"".join(pieces), whole)

    async def read_some(self) -> bytes:
        """Anything at all; nothing if it was closed."""
        try:
            return await self._reader.read(4096)
        except ConnectionError:
            return b""

    async def close(self) -> bytes:
        """Close with a FIN; what had come and was not read, which must be nothing."""
        self.writer.close()
        try:
            return await self._reader.read()
        except ConnectionError:
            return b""

    def reset(self) -> None:
        """Leave with a RST."""
        reset(self.writer.transport)

    async def _body(
        self,
        headers: dict[str, str],
        pieces: list[bytes],
        between: Between | None,
    ) -> bool:
        try:
            if headers.get("transfer-encoding") == "chunked":
                while piece := await self._chunk():
                    pieces.append(piece)
            elif "content-length" in headers:
                left = int(headers["content-length"])
                while left:
                    if between is not None:
                        await between()
                    pieces.append(await self._reader.readexactly(min(left, 2**16)))
                    left -= len(pieces[-1])
            else:
                return await self._until_closed(pieces)
        except asyncio.IncompleteReadError as error:
            pieces.append(error.partial)
            return False
        except ConnectionError:
            return False
        return True

    async def _until_closed(self, pieces: list[bytes]) -> bool:
        """A body without any length, as an HTTP/1.0 client gets it: a FIN ends it, a RST breaks it."""
        while piece := await self._reader.read(2**16):
            pieces.append(piece)
        return True

    async def _chunk(self) -> bytes:
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        piece = await self._reader.readexactly(size + 2)
        if not piece.endswith(b"\r\n"):
            raise Malformed("a chunk without its line end")
        return piece[:-2]


def _parse(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    version, _, rest = first.partition(" ")
    if version not in {"HTTP/1.1", "HTTP/1.0"} or not rest[:3].isdigit():
        raise Malformed(f"a status line like {first[:80]!r}")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or name.lower() in headers:
            raise Malformed(f"a header like {line[:80]!r}, or one that comes twice")
        headers[name.lower()] = value.strip()
    return int(rest[:3]), headers
