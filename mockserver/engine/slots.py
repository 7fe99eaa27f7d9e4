"""The slots of a server: each holds one sequence and its cache; requests without one wait in line."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mockserver.engine.model.tokenizer import common_prefix

_WORTH_REUSING = 0.1
"""Share of a prompt that must already lie in a slot for that slot to be preferred (llama-server's default)."""


@dataclass(slots=True, eq=False)
class Slot:
    """One slot. `cache` holds the tokens of its last sequence, `scales` are those of its adapters, the other fields
    are what `/slots` shows.
    """

    id: int
    cache: list[int] = field(default_factory=list)
    busy: bool = False
    last_used: int = 0
    task: int | None = None
    prompt_tokens: int = 0
    processed_tokens: int = 0
    cached_tokens: int = 0
    decoded: int = 0
    new_line: bool = False
    params: dict[str, Any] = field(default_factory=dict)
    scales: list[float] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _DeferredTask:
    prompt: Sequence[int]
    pinned: int
    count: int
    granted: asyncio.Future[list[Slot]]


class SlotPool:
    """Hands out slots: the one a request names, else the best cached, else the one unused for longest.

    `busy` counts the slots at work.
    """

    def __init__(self, count: int) -> None:
        self.slots = [Slot(number) for number in range(count)]
        self._deferred: deque[_DeferredTask] = deque()
        self._uses = 0
        self.busy = 0

    @property
    def deferred(self) -> int:
        """Requests waiting in line."""
        return len(self._deferred)

    async def acquire(self, prompt: Sequence[int], pinned: int = -1, count: int = 1) -> list[Slot]:
        """So many slots at once, after everyone who came before. Cancelling gives up the place in line."""
        pinned = pinned % len(self.slots) if pinned >= 0 else -1  # llama-server wraps around, too
        waiting = _DeferredTask(prompt, pinned, count, asyncio.get_running_loop().create_future())
        self._deferred.append(waiting)
        self._grant()
        try:
            return await waiting.granted
        except asyncio.CancelledError:
            if waiting in self._deferred:
                self._deferred.remove(waiting)
            elif waiting.granted.done() and not waiting.granted.cancelled():
                for slot in waiting.granted.result():
                    self.release(slot)
            raise

    def release(self, slot: Slot) -> None:
        """Give a slot back, to the first in line who can use it."""
        slot.busy = False
        self.busy -= 1
        slot.decoded = slot.processed_tokens = slot.cached_tokens = 0
        self._grant()

    def _grant(self) -> None:
        """Give free slots away, first come first served; who waits for one in particular, or for several that are not
        free at once, holds up no other.
        """
        for waiting in list(self._deferred):
            if self.busy == len(self.slots):
                return
            chosen = [] if waiting.granted.done() else self._choose(waiting)
            if chosen or waiting.granted.done():
                self._deferred.remove(waiting)
            if chosen:
                waiting.granted.set_result([self._take(slot) for slot in chosen])

    def _take(self, slot: Slot) -> Slot:
        self._uses += 1
        self.busy += 1
        slot.busy, slot.last_used = True, self._uses
        return slot

    def _choose(self, waiting: _DeferredTask) -> list[Slot]:
        """The best slot and, if that is not enough, the first of the others; none if they are too few."""
        free = [slot for slot in self.slots if not slot.busy]
        fitting = [slot for slot in free if waiting.pinned in (-1, slot.id)]
        if not fitting or len(free) < waiting.count:
            return []
        best = self._best(fitting, waiting.prompt)
        return [best, *[slot for slot in free if slot is not best][: waiting.count - 1]]

    def _best(self, free: list[Slot], prompt: Sequence[int]) -> Slot:
        best = max(free, key=lambda slot: common_prefix(slot.cache, prompt))
        if common_prefix(best.cache, prompt) > _WORTH_REUSING * len(prompt):
            return best
        return min(free, key=lambda slot: slot.last_used)
