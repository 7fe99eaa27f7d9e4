"""The arbiter of several workers, in their supervisor: it gives the places, and holds the line of each deployment.

Like the supervisor it runs no event loop: a selector tells it which worker has said something, or can hear again.
"""

import logging
import selectors
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import orjson

from gateway.proxy.queue.arbiter import Arbiter, Member, Message

_READ_BYTES = 64 * 1024
log = logging.getLogger("gateway.workers")


@dataclass(slots=True, eq=False)
class _Channel:
    ours: socket.socket
    outgoing: bytearray = field(default_factory=bytearray)
    incoming: bytes = b""


class WorkerArbiter:
    """Hears `size` workers, each over a socket of its own."""

    def __init__(self, size: int, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._channels: dict[Member, _Channel] = {}
        self._arbiter = Arbiter(size, self._send)
        self._opened = 0

    def open(self) -> socket.socket:
        """A worker's end of a new channel."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._opened += 1
        self._channels[self._opened] = _Channel(ours)
        self._selector.register(ours, selectors.EVENT_READ, partial(self._go_on, self._opened))
        return theirs

    def close_inherited(self) -> None:
        """In a worker: close the supervisor's ends."""
        for channel in self._channels.values():
            channel.ours.close()

    def _go_on(self, member: Member) -> None:
        """Read what a worker has said, and let all hear what follows from it."""
        channel = self._channels.get(member)
        if channel is None:
            return
        try:
            received = channel.ours.recv(_READ_BYTES)
        except BlockingIOError:  # it can hear again
            self._write(channel)
            return
        except OSError:
            received = b""
        if received:
            *messages, channel.incoming = (channel.incoming + received).split(b"\n")
            for message in messages:
                self._put(partial(self._arbiter.hear, member, tuple(orjson.loads(message))))
        else:
            self._selector.unregister(channel.ours)
            channel.ours.close()
            del self._channels[member]
            self._put(partial(self._arbiter.forget, member))
        for each in self._channels.values():
            if each.outgoing:
                self._write(each)

    def _put(self, act: Callable[[], None]) -> None:
        """Have the arbiter act."""
        try:
            act()
        except Exception:  # a fault of ours must not end the supervisor, and with it all that is served
            log.exception("internal error of the arbiter of places")

    def _send(self, member: Member, message: Message) -> None:
        channel = self._channels.get(member)
        if channel is not None:
            channel.outgoing += orjson.dumps(message) + b"\n"

    def _write(self, channel: _Channel) -> None:
        """Write what the socket takes; never wait for a worker."""
        try:
            del channel.outgoing[: channel.ours.send(channel.outgoing)]
        except BlockingIOError:
            pass
        except OSError:  # it has ended; that is read, too
            channel.outgoing.clear()
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if channel.outgoing else 0)
        self._selector.modify(channel.ours, events, self._selector.get_key(channel.ours).data)
