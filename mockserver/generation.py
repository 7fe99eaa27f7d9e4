"""One task from queue to last token, as a stream of results that every API turns into its own shape."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from mockserver import tokenizer
from mockserver.clock import Clock
from mockserver.engine import Ids, compose, dice
from mockserver.errors import too_long
from mockserver.params import Params
from mockserver.settings import Settings
from mockserver.slots import Slot, SlotPool
from mockserver.stopping import Outlet
from mockserver.timings import Timings


@dataclass(slots=True)
class Task:
    """A prompt to continue; `index` tells the choices of one request apart."""

    prompt: list[int]
    params: Params
    index: int = 0


@dataclass(slots=True)
class Begin:
    """A slot was found and the prompt is being processed: from now on the status is 200."""

    task: Task


@dataclass(slots=True)
class Progress:
    """How much of the prompt is processed."""

    task: Task
    timings: Timings
    processed: int


@dataclass(slots=True)
class Piece:
    """Text that may be shown, with the tokens it came from."""

    task: Task
    timings: Timings
    text: str
    tokens: list[int]


@dataclass(slots=True)
class Final:
    """The end of a task. `text` is all of it; `stop_type` is `eos`, `limit` or `word`."""

    task: Task
    timings: Timings
    slot: int
    text: str
    stop_type: str
    stopping_word: str = ""
    truncated: bool = False
    tokens: list[int] = field(default_factory=list)

    @property
    def completion_tokens(self) -> int:
        """Tokens generated."""
        return self.timings.predicted_n


Result = Begin | Progress | Piece | Final


class Machine:
    """What all requests of a server share: the slots, the clock, the ids, the seed."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or Clock()
        self.pool = SlotPool(settings.slots)
        self.ids = Ids(settings.seed)
        self._tasks = 0

    async def run(self, tasks: Sequence[Task]) -> AsyncGenerator[Result]:
        """The results of all tasks, interleaved as they come. Closing the iterator cancels them."""
        if len(tasks) == 1:
            async with aclosing(self._run_one(tasks[0])) as results:
                async for result in results:
                    yield result
            return
        queue: asyncio.Queue[Result | BaseException | None] = asyncio.Queue()
        workers = [asyncio.create_task(self._feed(task, queue)) for task in tasks]
        try:
            running = len(workers)
            while running:
                item = await queue.get()
                if isinstance(item, BaseException):
                    raise item
                if item is None:
                    running -= 1
                else:
                    yield item
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def process(self, tokens: Sequence[int]) -> None:
        """Take tokens in without generating: a slot's time for an embedding."""
        slot = await self.pool.acquire(tokens)
        try:
            start = self.clock.now() + self.settings.ttft
            await self._wait(start, len(tokens), self.settings.prompt_tokens_per_second)
        finally:
            self.pool.release(slot)

    async def _feed(self, task: Task, queue: asyncio.Queue[Result | BaseException | None]) -> None:
        try:
            async with aclosing(self._run_one(task)) as results:
                async for result in results:
                    queue.put_nowait(result)
        except Exception as error:  # noqa: BLE001  handed over, raised by the reader
            queue.put_nowait(error)
        else:
            queue.put_nowait(None)

    async def _run_one(self, task: Task) -> AsyncGenerator[Result]:
        slot = await self.pool.acquire(task.prompt, task.params.id_slot)
        try:
            if len(task.prompt) >= self.settings.slot_context:
                raise too_long(len(task.prompt), self.settings.slot_context)
            async with aclosing(self._generate(task, slot)) as results:
                async for result in results:
                    yield result
        finally:
            self.pool.release(slot)

    def _occupy(self, task: Task, slot: Slot) -> Timings:
        """Enter a task into its slot; the last prompt token is always processed anew."""
        self._tasks += 1
        cached = tokenizer.common_prefix(slot.cache, task.prompt) if task.params.cache_prompt else 0
        cached = min(cached, len(task.prompt) - 1)
        slot.task, slot.params = self._tasks, task.params.short()
        slot.prompt_tokens, slot.cached_tokens, slot.processed_tokens = len(task.prompt), cached, 0
        slot.cache = list(task.prompt)
        return Timings(cache_n=cached)

    async def _generate(self, task: Task, slot: Slot) -> AsyncGenerator[Result]:
        timings, started = self._occupy(task, slot), self.clock.now()
        yield Begin(task)
        if task.params.return_progress:
            yield Progress(task, timings, timings.cache_n)
        new = len(task.prompt) - timings.cache_n
        await self._wait(started + self.settings.ttft, new, self.settings.prompt_tokens_per_second)
        timings.prompt_n, slot.processed_tokens = new, new
        first = self.clock.now()
        timings.prompt_ms = round((first - started) * 1000, 3)
        if task.params.return_progress:
            yield Progress(task, timings, len(task.prompt))

        outlet = Outlet(task.params.stop)
        limit = self._limit(task)
        stop_type, tokens, unsent = "eos", list[int](), list[int]()
        endless = bool(task.params.shown["ignore_eos"])
        for token in compose(dice(task.params.seed, task.prompt), endless=endless):
            await self._wait(first, len(tokens), self.settings.tokens_per_second)
            tokens.append(token)
            unsent.append(token)
            slot.decoded = timings.predicted_n = len(tokens)
            timings.predicted_ms = round(max(self.clock.now() - first, 1e-6) * 1000, 3)
            text = outlet.push(tokenizer.piece(token))
            if text:
                yield Piece(task, timings, text, unsent)
                unsent = []
            if outlet.stopped_by or len(tokens) >= limit:
                stop_type = "word" if outlet.stopped_by else "limit"
                break
            slot.cache.append(token)
        if not outlet.stopped_by and (tail := outlet.flush()):
            yield Piece(task, timings, tail, unsent)
        truncated = stop_type == "limit" and len(tokens) != task.params.n_predict
        yield Final(task, timings, slot.id, outlet.text, stop_type, outlet.stopped_by, truncated, tokens)

    def _limit(self, task: Task) -> float:
        """Tokens that may be generated: what was asked for, and what the context still holds."""
        room = self.settings.slot_context - len(task.prompt)
        return room if task.params.n_predict < 0 else min(room, task.params.n_predict)

    async def _wait(self, start: float, count: int, per_second: float) -> None:
        """Wait as long as `count` tokens take from `start`; no speed means no delay."""
        await self.clock.sleep_until(start + (count / per_second if per_second else 0.0))
