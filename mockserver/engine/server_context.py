"""The pretended llama.cpp: the slots, the clock, the counters and the chat template, and the tasks that run on them.

Mirrors tools/server/server-context.cpp (`server_context_impl`).
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

from mockserver.core.api_errors import ApiError, larger_than_context, too_large, too_long
from mockserver.core.clock import Clock
from mockserver.core.options import Options
from mockserver.engine.generation import Generation
from mockserver.engine.metrics import Metrics
from mockserver.engine.model.lora import LoraAdapters, Scales
from mockserver.engine.model.text_composer import IdGenerator
from mockserver.engine.model.tokenizer import VOCABULARIES, check_tokens
from mockserver.engine.prompt_only import PromptOnly
from mockserver.engine.request import chat_templates
from mockserver.engine.request.schema import task_params
from mockserver.engine.results import Result, Task
from mockserver.engine.scheduling import speed_profile
from mockserver.engine.scheduling.decode_time import DecodeTime
from mockserver.engine.scheduling.response_reader import ResponseQueue, ResponseReader
from mockserver.engine.scheduling.slots import DeferredTask, Slot, SlotPool
from mockserver.engine.slot_updates import SlotUpdates, SlotWork


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
        self.responses = ResponseQueue(self.clock, immediate=options.leaving == "immediate")
        decode_time = DecodeTime(options, speed_profile.load(options.profile) if options.profile else None)
        batch = options.ubatch if options.embeddings else options.batch
        self._updates = SlotUpdates(self.clock, self.pool, self.metrics, decode_time, batch)
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
        idle, is_working = self.options.sleep_idle_seconds, self._active_requests or self.pool.busy
        return idle >= 0 and not is_working and self.clock.now() - self._idle_since >= idle

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
        """Process prompts without generating anything, as for embeddings: each takes a slot for its time.

        Raises ApiError for tokens that there are not, and for an input that one batch cannot hold.
        """
        reader = ResponseReader(len(inputs), stream=False)
        self._post(reader, [self._embedding(reader, index, tokens) for index, tokens in enumerate(inputs)])
        async with self._read(reader):
            while reader.has_next:
                await reader.next()

    async def run(self, tasks: Sequence[Task], *, stream: bool = True) -> AsyncGenerator[Result]:
        """The results of all tasks, interleaved as they come; if not a `stream`, only the last of each.

        The choices of one prompt begin together, as soon as there is a slot for each. Each gives its slot back when
        it ends. Closing the generator is leaving: `--leaving` says when that is noticed, and the work ends.
        """
        reader = ResponseReader(len(tasks), stream=stream)
        self._post(reader, [self._choices(reader, choices) for choices in _by_prompt(tasks)])
        async with self._read(reader):
            while reader.has_next:
                yield await reader.next()

    def end_reasoning(self, completion_id: str) -> str:
        """Have an answer go on to its text; why not, if it cannot."""
        for work in self._updates.works:
            if isinstance(work, Generation) and work.task.params.completion_id == completion_id:
                return work.end_reasoning()
        return "no active completion for this id"

    def stop(self) -> None:
        """Take no further step, ever: who waits for results waits in vain."""
        self._updates.stop()

    def forget_clients(self) -> None:
        """End the work for clients that have left: their server is gone, too."""
        self.responses.stop_all()

    def _post(self, reader: ResponseReader, waiting: Sequence[DeferredTask]) -> None:
        """Have tasks wait for their slots."""
        reader.cancel = lambda: self._cancel(reader, waiting)
        reader.on_caught_up = self._updates.look_again
        self.responses.add(reader)
        for task in waiting:
            self.pool.post(task)

    @asynccontextmanager
    async def _read(self, reader: ResponseReader) -> AsyncIterator[None]:
        try:
            yield
        finally:
            self.responses.leave(reader)

    def _embedding(self, reader: ResponseReader, index: int, prompt: Sequence[int]) -> DeferredTask:
        splits = self.options.splits_inputs

        def launch(slots: list[Slot]) -> None:
            check_tokens(prompt)
            self._check_length(prompt, slots[0], splits=splits)
            slots[0].prompt_tokens, slots[0].params = len(prompt), self._unsampled
            send = self.responses.send
            self._launch(PromptOnly(index, len(prompt), splits, slots[0], reader, self.metrics, send, self._end))

        return DeferredTask(prompt, partial(self._try_to_launch, reader, launch))

    def _choices(self, reader: ResponseReader, choices: Sequence[Task]) -> DeferredTask:
        """The choices of one prompt, which wait for as many slots as they are."""
        first = choices[0]

        def launch(slots: list[Slot]) -> None:
            check_tokens(first.prompt)
            if first.plan.refusal:
                raise ApiError(400, first.plan.refusal)
            generations = [self._generation(reader, task, slot) for task, slot in zip(choices, slots, strict=True)]
            self._check_length(first.prompt, slots[0])
            generations[0].children = generations[1:]
            for generation in generations:
                generation.is_child = generation is not generations[0]
                generation.is_shared = len(choices) > 1
                self._launch(generation)

        return DeferredTask(
            first.prompt, partial(self._try_to_launch, reader, launch), first.params.id_slot, len(choices)
        )

    def _try_to_launch(self, reader: ResponseReader, launch: Callable[[list[Slot]], None], slots: list[Slot]) -> None:
        """Launch in slots, which are free again if that is an error of the request."""
        try:
            launch(slots)
        except ApiError as error:
            reader.fail(error)
            for slot in slots:
                self.pool.release(slot)

    def _check_length(self, prompt: Sequence[int], slot: Slot, *, splits: bool = True) -> None:
        """Raise the error of a prompt that its slot cannot hold, which counts as the slot's last task all the same."""
        refusal = _refused_length(len(prompt), self.options, splits=splits)
        if refusal is not None:
            self._last_task_id += 1
            slot.task = self._last_task_id
            raise refusal

    def _generation(self, reader: ResponseReader, task: Task, slot: Slot) -> Generation:
        self._apply_lora(slot, task.params.lora)
        return Generation(task, slot, reader, self.options, self.metrics, self.responses.send, self._end)

    def _launch(self, work: SlotWork) -> None:
        self._last_task_id += 1
        work.slot.task = self._last_task_id
        self._updates.launch(work)

    def _end(self, work: SlotWork) -> None:
        """Something is done, or broken off: it gives its slot back."""
        if self._updates.drop(work):
            work.end()
            self.pool.release(work.slot)
            if not self._active_requests and not self.pool.busy:  # the last client has left before
                self._idle_since = self.clock.now()
                self.on_idle()

    def _cancel(self, reader: ResponseReader, waiting: Sequence[DeferredTask]) -> None:
        """End all that is done for a request."""
        for task in waiting:
            self.pool.withdraw(task)
        for work in list(self._updates.works_of(reader)):
            self._end(work)

    def _apply_lora(self, slot: Slot, requested: Scales) -> None:
        """Apply the adapters of a request to a slot, whose cache is worth nothing with others."""
        scales = self.adapters.for_request(requested)
        if requested and scales != slot.scales:
            slot.cache = []
        slot.scales = scales


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


def _refused_length(tokens: int, options: Options, *, splits: bool) -> ApiError | None:
    """Why a prompt is too long, if it is: in `update_slots` one that has to stay whole is asked for its batch first."""
    if splits:
        return too_long(tokens, options.slot_context) if tokens >= options.slot_context else None
    if tokens > options.ubatch:
        return too_large(tokens, options.ubatch)
    return larger_than_context(tokens, options.slot_context) if tokens > options.slot_context else None
