"""A client on a bare socket: it sends the bytes it is given, right or wrong, and reads answers strictly."""

import json
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from tests.harness.patience import PATIENCE
from tests.harness.sockets.resets import close_with_reset


class Closed(Exception):
    """The gateway closed the connection where an answer was due. `reset`: not by an orderly FIN."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__("reset" if reset else "closed")
        self.reset = reset


@dataclass(frozen=True)
class Response:
    """One answer as received. `whole` is False when it broke off before its framing says it ends.

    `interim` counts the 1xx answers before it; `pieces` are the chunks of a chunked body.
    """

    head: bytes
    pieces: tuple[bytes, ...] = ()
    whole: bool = True
    interim: int = 0

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1])

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Names and values in the order received, names as they were spelled."""
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    def header(self, name: str) -> str | None:
        """The value of a header, or None. A header that comes twice is an error."""
        values = [value for other, value in self.headers if other.lower() == name.lower()]
        assert len(values) < 2, f"{name} comes {len(values)} times"
        return values[0] if values else None

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def json(self) -> Any:
        return json.loads(self.body)


class WireClient:
    """One connection. All that was received stays in `received`; `with` closes it."""

    def __init__(self, port: int, patience: float = PATIENCE) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = bytearray()
        self._read = 0

    def __enter__(self) -> "WireClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- sending

    def send(self, data: bytes) -> bool:
        """Send all of `data`; False if the gateway closed the connection meanwhile, as it may after an answer."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def half_close(self) -> None:
        """Say that nothing more will be sent, and go on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leave with a RST."""
        close_with_reset(self.socket)

    def close(self) -> None:
        """Leave with a FIN."""
        self.socket.close()

    # --- receiving

    def ask(self, data: bytes, *, to_head: bool = False) -> Response:
        """Send a request and read its answer."""
        self.send(data)
        return self.read_response(to_head=to_head)

    def read_response(self, *, to_head: bool = False) -> Response:
        """The next final answer; `to_head` if it is the one to a HEAD request. Raises Closed, TimeoutError."""
        interim = 0
        while (head := self.read_head()).split(b" ", 2)[1].startswith(b"1"):
            interim += 1
        bare = Response(head, interim=interim)
        if to_head or bare.status in {204, 304}:
            return bare
        pieces: list[bytes] = []
        whole = self._read_body(bare, pieces)
        return Response(head, tuple(pieces), whole, interim)

    def read_head(self) -> bytes:
        """The next status line and headers, without the blank line. Raises Closed, TimeoutError."""
        while (end := self.received.find(b"\r\n\r\n", self._read)) < 0:
            self._receive()
        head = bytes(self.received[self._read : end])
        self._read = end + 4
        assert head.startswith(b"HTTP/"), f"no status line: {head[:80]!r}"
        return head

    def read_to_last_chunk(self) -> bytes:
        """The rest of a chunked body, to its proper end. Raises Closed, TimeoutError."""
        return b"".join(iter(self.read_chunk, b""))

    def read_chunk(self) -> bytes:
        """The next chunk of a chunked body, empty at its proper end. Raises Closed, TimeoutError."""
        while (end := self.received.find(b"\r\n", self._read)) < 0:
            self._receive()
        size = int(self.received[self._read : end], 16)
        self._read = end + 2
        piece = self._exactly(size + 2)
        assert piece.endswith(b"\r\n"), "a chunk without its line end"
        return piece[:-2]

    def read_some(self) -> bytes:
        """What came beyond what has been read, at least a byte of it. Raises Closed, TimeoutError."""
        while len(self.received) == self._read:
            self._receive()
        data = bytes(self.received[self._read :])
        self._read = len(self.received)
        return data

    def read_to_end(self) -> bytes:
        """All that still comes until the gateway closes the connection. Raises TimeoutError."""
        try:
            while True:
                self._receive()
        except Closed:
            data = bytes(self.received[self._read :])
            self._read = len(self.received)
            return data

    @property
    def unread(self) -> bytes:
        """What has come behind all that was read."""
        return bytes(self.received[self._read :])

    def is_closed(self) -> bool:
        """Whether the gateway closes the connection in time, and says nothing more before it does."""
        self.socket.settimeout(PATIENCE)
        try:
            return self.read_to_end() == b""
        except TimeoutError:
            return False

    # --- inside

    def _read_body(self, bare: Response, pieces: list[bytes]) -> bool:
        length = bare.header("Content-Length")
        try:
            if bare.header("Transfer-Encoding") == "chunked":
                while piece := self.read_chunk():
                    pieces.append(piece)
            elif length is not None:
                pieces.append(self._exactly(int(length)))
            else:
                pieces.append(self.read_to_end())
        except Closed:
            return False
        return True

    def _exactly(self, size: int) -> bytes:
        while len(self.received) < self._read + size:
            self._receive()
        data = bytes(self.received[self._read : self._read + size])
        self._read += size
        return data

    def _receive(self) -> None:
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionResetError as error:
            raise Closed(reset=True) from error
        if not data:
            raise Closed(reset=False)
        self.received += data


def request(
    target: str | bytes,
    *headers: str | bytes,
    method: str = "POST",
    key: str | bytes | None = None,
    body: bytes | None = None,
    version: str = "HTTP/1.1",
    host: str | None = "gateway.test",
) -> bytes:
    """The bytes of a request. Header lines go in as given, `key` as a bearer; a `body` brings its Content-Length."""
    lines = [b"%b %b %b" % (method.encode(), _bytes(target), version.encode())]
    if host is not None:
        lines.append(b"Host: " + host.encode())
    if key is not None:
        lines.append(b"Authorization: Bearer " + _bytes(key))
    lines += [_bytes(header) for header in headers]
    if body is not None:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


def chunked(*pieces: bytes) -> bytes:
    """A body in chunked coding, last chunk included."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
