"""A connection from the gateway to an upstream on bare sockets."""

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.harness.sockets.resets import close_with_reset
from tests.harness.sockets.upstream_visit import GatewayLeft, Received, Visit

if TYPE_CHECKING:
    from tests.harness.sockets.scripted_upstream import ScriptedUpstream


def is_readable(waiting: socket.socket, patience: float | None = None) -> bool:
    """Whether an end, a byte or a connection is there to be taken, within so many seconds; without: in the end."""
    poll = select.poll()
    poll.register(waiting, select.POLLIN)
    return bool(poll.poll(None if patience is None else patience * 1000))


class Peer:
    """One connection from the gateway, served by a thread of its own."""

    def __init__(
        self, upstream: "ScriptedUpstream", client: socket.socket, number: int, tls: ssl.SSLContext | None
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
        return self._is_idle and not is_readable(self._socket, 0)

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
        if received.line == "GET /props HTTP/1.1" and received.values("Connection") == ["close"]:
            self.send(self._upstream.props)
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
            is_readable(self._socket)
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
            return self._receive_in_time()
        except TimeoutError as error:
            raise GatewayLeft from error

    def _receive_in_time(self) -> bytes:
        """What comes next. Raises GatewayLeft, and TimeoutError after the socket's own time."""
        try:
            data = self._socket.recv(1 << 18)
        except TimeoutError:
            raise
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
        close_with_reset(self._socket)

    def wait_until_left(self, within: float) -> bool:
        deadline = time.monotonic() + within
        try:
            while (left := deadline - time.monotonic()) > 0:
                self._socket.settimeout(left)
                self._buffer += self._receive_in_time()
        except GatewayLeft:
            return True
        except TimeoutError:
            pass
        return False
