"""One task in its slot, from the first batch of the prompt to the last token.

Mirrors tools/server/server-context.cpp (`server_slot`).
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from mockserver.core.api_errors import ApiError
from mockserver.core.clock import Clock
from mockserver.core.options import Options
from mockserver.engine import answer_plan, context_window
from mockserver.engine.answer_plan import Segment
from mockserver.engine.metrics import Metrics
from mockserver.engine.model import tokenizer
from mockserver.engine.model.text_composer import dice
from mockserver.engine.results import AnswerPart, BeginResult, FinalResult, PartialResult, PromptProgress, Result, Task
from mockserver.engine.slots import Slot
from mockserver.engine.stop_words import StopWordFilter
from mockserver.engine.timings import Timings
from mockserver.engine.token_timing import TokenTimer

_SHORTEST = 1e-6
"""Seconds that work takes at least, so that no rate is infinite."""


@dataclass(slots=True)
class Generation:
    """A task at work. Iterate `results()` once; leaving it early is a cancellation.

    A choice that follows the first of its prompt takes over what its `parent` has processed. `is_shared` says that
    several choices hold the prompt.
    """

    task: Task
    slot: Slot
    options: Options
    clock: Clock
    metrics: Metrics
    busy: Callable[[], int]
    parent: "Generation | None" = None
    is_shared: bool = False
    timings: Timings = field(default_factory=Timings)
    tokens: list[int] = field(default_factory=list)
    parts: list[AnswerPart] = field(default_factory=list)
    prompt_processed: asyncio.Event = field(default_factory=asyncio.Event)
    _timer: TokenTimer = field(init=False)
    _truncated: bool = False
    _stop_type: str = ""
    _stopping_word: str = ""

    def __post_init__(self) -> None:
        self._timer = TokenTimer(self.options, self.clock, self.busy, dice(self.options.seed, self.task.prompt))

    async def results(self) -> AsyncGenerator[Result]:
        """What happens, as it happens."""
        self._launch()
        if not self.task.prompt:  # there is nothing to go on from
            self._stop_type = "none"
            yield self._final_result()
            return
        yield BeginResult(self.task)
        async for progress in self._wait_for_parent(self.parent) if self.parent else self._process_prompt():
            yield progress
        self._timer.start_generation()
        try:
            async for result in self._generate():
                yield result
        finally:
            seconds = self.timings.predicted_ms / 1000
            self.metrics.answer_done(len(self.task.prompt), self.timings.predicted_n, seconds)

    def _launch(self) -> None:
        """Take the slot over. The last prompt token is always processed anew."""
        prompt, slot = self.task.prompt, self.slot
        cached = tokenizer.common_prefix(slot.cache, prompt) if self.task.params.cache_prompt else 0
        self.timings.cache_n = min(cached, max(len(prompt) - 1, 0))
        slot.params = self.task.params.short()
        slot.prompt_tokens, slot.cached_tokens, slot.processed_tokens = len(prompt), self.timings.cache_n, 0
        slot.new_line, slot.decoded = False, 0
        slot.cache = list(prompt)

    async def _process_prompt(self) -> AsyncGenerator[PromptProgress]:
        """Process the prompt batch by batch, and report the progress if the request asks for it."""
        reports, started = self.task.params.return_progress, self.clock.now()
        done, total = self.timings.cache_n, len(self.task.prompt)
        self._timer.start_prompt()
        if reports:
            yield PromptProgress(self.task, self.timings.copy(), done)
        while done < total:
            batch = min(self.options.batch, total - done)
            done += batch
            self.timings.prompt_n += batch
            self.slot.processed_tokens = self.timings.prompt_n
            await self._timer.wait_for_batch(batch, batch / (total - self.timings.cache_n))
            self.timings.prompt_ms = self._milliseconds(started)
            self.metrics.decoded(self.busy())
            if reports:
                yield PromptProgress(self.task, self.timings.copy(), done)
        self.metrics.prompt_done(self.timings.prompt_n, self.timings.cache_n, self.timings.prompt_ms / 1000)
        self.prompt_processed.set()

    async def _wait_for_parent(self, parent: "Generation") -> AsyncGenerator[PromptProgress]:
        """Wait until the parent has processed the prompt, and take its work over."""
        await parent.prompt_processed.wait()
        done = parent.timings
        self.timings = Timings(cache_n=done.cache_n, prompt_n=done.prompt_n, prompt_ms=done.prompt_ms)
        self.slot.cached_tokens, self.slot.processed_tokens = done.cache_n, done.prompt_n
        if self.task.params.return_progress:
            yield PromptProgress(self.task, self.timings.copy(), len(self.task.prompt))

    async def _generate(self) -> AsyncGenerator[PartialResult | FinalResult]:
        """Generate until the end, a stop word, or the limit."""
        limit = self._token_limit()
        self._stop_type = "" if limit > 0 else "limit"
        segments = answer_plan.segments(self.task.prompt, self.task.params, self.task.plan, self.task.choice)
        while not self._stop_type and (segment := next(segments, None)):
            async for partial in self._generate_segment(segment, limit):
                yield partial
        yield self._final_result()

    async def _generate_segment(self, segment: Segment, limit: int) -> AsyncGenerator[PartialResult]:
        shown = StopWordFilter(self.task.params.stop if segment.channel == "content" else ())
        unsent: list[int] = []
        opens_part = True
        for token in segment.tokens:
            await self._accept(token)
            if token == tokenizer.EOS:
                self._stop_type = "eos"
                break
            unsent.append(token)
            if text := shown.push(tokenizer.piece(token)):
                yield self._partial_result(segment, text, unsent, opens_part=opens_part)
                opens_part, unsent = False, []
            if shown.stopping_word or len(self.tokens) >= limit:
                self._stop_type = "word" if shown.stopping_word else "limit"
                self._stopping_word = shown.stopping_word
                break
        if not shown.stopping_word and (text := shown.flush()):
            yield self._partial_result(segment, text, unsent, opens_part=opens_part)
        if shown.text:
            self.parts.append(AnswerPart(segment.channel, shown.text, segment.name, segment.call_id))

    async def _accept(self, token: int) -> None:
        """Count one more token, at its time. The last one generated is not in the cache yet."""
        await self._timer.wait_for_token(self.timings.predicted_n)
        if self.timings.predicted_n:
            self.metrics.decoded(self.busy())
            self._shift_full_context()
            self.slot.cache.append(self.tokens[-1])
        self.timings.predicted_n += 1
        self.timings.predicted_ms = self._milliseconds(self._timer.generation_start)
        if token != tokenizer.EOS:
            self.tokens.append(token)
        self.slot.decoded = self.timings.predicted_n

    def _shift_full_context(self) -> None:
        """Shift the context once it is full. Raises the 500 of a prompt that several choices share."""
        if not context_window.is_full(self.options, len(self.slot.cache)):
            return
        if self.is_shared:
            raise ApiError(500, "context shift cannot be used for shared prompt")
        context_window.shift(self.slot.cache, self.task.params.shown, len(self.task.prompt), self.options.slot_context)
        self._truncated = True

    def _partial_result(self, segment: Segment, text: str, tokens: list[int], *, opens_part: bool) -> PartialResult:
        if "\n" in text:
            self.slot.new_line = True
        about = (segment.channel, opens_part, segment.name, segment.call_id, segment.number)
        return PartialResult(self.task, self.timings.copy(), text, tokens, *about)

    def _final_result(self) -> FinalResult:
        return FinalResult(
            task=self.task,
            timings=self.timings,
            slot=self.slot.id,
            stop_type=self._stop_type or "limit",
            parts=self.parts,
            tokens=self.tokens,
            stopping_word=self._stopping_word,
            truncated=self._truncated
            or self.timings.predicted_n >= context_window.room(self.options, len(self.task.prompt)),
            cached_after=len(self.slot.cache),
            vocabulary=tokenizer.VOCABULARIES[self.options.vocabulary],
        )

    def _token_limit(self) -> int:
        """Tokens that may be generated: at most what the request asks for and what the context holds."""
        room, n_predict = context_window.room(self.options, len(self.task.prompt)), self.task.params.n_predict
        return room if n_predict < 0 else min(room, n_predict)

    def _milliseconds(self, since: float) -> float:
        return round(max(self.clock.now() - since, _SHORTEST) * 1000, 3)
