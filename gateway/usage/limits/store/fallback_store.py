"""Limits go on being counted where their file cannot be had: by each process alone, and said once."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from gateway.usage.limits.arithmetic.counting import LimitStanding
from gateway.usage.limits.store.limit_store import CountedLimit, Exceeded, LimitStore, RecordStore, Taken

log = logging.getLogger("gateway.limits")

_Answer = TypeVar("_Answer")
_RETRY_SECONDS = 5.0


class FallbackStore(LimitStore):
    """Counts in what `make` opens, and in `memory` while that raises OSError."""

    def __init__(self, make: Callable[[], LimitStore], memory: RecordStore) -> None:
        self._make = make
        self._memory = memory
        self._shared: LimitStore | None = None
        self._retry_at = 0.0
        self._is_told = False
        self._unsettled: list[tuple[Taken, int | None, bool]] = []

    def take(self, claims: Sequence[CountedLimit], usual: bytes | None) -> Taken | Exceeded:
        return self._first_that_can(lambda store: store.take(claims, usual))

    def settle(self, taken: Taken, tokens: int | None, *, was_sent: bool) -> None:
        if taken.epoch == self._memory.epoch:
            self._memory.settle(taken, tokens, was_sent=was_sent)
            return
        self._unsettled.append((taken, tokens, was_sent))
        if time.monotonic() >= self._retry_at:
            self._first_that_can(_nothing_more)

    def look(self, claims: Sequence[CountedLimit]) -> list[LimitStanding]:
        return self._first_that_can(lambda store: store.look(claims))

    def close(self) -> None:
        self._memory.close()
        self._leave()

    def _leave(self) -> None:
        """Leave what may have been done by half: when it is opened again, what was held here counts as used."""
        self._unsettled.clear()
        if self._shared is not None:
            self._shared.close()
            self._shared = None

    def _first_that_can(self, act: Callable[[LimitStore], _Answer]) -> _Answer:
        if time.monotonic() >= self._retry_at:
            try:
                answer = act(self._settled())
            except OSError as error:
                self._retry_at = time.monotonic() + _RETRY_SECONDS
                if not isinstance(error, TimeoutError):
                    self._leave()
                self._tell(error)
            else:
                self._is_told = False
                return answer
        return act(self._memory)

    def _settled(self) -> LimitStore:
        """What is shared, with all that could not be settled there before."""
        if self._shared is None:
            self._shared = self._make()
        while self._unsettled:
            taken, tokens, was_sent = self._unsettled[-1]
            self._shared.settle(taken, tokens, was_sent=was_sent)
            self._unsettled.pop()
        return self._shared

    def _tell(self, error: OSError) -> None:
        if not self._is_told:
            self._is_told = True
            log.warning("limits are counted by each process alone, so each lets through as much: %s", error)


def _nothing_more(_store: LimitStore) -> None:
    """What had to be settled has been."""
