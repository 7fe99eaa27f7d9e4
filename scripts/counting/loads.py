"""What is asked of a relay while its instructions are counted: the same bytes in the same reads, each time.

Client and model server are one: an event leaves the server only when the client has the one before, so that no two of
them ever meet in one read, however slow the relay is.
"""

import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from scripts.benchmark.backend import HEALTHY, PLAIN

_BODY = b'{"model":"bench","input":"How warm was it yesterday, and how warm will it be tomorrow?"}'
_EVENT = (
    b'data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":" word"}}],"created":1767225600,'
    b'"id":"chatcmpl-0123456789abcdefghijklmnopqrstuv","model":"bench","object":"chat.completion.chunk"}\n\n'
)
_END = b"data: [DONE]\n\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PATIENCE = 120.0  # seconds


class ModelServer(socketserver.ThreadingTCPServer):
    """Answers `/health`, streams what the client paces, and answers all else with the same JSON."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Peer)
        self.port: int = self.server_address[1]
        self.events = 0  # of the next stream
        self.received = threading.Semaphore(0)  # released by the client for each event that it has


class _Peer(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = cast(ModelServer, self.server)
        while path := self._read():
            if path == b"/v1/chat/completions":
                self._stream(server)
                continue
            body = HEALTHY if path == b"/health" else PLAIN
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            self.request.sendall(head + body)

    def _read(self) -> bytes:
        """The path of the next request; empty if there is none."""
        data = b""
        while b"\r\n\r\n" not in data or len(data) < _size(data):
            piece = self.request.recv(65536)
            if not piece:
                return b""
            data += piece
        return data.split(b" ", 2)[1].partition(b"?")[0]

    def _stream(self, server: ModelServer) -> None:
        self.request.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + _chunk(_EVENT)
        )
        for _ in range(server.events - 1):
            server.received.acquire(timeout=_PATIENCE)
            self.request.sendall(_chunk(_EVENT))
        server.received.acquire(timeout=_PATIENCE)
        self.request.sendall(_chunk(_END) + b"0\r\n\r\n")


class Client:
    """One connection to a relay, asking one request after the other."""

    def __init__(self, port: int, base: str, key: str, server: ModelServer) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._base = base
        self._key = key
        self._server = server

    def plain(self) -> None:
        """A plain request and its answer."""
        self._socket.sendall(self._head("/v1/embeddings", b"Content-Length: %d\r\n" % len(_BODY)) + _BODY)
        self._read_whole()

    def with_query(self) -> None:
        """The same with a query."""
        self._socket.sendall(self._head("/v1/embeddings?a=b", b"Content-Length: %d\r\n" % len(_BODY)) + _BODY)
        self._read_whole()

    def chunked(self) -> None:
        """The same with its body in chunks."""
        head = self._head("/v1/embeddings", b"Transfer-Encoding: chunked\r\n")
        self._socket.sendall(head + _chunk(_BODY) + b"0\r\n\r\n")
        self._read_whole()

    def expecting(self) -> None:
        """The same, whose body is sent once it is asked for."""
        framing = b"Content-Length: %d\r\nExpect: 100-continue\r\n" % len(_BODY)
        self._socket.sendall(self._head("/v1/embeddings", framing))
        self._read_until(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._socket.sendall(_BODY)
        self._read_whole()

    def stream(self, events: int) -> None:
        """A stream of so many events."""
        self._server.events = events
        self._socket.sendall(self._head("/v1/chat/completions", b"Content-Length: %d\r\n" % len(_BODY)) + _BODY)
        for _ in range(events):
            self._read_until(b"\n\n\r\n")
            self._server.received.release()
        self._read_until(b"0\r\n\r\n")

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    def _head(self, path: str, framing: bytes) -> bytes:
        lines = f"POST {self._base}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        return f"{lines}Authorization: Bearer {self._key}\r\n".encode() + framing + b"\r\n"

    def _read_whole(self) -> None:
        data = b""
        while b"\r\n\r\n" not in data or len(data) < _size(data):
            data += self._receive()
        if not data.startswith(b"HTTP/1.1 200 ") or not data.endswith(PLAIN):
            raise ValueError(f"not the answer: {data[:200]!r}")

    def _read_until(self, end: bytes) -> None:
        data = b""
        while not data.endswith(end):
            data += self._receive()

    def _receive(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise ValueError("the relay closed the connection")
        return data


@contextmanager
def model_server() -> Iterator[ModelServer]:
    """A model server on a port of its own, in a thread."""
    with ModelServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def repeated(ask: Callable[[], None], times: int) -> Callable[[], None]:
    """Ask so often."""

    def act() -> None:
        for _ in range(times):
            ask()

    return act


def _size(data: bytes) -> int:
    """Of a message whose head is whole: how long it is."""
    end = data.index(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in data[:end].lower():
        return len(data) if data.endswith(b"0\r\n\r\n") else len(data) + 1
    found = _LENGTH.search(data, 0, end + 2)
    return end + 4 + (int(found[1]) if found else 0)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
