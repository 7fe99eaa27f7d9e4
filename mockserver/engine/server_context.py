"""What all requests of a server share: the slots, the clock, the counters, the template."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager

from mockserver.core.api_errors import too_long
from mockserver.core.clock import Clock
from mockserver.core.options import Options
from mockserver.engine.generation import Generation
from mockserver.engine.metrics import Metrics
from mockserver.engine.model.lora import LoraAdapters, Scales
from mockserver.engine.model.text_composer import IdGenerator
from mockserver.engine.request import chat_templates
from mockserver.engine.results import Result, Task
from mockserver.engine.slots import Slot, SlotPool

_Queue = asyncio.Queue[Result | Exception | None]


class ServerContext:
    """A model with its slots. Raises ValueError for a chat template that is none."""

    def __init__(self, settings: Options, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or Clock()
        self.pool = SlotPool(settings.slots)
        self.ids = IdGenerator(settings.seed)
        self.metrics = Metrics()
        self.template = chat_templates.find(settings.chat_template, settings.chat_template_source)
        self.adapters = LoraAdapters(settings.adapters)
        self.media_marker = f"<__media_{self.ids.new()}__>"
        self.started = self.clock.unix()
        self._tasks = 0
        self._active = 0
        self._last_active = self._awake_at = self.clock.now()
        self._was_sent_to_sleep = False
        self.on_wake: Callable[[], None] = _nothing
        self.on_idle: Callable[[], None] = _nothing

    @property
    def asleep(self) -> bool:
        """Whether the model was freed: because it was idle for so long, or because it was told to."""
        if self._was_sent_to_sleep:
            return True
        idle = self.settings.sleep_idle_seconds
        return idle >= 0 and not self._active and self.clock.now() - self._last_active >= idle

    @property
    def waking(self) -> bool:
        """Whether the model is on its way back from a sleep."""
        return self._awake_at > self.clock.now()

    def sleep(self) -> None:
        """Free the model: the next request wakes it."""
        self._was_sent_to_sleep = True

    def wake(self, seconds: float) -> None:
        """Have the model back in so many seconds; requests wait until then."""
        self._was_sent_to_sleep = False
        self._last_active = self.clock.now()
        self._awake_at = self._last_active + seconds

    @asynccontextmanager
    async def awake(self) -> AsyncIterator[None]:
        """Keep the model loaded, after loading it if it was asleep: the caller waits without a word."""
        if self.asleep:
            self.wake(self.settings.wake_seconds)
            self.on_wake()
        self._active += 1
        try:
            await self.returned()
            yield
        finally:
            self._active -= 1
            self._last_active = self.clock.now()
            if not self._active:
                self.on_idle()

    async def returned(self) -> None:
        """Wait for a model that is being loaded again after a sleep."""
        if self.waking:
            await self.clock.sleep_until(self._awake_at)

    async def process(self, tokens: Sequence[int]) -> None:
        """Take tokens in without generating: a slot's time for an embedding."""
        async with self._slots(tokens) as (slot,):
            slot.cache = []
            start = self.clock.now()
            speed = self.settings.prompt_tokens_per_second
            await self.clock.sleep_until(start + self.settings.ttft + (len(tokens) / speed if speed else 0))
            self.metrics.decoded(self.pool.busy)
            self.metrics.prompt_done(len(tokens), 0, max(self.clock.now() - start, 1e-6))

    async def run(self, tasks: Sequence[Task]) -> AsyncGenerator[Result]:
        """The results of all tasks, interleaved as they come. Closing the generator cancels them.

        The choices of one prompt begin together, as soon as there is a slot for each, and end each for itself.
        """
        merged = self._run_one(tasks[0]) if len(tasks) == 1 else self._merge(tasks)
        async with aclosing(merged) as results:
            async for result in results:
                yield result

    async def _run_one(self, task: Task) -> AsyncGenerator[Result]:
        async with (
            self._slots(task.prompt, task.params.id_slot) as held,
            aclosing(self._runs([task], held)[0].results()) as results,
        ):
            async for result in results:
                yield result

    async def _merge(self, tasks: Sequence[Task]) -> AsyncGenerator[Result]:
        queue: _Queue = asyncio.Queue()
        workers = [asyncio.create_task(self._feed(choices, queue)) for choices in _by_prompt(tasks)]
        running = len(workers)
        try:
            while running:
                item = await queue.get()
                if isinstance(item, Exception):
                    raise item
                if item is None:
                    running -= 1
                else:
                    yield item
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _feed(self, choices: Sequence[Task], queue: _Queue) -> None:
        """Run the choices of one prompt, each in a slot that it gives back when it is done."""
        first = choices[0]
        try:
            async with (
                self._slots(first.prompt, first.params.id_slot, len(choices)) as held,
                asyncio.TaskGroup() as group,
            ):
                for run in self._runs(choices, held):
                    group.create_task(self._feed_run(run, held, queue))
            queue.put_nowait(None)
        except ExceptionGroup as errors:
            queue.put_nowait(errors.exceptions[0])
        except Exception as error:  # noqa: BLE001  handed over, and raised by the reader
            queue.put_nowait(error)

    async def _feed_run(self, run: Generation, held: list[Slot], queue: _Queue) -> None:
        async with aclosing(run.results()) as results:
            async for result in results:
                queue.put_nowait(result)
        held.remove(run.slot)
        if run.leader:
            run.slot.cache = []  # what the choices share stays in the slot of the first
        self.pool.release(run.slot)

    def _runs(self, choices: Sequence[Task], slots: Sequence[Slot]) -> list[Generation]:
        """The choices of one prompt, each in its slot; raises the 400 of a prompt that no slot can hold."""
        if len(choices[0].prompt) >= self.settings.slot_context:
            raise too_long(len(choices[0].prompt), self.settings.slot_context)
        runs = list[Generation]()
        for task, slot in zip(choices, slots, strict=True):
            self._tasks += 1
            slot.task = self._tasks
            self._adapt(slot, task.params.lora)
            run = Generation(task, slot, self.settings, self.clock, self.metrics, lambda: self.pool.busy)
            run.leader, run.shared = (runs[0] if runs else None), len(choices) > 1
            runs.append(run)
        return runs

    def _adapt(self, slot: Slot, wanted: Scales) -> None:
        """Apply the adapters of a request to a slot, whose cache is worth nothing with others."""
        scales = self.adapters.for_request(wanted)
        if wanted and scales != slot.scales:
            slot.cache = []
        slot.scales = scales

    @asynccontextmanager
    async def _slots(self, prompt: Sequence[int], pinned: int = -1, count: int = 1) -> AsyncIterator[list[Slot]]:
        """Slots for a prompt; those still in the list at the end are given back."""
        held = await self.pool.acquire(prompt, pinned, count)
        try:
            yield held
        finally:
            for slot in held:
                self.pool.release(slot)


def _by_prompt(tasks: Sequence[Task]) -> list[list[Task]]:
    """The tasks in groups, each a prompt's first choice and those after it."""
    groups = list[list[Task]]()
    for task in tasks:
        if task.choice == 0:
            groups.append([])
        groups[-1].append(task)
    return groups


def _nothing() -> None:
    """Nobody wants to know."""
