"""The pretended llama.cpp: the slots, the clock, the counters and the chat template, and the tasks that run on them.

Mirrors tools/server/server-context.cpp (`server_context_impl`).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager

from mockserver.core.api_errors import ApiError, too_large, too_long
from mockserver.core.clock import Clock
from mockserver.core.options import Options
from mockserver.engine.generation import Generation
from mockserver.engine.metrics import Metrics
from mockserver.engine.model.lora import LoraAdapters, Scales
from mockserver.engine.model.text_composer import IdGenerator
from mockserver.engine.model.tokenizer import VOCABULARIES, check_tokens
from mockserver.engine.request import chat_templates
from mockserver.engine.request.schema import task_params
from mockserver.engine.results import Result, Task
from mockserver.engine.slots import Slot, SlotPool

_Queue = asyncio.Queue[Result | Exception | None]


class ServerContext:
    """A model with its slots. Raises ValueError for a chat template that is not valid.

    `on_wake` is called when a request wakes a sleeping model, `on_idle` when the last request is over.
    """

    def __init__(self, options: Options, clock: Clock | None = None) -> None:
        self.options = options
        self.clock = clock or Clock()
        self.pool = SlotPool(options.slots)
        self.ids = IdGenerator(options.seed)
        self.metrics = Metrics()
        self.vocabulary = VOCABULARIES[options.vocabulary]
        self.template = chat_templates.find(options.chat_template, options.chat_template_source)
        self.adapters = LoraAdapters(options.adapters)
        self.media_marker = f"<__media_{self.ids.new()}__>"
        self.started = self.clock.unix()
        self._last_task_id = 0
        params = task_params.TaskParams(task_params.defaults(Options()) | {"reasoning_format": "none"})
        self._unsampled = params.short()  # no body has told those of an embedding's task anything
        self._active_requests = 0
        self._idle_since = self._awake_at = self.clock.now()
        self._is_told_to_sleep = False
        self.on_wake: Callable[[], None] = _ignore
        self.on_idle: Callable[[], None] = _ignore

    @property
    def is_asleep(self) -> bool:
        """Whether the model is freed: because it was idle for long enough, or because the state says so."""
        if self._is_told_to_sleep:
            return True
        idle = self.options.sleep_idle_seconds
        return idle >= 0 and not self._active_requests and self.clock.now() - self._idle_since >= idle

    @property
    def is_waking(self) -> bool:
        """Whether the model is on its way back from a sleep."""
        return self._awake_at > self.clock.now()

    def sleep(self) -> None:
        """Free the model: the next request wakes it."""
        self._is_told_to_sleep = True

    def wake(self, seconds: float) -> None:
        """Load the model in so many seconds; requests wait until then."""
        self._is_told_to_sleep = False
        self._idle_since = self.clock.now()
        self._awake_at = self._idle_since + seconds

    @asynccontextmanager
    async def awake(self) -> AsyncIterator[None]:
        """Keep the model loaded; load it first if it is asleep. The caller waits without any answer."""
        if self.is_asleep:
            self.wake(self.options.wake_seconds)
            self.on_wake()
        self._active_requests += 1
        try:
            await self.wait_until_awake()
            yield
        finally:
            self._active_requests -= 1
            self._idle_since = self.clock.now()
            if not self._active_requests:
                self.on_idle()

    async def wait_until_awake(self) -> None:
        """Wait for a model that is being loaded again after a sleep."""
        if self.is_waking:
            await self.clock.sleep_until(self._awake_at)

    async def process_all(self, inputs: Sequence[Sequence[int]]) -> None:
        """Pass inputs through a slot without generating anything, one after another, each at its turn.

        Raises ApiError for tokens that there are not, and for an input that one batch cannot hold.
        """
        for tokens in inputs:
            await self._process(tokens)

    async def _process(self, tokens: Sequence[int]) -> None:
        check_tokens(tokens)
        if len(tokens) > self.options.ubatch and not self.options.splits_inputs:
            raise too_large(len(tokens), self.options.ubatch)
        if len(tokens) >= self.options.slot_context:
            raise too_long(len(tokens), self.options.slot_context)
        async with self._held_slots(tokens) as (slot,):
            self._last_task_id += 1
            slot.task, slot.prompt_tokens, slot.params = self._last_task_id, len(tokens), self._unsampled
            slot.cache = []
            start = self.clock.now()
            speed = self.options.prompt_tokens_per_second
            await self.clock.sleep_until(start + self.options.ttft + (len(tokens) / speed if speed else 0))
            self.metrics.decoded(self.pool.busy)
            self.metrics.prompt_done(len(tokens), 0, max(self.clock.now() - start, 1e-6))

    async def run(self, tasks: Sequence[Task]) -> AsyncGenerator[Result]:
        """The results of all tasks, interleaved as they come. Closing the generator cancels them.

        The choices of one prompt begin together, as soon as there is a slot for each. Each gives its slot back when
        it ends.
        """
        merged = self._run_alone(tasks[0]) if len(tasks) == 1 else self._run_together(tasks)
        async with aclosing(merged) as results:
            async for result in results:
                yield result

    async def _run_alone(self, task: Task) -> AsyncGenerator[Result]:
        async with (
            self._held_slots(task.prompt, task.params.id_slot) as held,
            aclosing(self._generations([task], held)[0].results()) as results,
        ):
            async for result in results:
                yield result

    async def _run_together(self, tasks: Sequence[Task]) -> AsyncGenerator[Result]:
        queue: _Queue = asyncio.Queue()
        workers = [asyncio.create_task(self._run_choices(choices, queue)) for choices in _by_prompt(tasks)]
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

    async def _run_choices(self, choices: Sequence[Task], queue: _Queue) -> None:
        """Run the choices of one prompt, each in a slot that it gives back when it is done."""
        first = choices[0]
        try:
            async with (
                self._held_slots(first.prompt, first.params.id_slot, len(choices)) as held,
                asyncio.TaskGroup() as group,
            ):
                for generation in self._generations(choices, held):
                    group.create_task(self._forward_results(generation, held, queue))
            queue.put_nowait(None)
        except ExceptionGroup as errors:
            queue.put_nowait(errors.exceptions[0])
        except Exception as error:  # noqa: BLE001  handed over, and raised by the reader
            queue.put_nowait(error)

    async def _forward_results(self, generation: Generation, held: list[Slot], queue: _Queue) -> None:
        async with aclosing(generation.results()) as results:
            async for result in results:
                queue.put_nowait(result)
        held.remove(generation.slot)
        if generation.parent:
            generation.slot.cache = []  # what the choices share stays in the slot of the first
        self.pool.release(generation.slot)

    def _generations(self, choices: Sequence[Task], slots: Sequence[Slot]) -> list[Generation]:
        """The choices of one prompt, each in its slot; raises the 400 of a prompt that no slot can hold."""
        check_tokens(choices[0].prompt)
        if choices[0].plan.refusal:
            raise ApiError(400, choices[0].plan.refusal)
        if len(choices[0].prompt) >= self.options.slot_context:
            raise too_long(len(choices[0].prompt), self.options.slot_context)
        generations = list[Generation]()
        for task, slot in zip(choices, slots, strict=True):
            self._last_task_id += 1
            slot.task = self._last_task_id
            self._apply_lora(slot, task.params.lora)
            generation = Generation(task, slot, self.options, self.clock, self.metrics, lambda: self.pool.busy)
            generation.parent = generations[0] if generations else None
            generation.is_shared = len(choices) > 1
            generations.append(generation)
        return generations

    def _apply_lora(self, slot: Slot, requested: Scales) -> None:
        """Apply the adapters of a request to a slot, whose cache is worth nothing with others."""
        scales = self.adapters.for_request(requested)
        if requested and scales != slot.scales:
            slot.cache = []
        slot.scales = scales

    @asynccontextmanager
    async def _held_slots(self, prompt: Sequence[int], pinned: int = -1, count: int = 1) -> AsyncIterator[list[Slot]]:
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


def _ignore() -> None:
    """No callback is set."""
