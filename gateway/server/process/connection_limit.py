"""Keeps client connections from taking the file descriptors that connections to upstreams need.

NGINX does the same when its `worker_connections` run out: it closes idle connections, the longest idle ones first.
"""

import heapq
import logging
from time import monotonic

from gateway.server.fast_path.demultiplexer import Demultiplexer

log = logging.getLogger("gateway")

_SHARE = 16  # this part of them is closed at a time: to search all of them for each that comes would be slow
_SILENT_SECONDS = 60.0


class ConnectionLimit:
    """The open client connections; of more than `most`, idle ones are closed."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: dict[Demultiplexer, None] = {}  # in the order in which they were made
        self._silent_until = 0.0

    def add(self, connection: Demultiplexer) -> None:
        """A client has connected."""
        self._open[connection] = None
        if len(self._open) > self._most:
            self._make_room(connection)

    def remove(self, connection: Demultiplexer) -> None:
        """A connection is closed."""
        self._open.pop(connection, None)

    def _make_room(self, newest: Demultiplexer) -> None:
        """Close the longest idle ones, and before others those that never had a good key; none that is busy."""
        idle = (each for each in self._open if each is not newest and each.is_idle)
        closed = heapq.nsmallest(max(self._most // _SHARE, 1), idle, key=_worth)
        for each in closed:
            each.close_idle()
            self._open.pop(each)
        if closed and monotonic() > self._silent_until:
            self._silent_until = monotonic() + _SILENT_SECONDS
            log.warning(
                "more than %d client connections: the longest idle are closed, so that upstreams get file descriptors; "
                "for more of both, raise the limit on open files (ulimit -n, LimitNOFILE=)",
                self._most,
            )


def _worth(connection: Demultiplexer) -> tuple[bool, float]:
    return connection.has_proved_key, connection.idle_since
