"""What is measured of a server, and in which order: prompts of several lengths alone, then answers together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import mean, median, quantiles
from typing import Any

from mockserver.cli.profiling.timed_answers import TimedAnswer, TimedClient

_PROMPTS = (1, 16, 64, 256, 1024, 2048)
_REPEATS = 3
_LONG_SECONDS = 3.0
"""A prompt that takes longer is read once, and is the longest."""

_ANSWER_TOKENS = 64
_SHORT_PROMPT = 16
_ROOM = 8
"""Tokens of the context that a prompt leaves free."""

_DEVIATIONS_TO_P90 = 1.2816
"""A normal distribution's 90th percentile is so many standard deviations above its middle."""

_MOST_STD_DEV = 0.3


@dataclass(slots=True)
class Measured:
    """The figures of a profile: seconds by count, and standard deviations as shares."""

    slots: int
    request_seconds: float = 0.0
    answers: dict[int, float] = field(default_factory=dict)
    answers_std_dev: float = 0.0
    prompts: dict[int, float] = field(default_factory=dict)
    prompts_std_dev: float = 0.0


async def measure(client: TimedClient, props: dict[str, Any], tell: Callable[[str], None]) -> Measured:
    """Measure a server that has nothing else to do. Raises MeasuringError."""
    context = int(props["default_generation_settings"]["n_ctx"])
    measured = Measured(slots=int(props["total_slots"]))
    await client.answer(_SHORT_PROMPT, 2)  # the first answer pays for what a server does only once
    await _measure_prompts(client, measured, context, tell)
    await _measure_answers(client, measured, tell)
    return measured


async def _measure_prompts(client: TimedClient, measured: Measured, context: int, tell: Callable[[str], None]) -> None:
    waits, spreads = list[float](), list[float]()
    for tokens in _PROMPTS:
        if tokens > context - _ROOM:
            break
        answers = [await client.answer(tokens, 1)]
        is_long = answers[0].prompt_seconds > _LONG_SECONDS
        answers += [await client.answer(tokens, 1) for _ in range(0 if is_long else _REPEATS - 1)]
        seconds = [answer.prompt_seconds for answer in answers]
        spreads += [one / median(seconds) for one in seconds]
        waits += [answer.first_token - answer.prompt_seconds for answer in answers]
        several = [] if is_long else await _several_prompts(client, measured.slots, tokens)
        measured.prompts[tokens] = mean([median(seconds), *several])
        tell(f"{tokens} tokens of prompts: {measured.prompts[tokens]:.3f} s")
        if is_long:
            break
    measured.request_seconds = max(0.0, median(waits))
    measured.prompts_std_dev = _std_dev(spreads)


async def _several_prompts(client: TimedClient, slots: int, tokens: int) -> list[float]:
    """The time of a batch with so many tokens of several prompts, which may be read faster than one; or nothing.

    There are twice as many as slots: those that waited are in one batch for sure.
    """
    if slots == 1 or tokens // slots < _SHORT_PROMPT:
        return []
    answers = await client.together(2 * slots, tokens // slots, 1)
    return [median(answer.prompt_seconds for answer in answers)]


async def _measure_answers(client: TimedClient, measured: Measured, tell: Callable[[str], None]) -> None:
    for count in _counts(measured.slots):
        rounds = [await client.together(count, _SHORT_PROMPT, _ANSWER_TOKENS) for _ in range(_REPEATS)]
        seconds = median(answer.token_seconds for answers in rounds for answer in answers)
        measured.answers[count] = seconds
        if count == 1:
            measured.answers_std_dev = _std_dev([gap for answers in rounds for gap in _gaps(answers)])
        tell(f"{count} answers at once: {1 / seconds:.1f} tokens a second each, {count / seconds:.1f} in all")


def _counts(slots: int) -> list[int]:
    """1, 2, 4 and so on up to the number of slots."""
    counts = [1]
    while counts[-1] * 2 < slots:
        counts.append(counts[-1] * 2)
    return counts if slots == 1 else [*counts, slots]


def _gaps(answers: Sequence[TimedAnswer]) -> list[float]:
    return [later - earlier for answer in answers for earlier, later in pairwise(answer.pieces)]


def _std_dev(values: Sequence[float]) -> float:
    """The standard deviation, as a share of the middle, that has the same 90th percentile."""
    if len(values) < _REPEATS:
        return 0.0
    middle, p90 = median(values), quantiles(values, n=10)[-1]
    return min(_MOST_STD_DEV, max(0.0, (p90 - middle) / middle / _DEVIATIONS_TO_P90)) if middle else 0.0
