"""Whole answers leave together, at the end of a turn of the event loop.

Their clients are woken once for many of them instead of once for each: see docs/develop/decisions/0017.
"""

import asyncio
from typing import Protocol


class Sender(Protocol):
    """Who has something to send."""

    def flush(self) -> None: ...


class WriteCoalescer:
    """Calls `flush` of everyone who asked for it, once the sockets that are readable now have been read."""

    def __init__(self) -> None:
        self._senders: list[Sender] = []

    def add(self, sender: Sender) -> None:
        """Flush it at the end of this turn. What is scheduled from now on runs after that."""
        if not self._senders:
            asyncio.get_running_loop().call_soon(self._flush)
        self._senders.append(sender)

    def _flush(self) -> None:
        senders, self._senders = self._senders, []
        for sender in senders:
            sender.flush()
