"""An upstream on bare sockets: records every byte it receives, and answers as the script in force says.

It shares nothing with the bundled mock and knows nothing of HTTP but framing, so that it can do everything wrong.
`/health` it answers by itself, like a llama-server that is well.
"""

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.harness.patience import PATIENCE

_HEALTHY = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"status":"ok"}'


@dataclass
class Received:
    """One request as it arrived. `raw_body` is the body with its chunk framing, `body` without."""

    head: bytes
    connection: int
    raw_body: bytearray = field(default_factory=bytearray)
    body: bytes = b""
    whole: bool = False

    @property
    def line(self) -> str:
        return self.head.split(b"\r\n", 1)[0].decode("latin-1")

    @property
    def headers(self) -> list[tuple[str, str]]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    def values(self, name: str) -> list[str]:
        """All values of a header."""
        return [value for other, value in self.headers if other.lower() == name.lower()]

    @property
    def raw(self) -> bytes:
        return self.head + b"\r\n\r\n" + bytes(self.raw_body)


class GatewayLeft(Exception):
    """The gateway closed its connection to the upstream in the middle of something."""


class Visit:
    """One request of the gateway, and every means to answer it. What a script is called with."""

    def __init__(self, peer: "_Peer", received: Received) -> None:
        self._peer = peer
        self.received = received

    @property
    def gateway_port(self) -> int:
        """The gateway's port of this connection."""
        return self._peer.gateway_port

    def read_body(self) -> bytes:
        """The request's body, all of it. Raises GatewayLeft."""
        if not self.received.whole:
            self._peer.read_body(self.received)
        return self.received.body

    def read_body_in_chunks(self) -> Iterator[bytes]:
        """A chunked request body, chunk by chunk as it comes. Raises GatewayLeft."""
        yield from self._peer.chunks(self.received)
        self.received.whole = True

    def send(self, *pieces: bytes) -> None:
        """Send bytes, each piece as a segment of its own. Raises GatewayLeft."""
        for piece in pieces:
            self._peer.send(piece)

    def answer(
        self,
        body: bytes = b'{"object":"fine"}',
        status: str = "200 OK",
        *headers: bytes,
        content_type: bytes = b"application/json",
    ) -> None:
        """A whole answer with its length. Raises GatewayLeft."""
        lines = [b"HTTP/1.1 " + status.encode(), b"Content-Type: " + content_type, b"Content-Length: %d" % len(body)]
        self.send(b"\r\n".join((*lines, *headers)) + b"\r\n\r\n" + body)

    def begin_stream(self, *headers: bytes) -> None:
        """The head of a chunked event stream, as llama-server sends it. Raises GatewayLeft."""
        lines = (b"HTTP/1.1 200 OK", b"Content-Type: text/event-stream", b"Transfer-Encoding: chunked", *headers)
        self.send(b"\r\n".join(lines) + b"\r\n\r\n")

    def chunk(self, data: bytes) -> None:
        """One chunk; an empty one ends the body. Raises GatewayLeft."""
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def close(self) -> None:
        """Close the connection with a FIN; over TLS that is a cut, as anybody on the way could make it."""
        self._peer.close()

    def close_tls(self) -> None:
        """End TLS as its standard wants it, with a close_notify, and close the connection."""
        self._peer.close_tls()

    def reset(self) -> None:
        """Close the connection with a RST."""
        self._peer.reset()

    def wait_until_left(self, within: float = PATIENCE) -> bool:
        """Whether the gateway closes its connection in time."""
        return self._peer.wait_until_left(within)


Script = Callable[[Visit], None]


def fine(visit: Visit) -> None:
    """The script in force when no other is: read everything, answer 200 with a little JSON."""
    visit.read_body()
    visit.answer()


class ScriptedUpstream:
    """Listens from the start until `close`: on a free port, with `tls` over TLS, or at a Unix socket's path."""

    def __init__(self, tls: ssl.SSLContext | None = None, unix: str | None = None) -> None:
        self._tls = tls
        if unix is None:
            self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
            self.port: int = self._listener.getsockname()[1]
            self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(unix)
            self._listener.listen()
            self.url = f"unix:{unix}"
        self._listener.setblocking(False)
        self._peers: set[_Peer] = set()
        self.script: Script = fine
        self.health = _HEALTHY  # what /health answers; nothing: the connection is closed
        self.requests: list[Received] = []
        self.probes: list[Received] = []
        self.busy = 0  # scripts that play now
        self.connections = 0  # accepted so far
        self.open = 0  # not closed yet
        self.errors: list[str] = []
        self.changed = threading.Condition()
        threading.Thread(target=self._accept, daemon=True).start()

    @contextlib.contextmanager
    def playing(self, script: Script) -> Iterator[None]:
        """Answer by this script meanwhile."""
        before, self.script = self.script, script
        try:
            yield
        finally:
            self.script = before

    def wait_for(self, condition: Callable[["ScriptedUpstream"], bool], within: float = PATIENCE) -> bool:
        """Wait until something is true of it; asked again when a request comes, grows or ends, a connection idles."""
        with self.changed:
            return self.changed.wait_for(lambda: condition(self), within)

    def is_quiet(self) -> bool:
        """Whether every connection waits for its next request, and none has bytes that nobody has looked at yet."""
        with self.changed:
            return not _is_readable(self._listener, 0) and all(peer.is_quiet() for peer in self._peers)

    def has_read(self, body: bytes) -> bool:
        """Whether a request with this body has come, all of it."""
        with self.changed:
            return any(seen.whole and seen.body == body for seen in self.requests)

    @property
    def only_request(self) -> Received:
        """The one request there was."""
        assert len(self.requests) == 1, [received.line for received in self.requests]
        return self.requests[0]

    def raw(self) -> bytes:
        """Every byte received since the last `forget`."""
        return b"".join(received.raw for received in (*self.probes, *self.requests))

    def forget(self) -> None:
        """Begin a new record."""
        self.requests, self.probes, self.errors = [], [], []

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # closed
            while True:
                _is_readable(self._listener)
                with self.changed:
                    self._accept_one()

    def _accept_one(self) -> None:
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:  # who knocked has left
            return
        client.settimeout(PATIENCE)
        if client.family != socket.AF_UNIX:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections += 1
        self.open += 1
        peer = _Peer(self, client, self.connections, self._tls)
        self._peers.add(peer)
        threading.Thread(target=peer.serve, daemon=True).start()

    def leave(self, peer: "_Peer") -> None:
        """A connection is closed."""
        with self.changed:
            self._peers.remove(peer)
            self.open -= 1
            self.changed.notify_all()

    def play(self, visit: Visit) -> None:
        """Record a request, and run the script on it. Raises GatewayLeft."""
        with self.changed:
            self.requests.append(visit.received)
            self.busy += 1
            self.changed.notify_all()
        try:
            self.script(visit)
        except (AssertionError, OSError, ValueError) as error:
            self.errors.append(f"{visit.received.line}: {error!r}")
            visit.close()
        finally:
            with self.changed:
                self.busy -= 1
                self.changed.notify_all()


def _is_readable(waiting: socket.socket, patience: float | None = None) -> bool:
    """Whether an end, a byte or a connection is there to be taken, within so many seconds; without: in the end."""
    poll = select.poll()
    poll.register(waiting, select.POLLIN)
    return bool(poll.poll(None if patience is None else patience * 1000))


class _Peer:
    """One connection from the gateway, served by a thread of its own."""

    def __init__(
        self, upstream: ScriptedUpstream, client: socket.socket, number: int, tls: ssl.SSLContext | None
    ) -> None:
        self._upstream = upstream
        self._socket = client
        self._tls = tls
        self._number = number
        self._buffer = b""
        self._open = True
        self._is_idle = False

    @property
    def gateway_port(self) -> int:
        port: int = self._socket.getpeername()[1]
        return port

    def serve(self) -> None:
        try:
            self._shake_hands()
            while self._open:
                self._serve_one()
        except GatewayLeft:
            pass
        except (AssertionError, ValueError) as error:
            self._upstream.errors.append(f"not HTTP: {error!r}")
        finally:
            self.close()
            self._upstream.leave(self)

    def is_quiet(self) -> bool:
        """Whether it waits for a request of which no byte has come. Under the lock of `changed`."""
        return self._is_idle and not _is_readable(self._socket, 0)

    def _shake_hands(self) -> None:
        if self._tls is not None:
            try:
                self._socket = self._tls.wrap_socket(self._socket, server_side=True)
            except OSError as error:
                raise GatewayLeft from error

    def _serve_one(self) -> None:
        self._wait_for_request()
        head, _, self._buffer = self._until(b"\r\n\r\n").partition(b"\r\n\r\n")
        received = Received(head, self._number)
        if received.line == "GET /health HTTP/1.1":
            self._upstream.probes.append(received)
            if self._upstream.health:
                self.send(self._upstream.health)
            else:
                self.close()
            with self._upstream.changed:
                self._upstream.changed.notify_all()
            return
        visit = Visit(self, received)
        self._upstream.play(visit)
        if self._open and not received.whole:
            visit.read_body()

    def _wait_for_request(self) -> None:
        """Idle until bytes come; it is no longer by the time that they are read, so that `is_quiet` misses none."""
        if not self._buffer:
            with self._upstream.changed:
                self._is_idle = True
                self._upstream.changed.notify_all()
            _is_readable(self._socket)
            with self._upstream.changed:
                self._is_idle = False

    def read_body(self, received: Received) -> None:
        try:
            if received.values("Transfer-Encoding") == ["chunked"]:
                received.body = b"".join(self.chunks(received))
            else:
                length = int((received.values("Content-Length") or ["0"])[0])
                while len(received.raw_body) < length:
                    self._take(received, length - len(received.raw_body))
                received.body = bytes(received.raw_body)
            received.whole = True
        finally:
            with self._upstream.changed:
                self._upstream.changed.notify_all()

    def chunks(self, received: Received) -> Iterator[bytes]:
        while True:
            line, _, self._buffer = self._until(b"\r\n").partition(b"\r\n")
            size = int(line, 16)
            while len(self._buffer) < size + 2:
                self._buffer += self._receive()
            data, self._buffer = self._buffer[: size + 2], self._buffer[size + 2 :]
            received.raw_body += line + b"\r\n" + data
            assert data.endswith(b"\r\n"), "a chunk without its line end"
            if size == 0:
                return
            yield data[:-2]

    def _take(self, received: Received, most: int) -> None:
        data = self._buffer or self._receive()
        received.raw_body += data[:most]
        self._buffer = data[most:]

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._buffer += self._receive()
        return self._buffer

    def _receive(self) -> bytes:
        try:
            data = self._socket.recv(1 << 18)
        except OSError as error:
            raise GatewayLeft from error
        if not data:
            raise GatewayLeft
        return data

    def send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise GatewayLeft from error

    def close(self) -> None:
        self._open = False
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def close_tls(self) -> None:
        assert isinstance(self._socket, ssl.SSLSocket)
        with contextlib.suppress(OSError):  # the gateway need not wait for the end of it
            self._socket.unwrap()
        self.close()

    def reset(self) -> None:
        self._open = False
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def wait_until_left(self, within: float) -> bool:
        deadline = time.monotonic() + within
        try:
            while (left := deadline - time.monotonic()) > 0:
                self._socket.settimeout(left)
                self._buffer += self._receive_now()
        except GatewayLeft:
            return True
        except TimeoutError:
            pass
        return False

    def _receive_now(self) -> bytes:
        try:
            data = self._socket.recv(1 << 16)
        except TimeoutError:
            raise
        except OSError as error:
            raise GatewayLeft from error
        if not data:
            raise GatewayLeft
        return data
