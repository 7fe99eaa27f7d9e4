"""A worker's way to the arbiter, which is in its supervisor: messages as lines of JSON, over a socket."""

import asyncio
import socket

import orjson

from gateway.proxy.queue.arbiter import Message
from gateway.proxy.queue.lines import Deliver

_READ_BYTES = 64 * 1024


class ArbiterConnection:
    """Sends what it is told at the end of the event loop's turn, all at once. `file` is the socket's descriptor.

    Nothing is lost and nothing waits: what the socket does not take yet is kept. When it ends, the supervisor is gone,
    and this worker is about to stop.
    """

    def __init__(self, file: int, deliver: Deliver) -> None:
        self._socket = socket.socket(fileno=file)
        self._socket.setblocking(False)
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._outgoing = b""
        self._incoming = b""
        self._is_due = False  # it will be written
        self._loop.add_reader(self._socket, self._read)

    def tell(self, message: Message) -> None:
        """Send a message, soon."""
        self._outgoing += orjson.dumps(message) + b"\n"
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._write)

    def _write(self) -> None:
        try:
            self._outgoing = self._outgoing[self._socket.send(self._outgoing) :]
        except BlockingIOError:
            pass
        except OSError:
            self._close()
            return
        self._loop.remove_writer(self._socket)
        self._is_due = bool(self._outgoing)
        if self._is_due:
            self._loop.add_writer(self._socket, self._write)

    def _read(self) -> None:
        try:
            received = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self._close()
            return
        *messages, self._incoming = (self._incoming + received).split(b"\n")
        for message in messages:
            self._loop.call_soon(self._deliver, tuple(orjson.loads(message)))  # a fault in one must not lose the others

    def _close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._is_due = True  # nothing is written any more
