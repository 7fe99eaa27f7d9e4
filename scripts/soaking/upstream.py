"""The model servers of the soak, in one process: `python -m scripts.soaking.upstream` prints its port.

A request's body says what is played (see `plays`). `/stats` tells what is under way, and how many requests came twice.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import httptools

from scripts.command.own_process import run_on_uvloop
from scripts.soaking.plays import STREAM, Play
from scripts.soaking.resets import reset

_HEALTHY = b'{"status":"ok"}'


class Stats:
    """What all connections together have seen."""

    def __init__(self) -> None:
        self.nonces: set[str] = set()
        self.twice = 0
        self.under_way = 0

    @contextmanager
    def count(self, play: Play) -> Iterator[None]:
        """One request, while it is answered."""
        self.twice += play.nonce in self.nonces
        self.nonces.add(play.nonce)
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    def dump(self) -> bytes:
        """As JSON."""
        return json.dumps({"requests": len(self.nonces), "twice": self.twice, "under_way": self.under_way}).encode()


class Peer(asyncio.Protocol):
    """One connection from the gateway."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        self._transport = asyncio.Transport()
        self._parser = httptools.HttpRequestParser(self)
        self._path = b""
        self._body = b""
        self._playing: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._playing is not None:
            self._playing.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # --- the parser's callbacks

    def on_message_begin(self) -> None:
        self._path = self._body = b""

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._path == b"/health":
            self._send(200, _HEALTHY)
        elif self._path == b"/stats":
            self._send(200, self._stats.dump())
        else:
            self._playing = asyncio.get_running_loop().create_task(self._play(Play.parse(self._body)))

    # --- playing

    async def _play(self, play: Play) -> None:
        with self._stats.count(play):
            if play.path == STREAM:
                await self._stream(play)
            elif play.name == "late":
                await asyncio.sleep(play.pause)
                self._send(200, play.body())
            elif play.name in {"plain", "error", "loading"}:
                self._send(play.status(), play.body())
            else:
                self._fail(play)
            await self._writable.wait()

    async def _stream(self, play: Play) -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        whole = play.name == "stream"
        for number in range(play.events if whole else play.events // 2 + 1):
            self._transport.write(_chunk(play.event(number)))
            await asyncio.sleep(play.pause)
            await self._writable.wait()
        if whole:
            self._transport.write(_chunk(play.body()[-14:]) + b"0\r\n\r\n")
        elif play.name == "cut":
            self._transport.close()
        else:
            reset(self._transport)

    def _fail(self, play: Play) -> None:
        if play.name == "garbage":
            self._transport.write(b"\x16\x03\x01\x02\x00 no HTTP at all\r\n\r\n")
        elif play.name == "short":
            body = play.body()
            self._transport.write(_head(200, len(body)) + body[: len(body) // 2])
        if play.name == "reset":
            reset(self._transport)
        else:
            self._transport.close()

    def _send(self, status: int, body: bytes) -> None:
        self._transport.write(_head(status, len(body)) + body)


def _head(status: int, length: int) -> bytes:
    return b"HTTP/1.1 %d Said\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, length)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def serve() -> None:
    """Serve until told to stop."""
    stats = Stats()
    server = await asyncio.get_running_loop().create_server(lambda: Peer(stats), "127.0.0.1", 0, backlog=4096)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    run_on_uvloop(serve())
