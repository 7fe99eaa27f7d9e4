"""The floor: what relaying costs in Python when nothing else is done. The gateway's cost is a multiple of its.

`python -m scripts.benchmark.bare_relay --upstream PORT --key KEY --base /api/gguf/bench` prints its port. It does what
no relay can leave out, in the way that costs least and is still plain: httptools reads both sides, one dictionary is
asked for the key, connections to the upstream are kept, an answer goes on in the call in which it was received. There
are no ids, log, metrics, limits, timeouts or checks; it belongs before the benchmark's own backend and client, and
nowhere else.
"""

import asyncio
from collections.abc import Callable
from typing import cast

import click
import httptools

from scripts.command.own_process import run_on_uvloop

_REFUSED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"
# Of a request's head these are the relay's own affair.
_NOT_UPWARD = frozenset({b"host", b"authorization", b"content-length", b"transfer-encoding", b"expect"})


class Upstreams:
    """The connections to the backend that are idle, and who may use them. A `base` is cut off each path."""

    def __init__(self, port: int, base: str, key: str | None) -> None:
        self._port = port
        self._idle: list[UpstreamSide] = []
        self.host = f"127.0.0.1:{port}".encode()
        self.base_size = len(base)
        self.keys = {b"" if key is None else b"Bearer " + key.encode(): "bench"}

    def send(self, client: "ClientSide", request: bytes) -> None:
        """Send a request now, or once there is a connection for it."""
        if self._idle:
            self._idle.pop().send(client, request)
        else:
            client.opening = asyncio.ensure_future(self._open_and_send(client, request))

    def give_back(self, connection: "UpstreamSide") -> None:
        """Keep a connection whose answer is over."""
        self._idle.append(connection)

    def forget(self, connection: "UpstreamSide") -> None:
        """It was closed."""
        if connection in self._idle:
            self._idle.remove(connection)

    async def _open_and_send(self, client: "ClientSide", request: bytes) -> None:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: UpstreamSide(self), "127.0.0.1", self._port)
        connection.send(client, request)


class ClientSide(asyncio.Protocol):
    """A client's connection: requests are collected whole and sent up, one at a time."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams
        self._parser = httptools.HttpRequestParser(self)
        self.transport = asyncio.Transport()
        self.upstream: UpstreamSide | None = None
        self.opening: asyncio.Future[None] | None = None
        self._url = self._key = self._body = b""
        self._lines: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.opening is not None:
            self.opening.cancel()
        if self.upstream is not None:
            self.upstream.abort()

    def pause_writing(self) -> None:
        if self.upstream is not None:
            self.upstream.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.upstream is not None:
            self.upstream.transport.resume_reading()

    # --- httptools' callbacks

    def on_message_begin(self) -> None:
        self._url = self._key = self._body = b""
        self._lines = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name not in _NOT_UPWARD:
            self._lines.append(b"%b: %b\r\n" % (name, value))
        elif name == b"authorization":
            self._key = value
        elif name == b"expect":
            self.transport.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        upstreams = self._upstreams
        if self._key not in upstreams.keys:
            self.transport.write(_REFUSED)
            return
        request = b"%b %b HTTP/1.1\r\nHost: %b\r\n%bContent-Length: %d\r\n\r\n%b" % (
            self._parser.get_method(),
            self._url[upstreams.base_size :],
            upstreams.host,
            b"".join(self._lines),
            len(self._body),
            self._body,
        )
        upstreams.send(self, request)


class UpstreamSide(asyncio.Protocol):
    """A connection to the backend: what a read brings of an answer leaves in one write."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams
        self._parser = httptools.HttpResponseParser(self)
        self.transport = asyncio.Transport()
        self._client: ClientSide | None = None
        self._lines: list[bytes] = []
        self._chunked = self._over = False
        self._down: list[bytes] = []

    def send(self, client: ClientSide, request: bytes) -> None:
        """Begin an exchange."""
        self._client, client.upstream = client, self
        self.transport.write(request)

    def abort(self) -> None:
        """Close: nobody reads the answer."""
        self._client = None
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)
        client = self._client
        if client is None:
            return
        client.transport.write(b"".join(self._down))
        self._down = []
        if self._over:
            self._client = client.upstream = None
            self._upstreams.give_back(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._upstreams.forget(self)
        if self._client is not None:
            self._client.transport.abort()

    # --- httptools' callbacks

    def on_message_begin(self) -> None:
        self._lines = []
        self._chunked = self._over = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._lines.append(b"%b: %b\r\n" % (name, value))
        if name.lower() == b"transfer-encoding":
            self._chunked = True

    def on_headers_complete(self) -> None:
        self._down.append(b"HTTP/1.1 %d \r\n%b\r\n" % (self._parser.get_status_code(), b"".join(self._lines)))

    def on_body(self, body: bytes) -> None:
        self._down.append(b"%x\r\n%b\r\n" % (len(body), body) if self._chunked else body)

    def on_message_complete(self) -> None:
        self._over = True
        if self._chunked:
            self._down.append(_LAST_CHUNK)


async def serve(port: int, make: Callable[[], ClientSide]) -> None:
    """Serve on this port, 0 for any free one, until told to stop."""
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", port, backlog=4096)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


@click.command()
@click.option("--listen", default=0, help="The port to listen on; 0 for any free one.")
@click.option("--upstream", required=True, type=int, help="The port of the backend.")
@click.option("--base", default="", help="What each path begins with, and the backend does not know.")
@click.option("--key", help="The one key that is good; without it a request needs none.")
def main(listen: int, upstream: int, base: str, key: str | None) -> None:
    """Relay to a backend on this machine."""
    upstreams = Upstreams(upstream, base, key)
    run_on_uvloop(serve(listen, lambda: ClientSide(upstreams)))


if __name__ == "__main__":
    main()
