"""A task and its results, in the order in which they come.

Mirrors tools/server/server-task.h.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mockserver.engine.answer_plan import AnswerPlan
from mockserver.engine.model import logprobs
from mockserver.engine.model.tokenizer import VOCABULARIES, Vocabulary, encode
from mockserver.engine.request.schema.task_params import TaskParams
from mockserver.engine.timings import Timings


@dataclass(slots=True)
class Task:
    """A prompt to continue; `index` tells the answers of one request apart, `choice` those of one prompt, from 0."""

    prompt: list[int]
    params: TaskParams
    index: int = 0
    choice: int = 0
    plan: AnswerPlan = field(default_factory=AnswerPlan)


@dataclass(slots=True)
class BeginResult:
    """A slot was found and the prompt is being processed: from now on the status is 200."""

    task: Task


@dataclass(slots=True)
class PromptProgress:
    """How much of the prompt is processed."""

    task: Task
    timings: Timings
    processed: int

    @property
    def timed(self) -> bool:
        """Whether it comes with timings."""
        return self.task.params.timed

    def as_json(self) -> dict[str, int]:
        """The `prompt_progress` object."""
        return {
            "total": len(self.task.prompt),
            "cache": self.timings.cache_n,
            "processed": self.processed,
            "time_ms": int(self.timings.prompt_ms),
        }


@dataclass(slots=True)
class AnswerPart:
    """A finished part of an answer: text, thoughts, or the arguments of a tool call."""

    channel: str
    text: str
    name: str = ""
    call_id: str = ""


class TokenOutput(NamedTuple):
    """A token, and the text that left with it: none at the end, or while a stop word may begin."""

    token: int
    text: str


@dataclass(slots=True)
class PartialResult:
    """A token and the text that may be shown with it. `opens_part` marks the first text of a part.

    None is sent for a token that ends within a character. `stops` is the one that ends at a stop word.
    """

    task: Task
    timings: Timings
    output: TokenOutput
    channel: str = "content"
    opens_part: bool = False
    name: str = ""
    call_id: str = ""
    number: int = 0
    stops: bool = False

    @property
    def text(self) -> str:
        """What may be shown, if anything."""
        return self.output.text

    @property
    def is_first(self) -> bool:
        """Whether its token is the answer's first: where that was half a character, no partial result is the first."""
        return self.timings.predicted_n == 1

    @property
    def timed(self) -> bool:
        """Whether it comes with timings."""
        return self.stops or self.task.params.timed

    def probabilities(self) -> list[dict[str, Any]]:
        """Log probabilities of its token, if the request asks for them."""
        return _probabilities(self.task, [self.output])


@dataclass(slots=True)
class FinalResult:
    """The end of a task. `stop_type` is `eos`, `limit`, `word`, or `none` for an empty prompt.

    `tokens` are all that were generated, `outputs` those that ended a character.
    """

    task: Task
    timings: Timings
    slot: int
    stop_type: str
    parts: list[AnswerPart]
    tokens: list[int]
    outputs: list[TokenOutput]
    stopping_word: str = ""
    truncated: bool = False
    cached_after: int = 0
    vocabulary: Vocabulary = VOCABULARIES["chatml"]

    def prompt(self) -> str:
        """The text of the prompt."""
        return self.vocabulary.prompt(self.task.prompt)

    def text(self, channel: str = "content") -> str:
        """Everything said on a channel."""
        return "".join(part.text for part in self.parts if part.channel == channel)

    @property
    def calls(self) -> list[AnswerPart]:
        """The tool calls."""
        return [part for part in self.parts if part.channel == "tool"]

    @property
    def completion_tokens(self) -> int:
        """Tokens generated, the end of sequence included."""
        return self.timings.predicted_n

    def probabilities(self) -> list[dict[str, Any]]:
        """Log probabilities of all tokens but those of the stop word, if the request asks for them."""
        stop_word = len(encode(self.stopping_word)) if self.stop_type == "word" else 0
        return _probabilities(self.task, self.outputs[: max(0, len(self.outputs) - stop_word)])


@dataclass(slots=True)
class EmbeddingResult:
    """A prompt that nothing is generated from has been processed; `index` tells those of one request apart."""

    index: int


Result = BeginResult | PromptProgress | PartialResult | FinalResult | EmbeddingResult


def _probabilities(task: Task, outputs: list[TokenOutput]) -> list[dict[str, Any]]:
    if task.params.n_probs <= 0:
        return []
    after = bool(task.params.shown["post_sampling_probs"])
    return logprobs.of_tokens(outputs, task.params.n_probs, after_sampling=after)
