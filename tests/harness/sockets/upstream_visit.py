"""A request as an upstream on bare sockets receives it, and every means to answer it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.harness.patience import PATIENCE

if TYPE_CHECKING:
    from tests.harness.sockets.upstream_peer import Peer


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

    def __init__(self, peer: "Peer", received: Received) -> None:
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
