"""Limits go on being counted where their file cannot be had: by each process alone, and said once."""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from gateway.usage.limits.arithmetic.counting import LimitStanding
from gateway.usage.limits.store.limit_store import CountedLimit, Exceeded, LimitStore, MetLimits, Taken
from gateway.usage.limits.store.record_store import RecordStore

log = logging.getLogger("gateway.limits")

_Answer = TypeVar("_Answer")
_RETRY_SECONDS = 5.0


class FallbackStore(LimitStore):
    """Counts in what `make` opens, and in `memory` while that raises OSError."""

    def __init__(self, make: Callable[[], LimitStore], memory: RecordStore) -> None:
        self._make = make
        self._memory = memory
        self._shared: LimitStore | None = None
        self._ready: LimitStore | None = None  # what is shared, while nothing is in its way
        self._retry_at = 0.0
        self._is_told = False
        self._unsettled: deque[Callable[[LimitStore], None]] = deque()

    def take(self, met: MetLimits) -> Taken | Exceeded:
        if self._ready is not None:
            try:
                return self._ready.take(met)
            except OSError as error:
                self._fail(error)
        return self._first_that_can(lambda store: store.take(met))

    def settle(self, taken: Taken, tokens: int | None, *, was_sent: bool) -> None:
        if self._ready is not None and taken.epoch != self._memory.epoch:
            try:
                self._ready.settle(taken, tokens, was_sent=was_sent)
            except OSError as error:
                self._fail(error)
            else:
                return
        self._settle_where_taken(taken, lambda store: store.settle(taken, tokens, was_sent=was_sent))

    def leave(self, taken: Taken) -> None:
        self._settle_where_taken(taken, lambda store: store.leave(taken))

    def look(self, limits: Sequence[CountedLimit]) -> list[LimitStanding]:
        return self._first_that_can(lambda store: store.look(limits))

    def close(self) -> None:
        self._memory.close()
        self._leave_shared()

    def _settle_where_taken(self, taken: Taken, settle: Callable[[LimitStore], None]) -> None:
        """In memory; or, together with what could not be settled before, in what is shared, now or later."""
        if taken.epoch == self._memory.epoch:
            settle(self._memory)
            return
        self._unsettled.append(settle)
        if time.monotonic() >= self._retry_at:
            self._first_that_can(_nothing_more)

    def _first_that_can(self, act: Callable[[LimitStore], _Answer]) -> _Answer:
        if time.monotonic() >= self._retry_at:
            try:
                shared = self._settled()
                answer = act(shared)
            except OSError as error:
                self._fail(error)
            else:
                self._ready, self._is_told = shared, False
                return answer
        return act(self._memory)

    def _settled(self) -> LimitStore:
        """What is shared, with all that could not be settled there before."""
        if self._shared is None:
            self._shared = self._make()
        while self._unsettled:
            self._unsettled[0](self._shared)
            self._unsettled.popleft()
        return self._shared

    def _fail(self, error: OSError) -> None:
        self._ready = None
        self._retry_at = time.monotonic() + _RETRY_SECONDS
        if not isinstance(error, TimeoutError):
            self._leave_shared()
        if not self._is_told:
            self._is_told = True
            log.warning("limits are counted by each process alone, so each lets through as much: %s", error)

    def _leave_shared(self) -> None:
        """Leave what may have been done by half: when it is opened again, what was held here counts as used."""
        self._unsettled.clear()
        self._ready = None
        if self._shared is not None:
            self._shared.close()
            self._shared = None


def _nothing_more(_store: LimitStore) -> None:
    """What had to be settled has been."""
