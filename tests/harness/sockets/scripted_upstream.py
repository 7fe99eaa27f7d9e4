"""An upstream on bare sockets: records every byte it receives, and answers as the script in force says.

It shares nothing with the bundled mock and knows nothing of HTTP but framing, so that it can do everything wrong.
`/health` it answers by itself, like a llama-server that is well; and a probe of `/props`, like one that has none.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

from tests.harness.patience import PATIENCE
from tests.harness.sockets.upstream_peer import Peer, is_readable
from tests.harness.sockets.upstream_visit import Received, Script, Visit, fine

_HEALTHY = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"status":"ok"}'

_NO_PROPS = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def stop_listening(listener: socket.socket) -> None:
    """Close it for good: a thread that waits for a connection would go on with its descriptor's next socket."""
    with contextlib.suppress(OSError):  # closed before
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()


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
        self._peers: set[Peer] = set()
        self.script: Script = fine
        self.health = _HEALTHY  # what /health answers; nothing: the connection is closed
        self.props = _NO_PROPS  # what /props answers a probe
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
            return not is_readable(self._listener, 0) and all(peer.is_quiet() for peer in self._peers)

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
        """Begin a new record, and have as many slots as nobody knows."""
        self.props = _NO_PROPS
        self.requests, self.probes, self.errors = [], [], []

    def close(self) -> None:
        """Stop listening."""
        stop_listening(self._listener)

    def _accept(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # closed
            while True:
                is_readable(self._listener)
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
        peer = Peer(self, client, self.connections, self._tls)
        self._peers.add(peer)
        threading.Thread(target=peer.serve, daemon=True).start()

    def leave(self, peer: "Peer") -> None:
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
