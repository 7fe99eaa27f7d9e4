"""How long a step of the model takes: by the options, or by a profile of a real one.

A step is a batch: all answers that run get a token from it, and the prompts in it are read one after the other.
"""

import random
from collections.abc import Sequence

from mockserver.core.options import Options
from mockserver.engine.scheduling.speed_profile import SpeedProfile

_FURTHER_ANSWER = 0.5
"""What a further answer in the step adds to its time, as a share of the first one's, if nothing is said of it: as on a
CPU, where four slots with SmolLM2 were 1.6 to 1.8 times as fast as one."""

_MOST_VARIATION = 0.7
"""Share by which a time may differ from its mean, however the dice fall (that of llm-d's inference simulator)."""

PromptPart = tuple[int, int]
"""Prompt tokens in a step, and those that the prompt has to be read."""


class DecodeTime:
    """The times of one server, with dice of its own for what varies. Seconds."""

    def __init__(self, options: Options, profile: SpeedProfile | None) -> None:
        self._options, self._profile = options, profile
        self._dice = random.Random(options.seed)  # noqa: S311  repeatable on purpose
        self._further_answer = _FURTHER_ANSWER
        if options.load_factor is not None:
            self._further_answer = (options.load_factor - 1) / max(options.slots - 1, 1)

    @property
    def is_instant(self) -> bool:
        """Whether a token takes no time."""
        return not self._options.tokens_per_second and self._profile is None

    @property
    def of_request(self) -> float:
        """From a request's arrival at an idle server until its first step."""
        return self._profile.request_seconds if self._profile else 0.0

    def seconds(self, answers: int, prompts: Sequence[PromptPart], context: int = 0) -> float:
        """Of a step in which so many answers, with so many tokens of context, get a token, and prompts are read."""
        seconds = self._of_answers(answers, context) if answers else 0.0
        if prompts:
            seconds += self._of_prompts(prompts)
        if jitter := self._options.jitter:
            seconds *= 1 + jitter * (2 * self._dice.random() - 1)
        return seconds

    def _of_answers(self, count: int, context: int) -> float:
        options = self._options
        if options.tokens_per_second:
            seconds = (1 + (count - 1) * self._further_answer) / options.tokens_per_second
            return self._varied(seconds, options.token_std_dev * options.tokens_per_second)
        if self._profile:
            seconds = self._profile.answers(count) + context * self._profile.context_seconds
            return self._varied(seconds, self._profile.answers_std_dev)
        return 0.0

    def _of_prompts(self, parts: Sequence[PromptPart]) -> float:
        options, tokens = self._options, sum(tokens for tokens, _ in parts)
        seconds = 0.0
        if options.ttft:
            of_all = options.ttft * sum(tokens / prompt for tokens, prompt in parts)
            seconds += self._varied(of_all, options.ttft_std_dev / options.ttft)
        if options.prompt_tokens_per_second:
            seconds += tokens / options.prompt_tokens_per_second
        elif self._profile:
            seconds += self._varied(self._profile.prompts(tokens), self._profile.prompts_std_dev)
        return seconds

    def _varied(self, seconds: float, std_dev: float) -> float:
        """A time around this one; `std_dev` is a share of it."""
        if not std_dev:
            return seconds
        return seconds * (1 + max(-_MOST_VARIATION, min(_MOST_VARIATION, self._dice.gauss(0, std_dev))))
