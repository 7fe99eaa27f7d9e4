"""The slots of a server: each holds one sequence and its cache. Tasks without a slot are deferred.

Mirrors tools/server/server-context.cpp (`server_slot`) and tools/server/server-queue.cpp (deferred tasks).
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Sequence
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
class DeferredTask:
    """A task that waits for `count` slots, which are given to `launch`; `id_slot` is the one it asks for, or -1."""

    prompt: Sequence[int]
    launch: Callable[[list[Slot]], None]
    id_slot: int = -1
    count: int = 1


class SlotPool:
    """Hands out slots: the one a request names, else the best cached, else the one unused for longest.

    `busy` counts the slots at work.
    """

    def __init__(self, count: int) -> None:
        self.slots = [Slot(number) for number in range(count)]
        self._deferred: deque[DeferredTask] = deque()
        self._uses = itertools.count(1)
        self.busy = 0

    @property
    def deferred(self) -> int:
        """Requests waiting in line."""
        return len(self._deferred)

    def post(self, task: DeferredTask) -> None:
        """Launch a task at once if there are slots for it, else after everyone who came before."""
        if task.id_slot >= 0:
            task.id_slot %= len(self.slots)  # llama-server wraps around, too
        self._deferred.append(task)
        self._launch_deferred()

    async def acquire(self, prompt: Sequence[int], id_slot: int = -1) -> list[Slot]:
        """A slot, after everyone who came before. Cancelling gives up the place in line."""
        assigned: asyncio.Future[list[Slot]] = asyncio.get_running_loop().create_future()
        task = DeferredTask(prompt, assigned.set_result, id_slot)
        self.post(task)
        try:
            return await assigned
        except asyncio.CancelledError:
            self.withdraw(task)
            for slot in assigned.result() if assigned.done() and not assigned.cancelled() else ():
                self.release(slot)
            raise

    def withdraw(self, task: DeferredTask) -> None:
        """Give up a place in line."""
        if task in self._deferred:
            self._deferred.remove(task)
            self._launch_deferred()

    def release(self, slot: Slot) -> None:
        """Give a slot back, to the first in line who can use it."""
        slot.busy, slot.last_used = False, next(self._uses)
        self.busy -= 1
        slot.decoded = slot.processed_tokens = slot.cached_tokens = 0
        self._launch_deferred()

    def _launch_deferred(self) -> None:
        """Give free slots away, first come first served; who waits for one in particular, or for several that are not
        free at once, holds up no other.
        """
        while self.busy < len(self.slots):
            fitting = ((task, chosen) for task in self._deferred if (chosen := self._choose_slots(task)))
            task, chosen = next(fitting, (None, []))
            if task is None:
                return
            self._deferred.remove(task)
            task.launch([self._occupy(slot) for slot in chosen])

    def _occupy(self, slot: Slot) -> Slot:
        self.busy += 1
        slot.busy = True
        return slot

    def _choose_slots(self, task: DeferredTask) -> list[Slot]:
        """The best slot and, if that is not enough, the first of the others; none if they are too few."""
        free = [slot for slot in self.slots if not slot.busy]
        fitting = [slot for slot in free if task.id_slot in (-1, slot.id)]
        if not fitting or len(free) < task.count:
            return []
        best = self._best_slot(fitting, task.prompt)
        return [best, *[slot for slot in free if slot is not best][: task.count - 1]]

    def _best_slot(self, free: list[Slot], prompt: Sequence[int]) -> Slot:
        best = max(free, key=lambda slot: common_prefix(slot.cache, prompt))
        if common_prefix(best.cache, prompt) > _WORTH_REUSING * len(prompt):
            return best
        return min(free, key=lambda slot: (slot.last_used, -slot.id))  # of those never used, the last one
