"""Whole answers leave together, at the end of a turn of the event loop.

Their clients are woken once for many of them instead of once for each: see docs/develop/decisions/0017.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol


class Sender(Protocol):
    """Who has something to send."""

    def flush(self) -> None: ...


class WriteCoalescer:
    """Calls `flush` of everyone who asked for it, once the sockets that are readable now have been read."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._senders: list[Sender] = []
        self._followers: list[Callable[[], None]] = []
        self._is_due = False

    def add(self, sender: Sender) -> None:
        """Flush it at the end of this turn. What is scheduled from now on runs after that."""
        self._senders.append(sender)
        if not self._is_due:
            self._end_turn_soon()

    def afterwards(self, act: Callable[[], None]) -> None:
        """Call this at the end of this turn, when all is flushed: clients need not wait for it."""
        self._followers.append(act)
        if not self._is_due:
            self._end_turn_soon()

    def _end_turn_soon(self) -> None:
        self._is_due = True
        self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._is_due = False
        senders, self._senders = self._senders, []
        followers, self._followers = self._followers, []
        for sender in senders:
            sender.flush()
        for act in followers:
            act()
