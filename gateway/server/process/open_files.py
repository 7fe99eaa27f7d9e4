"""The limit on open files (RLIMIT_NOFILE): raised as far as it goes, and shared between clients and upstreams."""

import asyncio
import contextlib
import os
import resource
import sys

_OWN_FILES = 32  # listeners, the event loop, the log, the registry's source, the counters of workers, and some to spare
_TAKE_BACK_SECONDS = 0.5


def raise_limit() -> None:
    """Make the soft limit the hard one: a soft one of 1024, as is usual, is meant for programs that use `select`."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS calls it unlimited, and takes less
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def most_clients() -> int:
    """How many client connections there may be, so that each can have a connection to an upstream as well."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else max(1, (soft - _OWN_FILES) // 2)


class DescriptorReserve:
    """File descriptors that are kept for connections to upstreams, `size` of them.

    An event loop accepts all clients that wait, before anybody can say that there are too many: what must be left for
    upstreams has to be taken before. Each descriptor that is let go is taken back as soon as one is to be had.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._held: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._take_back()

    def let_one_go(self) -> bool:
        """Make one descriptor free, until the next turn of the event loop at least; False if none is held."""
        if not self._held:
            return False
        os.close(self._held.pop())
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TAKE_BACK_SECONDS, self._take_back)
        return True

    def close(self) -> None:
        """Let all go, for good."""
        if self._timer is not None:
            self._timer.cancel()
        while self._held:
            os.close(self._held.pop())

    def _take_back(self) -> None:
        self._timer = None
        try:
            while len(self._held) < self._size:
                self._held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            self._timer = asyncio.get_running_loop().call_later(_TAKE_BACK_SECONDS, self._take_back)
