"""One task in its slot, from the first batch of the prompt to the last token.

Mirrors tools/server/server-context.cpp (`server_slot`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mockserver.core.api_errors import ApiError
from mockserver.core.options import Options
from mockserver.engine import answer_plan, context_window
from mockserver.engine.answer_plan import Segment
from mockserver.engine.metrics import Metrics
from mockserver.engine.model import tokenizer
from mockserver.engine.results import (
    AnswerPart,
    BeginResult,
    FinalResult,
    PartialResult,
    PromptProgress,
    Result,
    Task,
    TokenOutput,
)
from mockserver.engine.scheduling.response_reader import ResponseReader
from mockserver.engine.scheduling.slots import Slot
from mockserver.engine.stop_words import StopWordFilter
from mockserver.engine.timings import SHORTEST_SECONDS, Timings


@dataclass(slots=True, eq=False)
class Generation:
    """A task at work. It sends its results to its reader; `on_end` is called with it when it is over.

    A choice that follows the first of its prompt is one of the first one's `children`: it takes over what that has
    processed. `is_shared` says that several choices hold the prompt.
    """

    task: Task
    slot: Slot
    reader: ResponseReader
    options: Options
    metrics: Metrics
    send: Callable[[ResponseReader, Result], None]
    on_end: Callable[["Generation"], None]
    is_child: bool = False
    is_shared: bool = False
    children: list["Generation"] = field(default_factory=list)
    timings: Timings = field(default_factory=Timings)
    tokens: list[int] = field(default_factory=list)
    outputs: list[TokenOutput] = field(default_factory=list)
    parts: list[AnswerPart] = field(default_factory=list)
    is_generating: bool = False
    _started_at: float | None = None
    _processed: int = 0
    _generating_since: float = 0.0
    _now: float = 0.0
    _steps: Iterator[None] = field(init=False)
    _truncated: bool = False
    _ends_reasoning: bool = False
    _unsent_prefill: str = ""
    _stop_type: str = ""
    _stopping_word: str = ""

    def __post_init__(self) -> None:
        self._steps = self._generate()
        self._unsent_prefill = self.task.plan.prefill if self.task.plan.sends_prefill else ""
        self.slot.params = self.task.params.short()
        self.slot.prompt_tokens, self.slot.cached_tokens, self.slot.processed_tokens = len(self.task.prompt), 0, 0
        self.slot.new_line, self.slot.decoded = False, 0

    @property
    def prompt_to_read(self) -> int:
        """Prompt tokens that were not in the cache."""
        return len(self.task.prompt) - self.timings.cache_n

    def take_prompt(self, room: int, now: float) -> int:
        """Put the next part of the prompt into a batch with so much room; how many tokens that are."""
        if not self.task.prompt:  # there is nothing to go on from
            self._stop_type = "none"
            self.send(self.reader, self._final_result())
            self.on_end(self)
        if not self.task.prompt or self.is_child or self.is_generating or room <= 0:
            return 0
        if self._started_at is None:
            self._start(now)
        tokens = min(room, len(self.task.prompt) - self._processed)
        self.slot.cache.extend(self.task.prompt[self._processed : self._processed + tokens])
        self._processed += tokens
        return tokens

    def decoded(self, prompt_tokens: int, now: float) -> None:
        """A batch is through the model, with so many tokens of the prompt, or with the last token generated."""
        self._now = now
        if prompt_tokens:
            self._note_prompt(prompt_tokens)
            if self._processed < len(self.task.prompt):
                return
            self.metrics.prompt_done(self.timings.prompt_n, self.timings.cache_n, self.timings.prompt_ms / 1000)
            for child in self.children:
                child.take_over(self, now)
            self._begin_answer()
        self._sample()

    def take_over(self, parent: "Generation", now: float) -> None:
        """Go on from the prompt that the first choice has processed."""
        self._now = now
        done = parent.timings
        self.timings = Timings(cache_n=done.cache_n, prompt_n=done.prompt_n, prompt_ms=done.prompt_ms)
        self._processed = len(self.task.prompt)
        self.slot.cache = list(self.task.prompt)
        self.slot.cached_tokens, self.slot.processed_tokens = done.cache_n, done.prompt_n
        self._report_progress()
        self._begin_answer()
        self._sample()

    def end_reasoning(self) -> str:
        """Think no further than to the next token; why not, if the request does not allow it."""
        if not self.task.params.reasoning_control:
            return "reasoning control not enabled for this completion"
        self._ends_reasoning = True
        return ""

    def end(self) -> None:
        """Count what was generated, be it whole or broken off. What choices share stays in the slot of the first."""
        if self.is_child:
            self.slot.cache = []
        if self.is_generating:
            seconds = self.timings.predicted_ms / 1000
            self.metrics.answer_done(len(self.task.prompt), self.timings.predicted_n, seconds)

    def _start(self, now: float) -> None:
        """Take the slot's cache over, and tell the client. The last prompt token is always processed anew."""
        prompt, slot = self.task.prompt, self.slot
        cached = tokenizer.common_prefix(slot.cache, prompt) if self.task.params.cache_prompt else 0
        self._processed = self.timings.cache_n = slot.cached_tokens = min(cached, len(prompt) - 1)
        del slot.cache[self._processed :]
        self._started_at = now
        if self.task.params.return_progress:
            self._report_progress()
        elif self.reader.stream:
            self.send(self.reader, BeginResult(self.task))

    def _note_prompt(self, tokens: int) -> None:
        self.timings.prompt_n += tokens
        self.timings.prompt_ms = self._milliseconds(self._started_at or 0.0)
        self.slot.processed_tokens = self.timings.prompt_n
        self._report_progress()

    def _report_progress(self) -> None:
        if self.reader.stream and self.task.params.return_progress:
            self.send(self.reader, PromptProgress(self.task, self.timings.copy(), self._processed))

    def _begin_answer(self) -> None:
        """The prompt is processed: the first token can be taken at once."""
        self.is_generating, self._generating_since = True, self._now
        next(self._steps)

    def _sample(self) -> None:
        """Take a token. What cannot go on is an error for the client."""
        try:
            over = next(self._steps, self) is self
        except ApiError as error:
            self.reader.fail(error)
            return
        if over:
            self.on_end(self)

    def _generate(self) -> Iterator[None]:
        """Generate until the end, a stop word, or the limit; stands still before each token."""
        limit = self._token_limit()
        self._stop_type = "" if limit > 0 else "limit"
        segments = answer_plan.segments(self.task.prompt, self.task.params, self.task.plan, self.task.choice)
        while not self._stop_type and (segment := next(segments, None)):
            yield from self._generate_segment(segment, limit)
        if not self.timings.predicted_n:
            yield
        self.send(self.reader, self._final_result())

    def _generate_segment(self, segment: Segment, limit: int) -> Iterator[None]:
        shown = StopWordFilter(self.task.params.stop if segment.channel == "content" else ())
        opens_part = True
        for token in segment.tokens:
            if self._ends_reasoning and segment.channel == "reasoning":
                break
            yield
            self._accept(token)
            text = shown.push(tokenizer.piece(token), is_end=token == tokenizer.EOS)
            if text is not None:
                self._show(segment, TokenOutput(token, text), opens_part=opens_part, stops=shown.stopped)
                opens_part = opens_part and not text
            self._stop_type = self._stop_after(token, limit, shown)
            if self._stop_type:
                break
        said = shown.sent if self.reader.stream else shown.whole()
        if text := self._prefill_of(segment) + said:
            self.parts.append(AnswerPart(segment.channel, text, segment.name, segment.call_id))

    def _stop_after(self, token: int, limit: int, shown: StopWordFilter) -> str:
        """Why the answer ends with this token; empty if it goes on."""
        if token == tokenizer.EOS:
            return "eos"
        if shown.stopped:
            self._stopping_word = shown.stopping_word
            return "word"
        return "limit" if len(self.tokens) >= limit else ""

    def _prefill_of(self, segment: Segment) -> str:
        """What the client has written of a segment: of the first text."""
        is_first = segment.channel == "content" and all(part.channel != "content" for part in self.parts)
        return self.task.plan.prefill if is_first else ""

    def _accept(self, token: int) -> None:
        """Count one more token. The last one generated is not in the cache yet."""
        if self.timings.predicted_n:
            self._shift_full_context()
            self.slot.cache.append(self.tokens[-1])
        self.timings.predicted_n += 1
        self.timings.predicted_ms = self._milliseconds(self._generating_since)
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

    def _show(self, segment: Segment, output: TokenOutput, *, opens_part: bool, stops: bool) -> None:
        """Note a token that ended a character, and send it, if the client wants pieces."""
        self.outputs.append(output)
        if "\n" in output.text:
            self.slot.new_line = True
        if self.reader.stream:
            if self._unsent_prefill and segment.channel == "content" and output.text:
                output = output._replace(text=self._unsent_prefill + output.text)
                self._unsent_prefill = ""
            about = (segment.channel, opens_part, segment.name, segment.call_id, segment.number, stops)
            self.send(self.reader, PartialResult(self.task, self.timings.copy(), output, *about))

    def _final_result(self) -> FinalResult:
        return FinalResult(
            task=self.task,
            timings=self.timings,
            slot=self.slot.id,
            stop_type=self._stop_type or "limit",
            parts=self.parts,
            tokens=self.tokens,
            outputs=self.outputs,
            stopping_word=self._stopping_word,
            truncated=self._truncated
            or self.timings.predicted_n >= context_window.room(self.options, len(self.task.prompt)),
            cached_after=len(self.slot.cache),
            vocabulary=tokenizer.VOCABULARIES[self.options.vocabulary],
        )

    def _token_limit(self) -> int:
        """Tokens that may be generated: what the request asks for, never none, and at most what the context holds."""
        room, n_predict = context_window.room(self.options, len(self.task.prompt)), self.task.params.n_predict
        return room if n_predict < 0 else min(room, max(n_predict, 1))

    def _milliseconds(self, since: float) -> float:
        return round(max(self._now - since, SHORTEST_SECONDS) * 1000, 3)
