"""One task in its slot, from the first batch of the prompt to the last token."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from mockserver.core.api_errors import ApiError
from mockserver.core.clock import Clock
from mockserver.core.options import Options
from mockserver.engine import answer_plan, slot_context
from mockserver.engine.answer_plan import Segment
from mockserver.engine.metrics import Metrics
from mockserver.engine.model import tokenizer
from mockserver.engine.model.text_composer import dice
from mockserver.engine.results import AnswerPart, BeginResult, FinalResult, PartialResult, PromptProgress, Result, Task
from mockserver.engine.slots import Slot
from mockserver.engine.stop_words import StopWordFilter
from mockserver.engine.timings import Timings
from mockserver.engine.token_timing import TokenTimer

_INSTANT = 1e-6
"""Seconds that work takes at least, so that no rate is infinite."""


@dataclass(slots=True)
class Generation:
    """A task at work. Iterate `results()` once; leaving it early is a cancellation.

    A choice that follows the first of its prompt takes part in what `leader` reads.
    """

    task: Task
    slot: Slot
    settings: Options
    clock: Clock
    metrics: Metrics
    busy: Callable[[], int]
    leader: "Generation | None" = None
    shared: bool = False
    timings: Timings = field(default_factory=Timings)
    tokens: list[int] = field(default_factory=list)
    parts: list[AnswerPart] = field(default_factory=list)
    prompt_read: asyncio.Event = field(default_factory=asyncio.Event)
    _pace: TokenTimer = field(init=False)
    _shifted: bool = False
    _stop: str = ""
    _stopped_by: str = ""

    def __post_init__(self) -> None:
        self._pace = TokenTimer(self.settings, self.clock, self.busy, dice(self.settings.seed, self.task.prompt))

    async def results(self) -> AsyncGenerator[Result]:
        """What happens, as it happens."""
        self._occupy()
        yield BeginResult(self.task)
        async for progress in self._follow(self.leader) if self.leader else self._read_prompt():
            yield progress
        self._pace.begin()
        try:
            async for result in self._write():
                yield result
        finally:
            seconds = self.timings.predicted_ms / 1000
            self.metrics.answer_done(len(self.task.prompt), self.timings.predicted_n, seconds)

    def _occupy(self) -> None:
        """Enter the slot; the last prompt token is always processed anew."""
        prompt, slot = self.task.prompt, self.slot
        cached = tokenizer.common_prefix(slot.cache, prompt) if self.task.params.cache_prompt else 0
        self.timings.cache_n = min(cached, len(prompt) - 1)
        slot.params = self.task.params.short()
        slot.prompt_tokens, slot.cached_tokens, slot.processed_tokens = len(prompt), self.timings.cache_n, 0
        slot.new_line, slot.decoded = False, 0
        slot.cache = list(prompt)

    async def _read_prompt(self) -> AsyncGenerator[PromptProgress]:
        """Process the prompt batch by batch, reporting progress if wanted."""
        wanted, started = self.task.params.return_progress, self.clock.now()
        done, total = self.timings.cache_n, len(self.task.prompt)
        self._pace.start()
        if wanted:
            yield PromptProgress(self.task, self.timings.copy(), done)
        while done < total:
            batch = min(self.settings.batch, total - done)
            done += batch
            self.timings.prompt_n += batch
            self.slot.processed_tokens = self.timings.prompt_n
            await self._pace.read(batch, batch / (total - self.timings.cache_n))
            self.timings.prompt_ms = self._milliseconds(started)
            self.metrics.decoded(self.busy())
            if wanted:
                yield PromptProgress(self.task, self.timings.copy(), done)
        self.metrics.prompt_done(self.timings.prompt_n, self.timings.cache_n, self.timings.prompt_ms / 1000)
        self.prompt_read.set()

    async def _follow(self, leader: "Generation") -> AsyncGenerator[PromptProgress]:
        """Wait for the prompt that another reads, and take over what it has read."""
        await leader.prompt_read.wait()
        read = leader.timings
        self.timings = Timings(cache_n=read.cache_n, prompt_n=read.prompt_n, prompt_ms=read.prompt_ms)
        self.slot.cached_tokens, self.slot.processed_tokens = read.cache_n, read.prompt_n
        if self.task.params.return_progress:
            yield PromptProgress(self.task, self.timings.copy(), len(self.task.prompt))

    async def _write(self) -> AsyncGenerator[PartialResult | FinalResult]:
        """Generate until the end, a stop word, or the limit."""
        limit = self._limit()
        self._stop = "" if limit > 0 else "limit"
        segments = answer_plan.write(self.task.prompt, self.task.params, self.task.wanted, self.task.choice)
        while not self._stop and (segment := next(segments, None)):
            async for piece in self._write_segment(segment, limit):
                yield piece
        yield self._final()

    async def _write_segment(self, segment: Segment, limit: int) -> AsyncGenerator[PartialResult]:
        outlet = StopWordFilter(self.task.params.stop if segment.channel == "content" else ())
        unsent: list[int] = []
        opens = True
        for token in segment.tokens:
            await self._count(token)
            if token == tokenizer.EOS:
                self._stop = "eos"
                break
            unsent.append(token)
            if text := outlet.push(tokenizer.piece(token)):
                yield self._piece(segment, text, unsent, opens=opens)
                opens, unsent = False, []
            if outlet.stopped_by or len(self.tokens) >= limit:
                self._stop, self._stopped_by = ("word" if outlet.stopped_by else "limit"), outlet.stopped_by
                break
        if not outlet.stopped_by and (text := outlet.flush()):
            yield self._piece(segment, text, unsent, opens=opens)
        if outlet.text:
            self.parts.append(AnswerPart(segment.channel, outlet.text, segment.name, segment.call_id))

    async def _count(self, token: int) -> None:
        """One more token, at its time. The last one generated is not in the cache yet."""
        await self._pace.write(self.timings.predicted_n)
        if self.timings.predicted_n:
            self.metrics.decoded(self.busy())
            self._make_room()
            self.slot.cache.append(self.tokens[-1])
        self.timings.predicted_n += 1
        self.timings.predicted_ms = self._milliseconds(self._pace.began)
        if token != tokenizer.EOS:
            self.tokens.append(token)
        self.slot.decoded = self.timings.predicted_n

    def _make_room(self) -> None:
        """Shift the context once it is full; raises the 500 of a prompt that several choices share."""
        if not slot_context.is_full(self.settings, len(self.slot.cache)):
            return
        if self.shared:
            raise ApiError(500, "context shift cannot be used for shared prompt")
        slot_context.shift(self.slot.cache, self.task.params.shown, len(self.task.prompt), self.settings.slot_context)
        self._shifted = True

    def _piece(self, segment: Segment, text: str, tokens: list[int], *, opens: bool) -> PartialResult:
        if "\n" in text:
            self.slot.new_line = True
        about = (segment.channel, opens, segment.name, segment.call_id, segment.number)
        return PartialResult(self.task, self.timings.copy(), text, tokens, *about)

    def _final(self) -> FinalResult:
        return FinalResult(
            task=self.task,
            timings=self.timings,
            slot=self.slot.id,
            stop_type=self._stop or "limit",
            parts=self.parts,
            tokens=self.tokens,
            stopping_word=self._stopped_by,
            truncated=self._shifted
            or self.timings.predicted_n >= slot_context.room(self.settings, len(self.task.prompt)),
            cached_after=len(self.slot.cache),
        )

    def _limit(self) -> int:
        """Tokens that may be generated: what was asked for, and what the context holds."""
        room, wanted = slot_context.room(self.settings, len(self.task.prompt)), self.task.params.n_predict
        return room if wanted < 0 else min(room, wanted)

    def _milliseconds(self, since: float) -> float:
        return round(max(self.clock.now() - since, _INSTANT) * 1000, 3)
