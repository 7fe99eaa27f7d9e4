"""One task in its slot, from the first batch of the prompt to the last token."""

import random
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from mockserver import script, tokenizer
from mockserver.clock import Clock
from mockserver.engine import dice
from mockserver.metrics import Metrics
from mockserver.results import Begin, Final, Part, Piece, Progress, Result, Task
from mockserver.script import Segment
from mockserver.settings import Settings
from mockserver.slots import Slot
from mockserver.stopping import Outlet
from mockserver.timings import Timings

_TURN = 8
"""Tokens generated in one go where there is no speed to keep."""

_INSTANT = 1e-6
"""Seconds that work takes at least, so that no rate is infinite."""


@dataclass(slots=True)
class Run:
    """A task at work. Iterate `results()` once; leaving it early is a cancellation."""

    task: Task
    slot: Slot
    settings: Settings
    clock: Clock
    metrics: Metrics
    busy: Callable[[], int]
    timings: Timings = field(default_factory=Timings)
    tokens: list[int] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    _first: float = 0.0
    _due: float = 0.0
    _dice: random.Random = field(init=False)
    _stop: str = ""
    _stopped_by: str = ""

    def __post_init__(self) -> None:
        self._dice = dice(self.settings.seed, self.task.prompt)

    async def results(self) -> AsyncGenerator[Result]:
        """What happens, as it happens."""
        started = self.clock.now()
        self._occupy()
        yield Begin(self.task)
        async for progress in self._read_prompt(started):
            yield progress
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

    async def _read_prompt(self, started: float) -> AsyncGenerator[Progress]:
        """Process the prompt batch by batch, reporting progress if wanted."""
        wanted, self._due = self.task.params.return_progress, started
        done, total = self.timings.cache_n, len(self.task.prompt)
        if wanted:
            yield Progress(self.task, self.timings.copy(), done)
        while done < total:
            batch = min(self.settings.batch, total - done)
            done += batch
            self.timings.prompt_n += batch
            self.slot.processed_tokens = self.timings.prompt_n
            self._due += self._stretched(self.settings.ttft * batch / (total - self.timings.cache_n))
            if speed := self.settings.prompt_tokens_per_second:
                self._due += self._stretched(batch / speed)
            await self.clock.sleep_until(self._due)
            self.timings.prompt_ms = self._milliseconds(started)
            self.metrics.decoded(self.busy())
            if wanted:
                yield Progress(self.task, self.timings.copy(), done)
        self._first = self._due = self.clock.now()
        self.metrics.prompt_done(self.timings.prompt_n, self.timings.cache_n, self.timings.prompt_ms / 1000)

    async def _write(self) -> AsyncGenerator[Piece | Final]:
        """Generate until the end, a stop word, or the limit."""
        limit = self._limit()
        self._stop = "" if limit > 0 else "limit"
        segments = script.write(self.task.prompt, self.task.params, self.task.wanted, self.task.choice)
        while not self._stop and (segment := next(segments, None)):
            async for piece in self._write_segment(segment, limit):
                yield piece
        yield self._final()

    async def _write_segment(self, segment: Segment, limit: int) -> AsyncGenerator[Piece]:
        outlet = Outlet(self.task.params.stop if segment.channel == "content" else ())
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
            self.parts.append(Part(segment.channel, outlet.text, segment.name, segment.call_id))

    async def _count(self, token: int) -> None:
        """One more token, at its time. The last one generated is not in the cache yet."""
        await self._pause()
        if self.timings.predicted_n:
            self.metrics.decoded(self.busy())
            self.slot.cache.append(self.tokens[-1])
        self.timings.predicted_n += 1
        self.timings.predicted_ms = self._milliseconds(self._first)
        if token != tokenizer.EOS:
            self.tokens.append(token)
        self.slot.decoded = self.timings.predicted_n

    def _piece(self, segment: Segment, text: str, tokens: list[int], *, opens: bool) -> Piece:
        if "\n" in text:
            self.slot.new_line = True
        about = (segment.channel, opens, segment.name, segment.call_id, segment.number)
        return Piece(self.task, self.timings.copy(), text, tokens, *about)

    def _final(self) -> Final:
        stop_type = self._stop or "limit"
        return Final(
            task=self.task,
            timings=self.timings,
            slot=self.slot.id,
            stop_type=stop_type,
            parts=self.parts,
            tokens=self.tokens,
            stopping_word=self._stopped_by,
            truncated=stop_type == "limit" and len(self.tokens) != self.task.params.n_predict,
            cached_after=len(self.slot.cache),
        )

    def _limit(self) -> int:
        """Tokens that may be generated: what was asked for, and what the context still holds."""
        room = self.settings.slot_context - len(self.task.prompt)
        return room if self.task.params.n_predict < 0 else min(room, self.task.params.n_predict)

    def _milliseconds(self, since: float) -> float:
        return round(max(self.clock.now() - since, _INSTANT) * 1000, 3)

    async def _pause(self) -> None:
        """Wait until the next token is due. Without a speed only let others have their turn."""
        speed = self.settings.tokens_per_second
        if speed and self.timings.predicted_n:
            self._due += self._stretched(1 / speed)
            await self.clock.sleep_until(self._due)
        elif self.timings.predicted_n % _TURN == 0:
            await self.clock.sleep_until(self._first)

    def _stretched(self, seconds: float) -> float:
        """A time under the load there is, and with the jitter of the dice."""
        settings = self.settings
        load = (settings.load_factor - 1) * (self.busy() - 1) / max(settings.slots - 1, 1)
        return seconds * (1 + load) * (1 + settings.jitter * (2 * self._dice.random() - 1))
