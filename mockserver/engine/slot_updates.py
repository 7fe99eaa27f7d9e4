"""The steps of the model: each is one batch, of a token for every answer that runs and of prompts as far as there is
room. What is read and what is generated wait for the same step.

Mirrors tools/server/server-context.cpp (`update_slots`).
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from mockserver.core.clock import Clock
from mockserver.engine.metrics import Metrics
from mockserver.engine.scheduling.decode_time import DecodeTime
from mockserver.engine.scheduling.response_reader import ResponseReader
from mockserver.engine.scheduling.slots import Slot, SlotPool

_STEPS_A_TURN = 8
"""Steps in one go where the model has no speed to keep."""


class SlotWork(Protocol):
    """What a slot works at: first it reads a prompt, then perhaps it generates."""

    slot: Slot
    reader: ResponseReader
    is_generating: bool

    @property
    def prompt_to_read(self) -> int:
        """Prompt tokens that it reads in all."""

    def take_prompt(self, room: int, now: float) -> int:
        """Put as much of the prompt into a batch as there is room for; how many tokens that are."""

    def decoded(self, prompt_tokens: int, now: float) -> None:
        """A batch is through the model, with so many tokens of the prompt, or with the last token generated."""

    def end(self) -> None:
        """It is over, be it done or broken off."""


class SlotUpdates:
    """Does the work that was launched, step by step, for as long as there is any."""

    def __init__(self, clock: Clock, pool: SlotPool, metrics: Metrics, decode_time: DecodeTime, batch: int) -> None:
        self._clock, self._pool, self._metrics = clock, pool, metrics
        self._decode_time, self._batch_size = decode_time, batch
        self._works: list[SlotWork] = []
        self._is_new = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._is_stopped = False

    def launch(self, work: SlotWork) -> None:
        """Take something in from the next step on."""
        self._works.append(work)
        self._works.sort(key=lambda one: one.slot.id)
        self.look_again()

    def drop(self, work: SlotWork) -> bool:
        """Leave something out from now on; whether it was in."""
        if work not in self._works:
            return False
        self._works.remove(work)
        return True

    @property
    def works(self) -> Sequence[SlotWork]:
        """All that is worked at."""
        return self._works

    def works_of(self, reader: ResponseReader) -> list[SlotWork]:
        """What is worked at for a request."""
        return [work for work in self._works if work.reader is reader]

    def look_again(self) -> None:
        """Look for something to do: there is new work, or a client has caught up."""
        self._is_new.set()
        if self._works and not self._is_stopped and (self._running is None or self._running.done()):
            self._running = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Take no further step, ever."""
        self._is_stopped = True
        if self._running is not None:
            self._running.cancel()

    async def _run(self) -> None:
        """Take steps. One that fails is a bug of the mock, and is everybody's error."""
        try:
            await self._take_steps()
        except Exception as error:
            for work in list(self._works):
                work.reader.fail(error)
            raise

    async def _take_steps(self) -> None:
        """Take steps until there is nothing to do. The first one takes along who came at the same time."""
        if seconds := self._decode_time.of_request:
            await self._clock.sleep_until(self._clock.now() + seconds)
        count, due = 0, self._clock.now()
        while self._works:
            batch = self._next_batch()
            if not batch and self._works:
                self._is_new.clear()
                await self._is_new.wait()
                due = self._clock.now()
            if not batch:
                continue
            seconds = self._seconds(batch)
            due += seconds
            count += 1
            if seconds or count % _STEPS_A_TURN == 1:
                await self._clock.sleep_until(due)
            self._metrics.decoded(self._pool.busy)
            now = self._clock.now()
            for work, tokens in batch:
                if work in self._works:
                    work.decoded(tokens, now)

    def _next_batch(self) -> list[tuple[SlotWork, int]]:
        """What is in a step, each with the number of its prompt tokens: 0 for a token of the answer."""
        batch = [(work, 0) for work in self._works if work.is_generating and not self._waits_for_client(work)]
        room, now = self._batch_size - len(batch), self._clock.now()
        for work in list(self._works):
            if not work.is_generating and (tokens := work.take_prompt(room, now)):
                batch.append((work, tokens))
                room -= tokens
        return sorted(batch, key=lambda entry: entry[0].slot.id)

    def _seconds(self, batch: list[tuple[SlotWork, int]]) -> float:
        parts = [(tokens, work.prompt_to_read) for work, tokens in batch if tokens]
        context = sum(work.slot.prompt_tokens + work.slot.decoded for work, tokens in batch if not tokens)
        return self._decode_time.seconds(len(batch) - len(parts), parts, context)

    def _waits_for_client(self, work: SlotWork) -> bool:
        """Whether a model that is as fast as its client waits for it."""
        return self._decode_time.is_instant and work.reader.is_behind
