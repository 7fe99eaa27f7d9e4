"""A prompt in its slot that nothing is generated from: an embedding, or a document that is ranked.

Mirrors tools/server/server-context.cpp (`server_slot`, of tasks that need an embedding).
"""

from collections.abc import Callable
from dataclasses import dataclass

from mockserver.engine.metrics import Metrics
from mockserver.engine.results import EmbeddingResult, Result
from mockserver.engine.scheduling.response_reader import ResponseReader
from mockserver.engine.scheduling.slots import Slot
from mockserver.engine.timings import SHORTEST_SECONDS


@dataclass(slots=True, eq=False)
class PromptOnly:
    """A prompt of so many tokens, all in one batch unless it `splits`; `index` tells those of one request apart."""

    index: int
    prompt_to_read: int
    splits: bool
    slot: Slot
    reader: ResponseReader
    metrics: Metrics
    send: Callable[[ResponseReader, Result], None]
    on_end: Callable[["PromptOnly"], None]
    is_generating: bool = False
    _started_at: float | None = None
    _processed: int = 0

    def take_prompt(self, room: int, now: float) -> int:
        """The prompt, or as much of it as there is room for."""
        if self._started_at is None:
            self._started_at = now
        tokens = self.prompt_to_read - self._processed
        if tokens > room and not self.splits:
            return 0
        self._processed += min(tokens, room)
        return min(tokens, room)

    def decoded(self, prompt_tokens: int, now: float) -> None:
        """A part of the prompt is through the model, or all of it."""
        if self._processed < self.prompt_to_read:
            return
        self.metrics.prompt_done(self.prompt_to_read, 0, max(now - (self._started_at or 0.0), SHORTEST_SECONDS))
        self.send(self.reader, EmbeddingResult(self.index))
        self.on_end(self)

    def end(self) -> None:
        """Nothing of it stays in the slot."""
        self.slot.cache = []
