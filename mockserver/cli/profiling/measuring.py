"""What is measured of a server, and in which order: prompts of several lengths alone, then answers together."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median, quantiles
from typing import Any

from mockserver.cli.profiling.timed_answers import TimedAnswer, TimedClient

_PROMPTS = (1, 16, 64, 256, 1024, 2048)
_ROUNDS = 3
_LONG_SECONDS = 3.0
"""A prompt that takes longer is read in the first round only, and is the longest."""

_ANSWER_TOKENS = 64
_SHORT_PROMPT = 16
_NEAR_CONTEXT = _SHORT_PROMPT + _ANSWER_TOKENS // 2
"""Tokens of context that the tokens of these answers have in the middle."""

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
    context_seconds: float = 0.0


@dataclass(slots=True)
class _Samples:
    """What was seen: seconds by count, of the server's own account, and what its client saw beside it."""

    prompts: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    answers: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    far_answers: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    waits: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)


async def measure(client: TimedClient, props: dict[str, Any], tell: Callable[[str], None]) -> Measured:
    """Measure a server that has nothing else to do. Raises MeasuringError.

    Everything is measured in each of some rounds, so that a machine that is slow for a while is so for all of it.
    """
    slots, context = int(props["total_slots"]), int(props["default_generation_settings"]["n_ctx"])
    samples = _Samples()
    await client.answer(_SHORT_PROMPT, 2)  # the first answer pays for what a server does only once
    lengths = [tokens for tokens in _PROMPTS if tokens <= context - _ROOM]
    for number in range(_ROUNDS):
        tell(f"round {number + 1} of {_ROUNDS}")
        for tokens in lengths:
            await _sample_prompts(client, samples, slots, tokens)
        lengths = [tokens for tokens in samples.prompts if median(samples.prompts[tokens]) < _LONG_SECONDS]
        for count in _counts(slots):
            await _sample_answers(client, samples, count)
        await _sample_far_answer(client, samples, [tokens for tokens in lengths if tokens <= context - _ANSWER_TOKENS])
    return _summary(slots, samples, tell)


async def _sample_prompts(client: TimedClient, samples: _Samples, slots: int, tokens: int) -> None:
    """Read so many tokens as one prompt, and as several at once, which may be read faster.

    There are twice as many of these as slots: those that waited are in one batch for sure.
    """
    if any(max(seconds) > _LONG_SECONDS for seconds in samples.prompts.values()) and tokens not in samples.prompts:
        return
    one = await client.answer(tokens, 1)
    samples.prompts[tokens].append(one.prompt_seconds)
    samples.waits.append(one.first_token - one.prompt_seconds)
    if slots > 1 and tokens // slots >= _SHORT_PROMPT and one.prompt_seconds < _LONG_SECONDS:
        several = await client.together(2 * slots, tokens // slots, 1)
        samples.prompts[tokens].append(median(answer.prompt_seconds for answer in several))


async def _sample_answers(client: TimedClient, samples: _Samples, count: int) -> None:
    answers = await client.together(count, _SHORT_PROMPT, _ANSWER_TOKENS)
    samples.answers[count].append(median(answer.token_seconds for answer in answers))
    if count == 1:
        samples.gaps += _gaps(answers)


async def _sample_far_answer(client: TimedClient, samples: _Samples, lengths: Sequence[int]) -> None:
    """An answer behind the longest prompt: each of its tokens looks at all of that."""
    tokens = max(samples.far_answers or lengths or [_SHORT_PROMPT])
    samples.far_answers[tokens].append((await client.answer(tokens, _ANSWER_TOKENS)).token_seconds)


def _summary(slots: int, samples: _Samples, tell: Callable[[str], None]) -> Measured:
    prompts = {tokens: median(seconds) for tokens, seconds in samples.prompts.items()}
    answers = {count: median(seconds) for count, seconds in samples.answers.items()}
    context_seconds = _slope(samples, answers[1])
    for tokens, seconds in prompts.items():
        tell(f"{tokens} tokens of prompts: {seconds:.3f} s")
    for count, seconds in answers.items():
        tell(f"{count} answers at once: {1 / seconds:.1f} tokens a second each, {count / seconds:.1f} in all")
    tell(f"1,000 tokens of context: {1000 * context_seconds:.4f} s longer a token")
    spreads = [one / prompts[tokens] for tokens, seconds in samples.prompts.items() for one in seconds]
    return Measured(
        slots=slots,
        request_seconds=max(0.0, median(samples.waits)),
        answers={count: seconds - count * context_seconds * _NEAR_CONTEXT for count, seconds in answers.items()},
        answers_std_dev=_std_dev(samples.gaps),
        prompts=prompts,
        prompts_std_dev=_std_dev(spreads),
        context_seconds=context_seconds,
    )


def _slope(samples: _Samples, near: float) -> float:
    """How much longer a token takes for each token of context, where one with a short context takes `near` seconds."""
    ((tokens, seconds),) = samples.far_answers.items()
    return max(0.0, median(seconds) - near) / max(1, tokens - _SHORT_PROMPT)


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
    if len(values) < _ROUNDS:
        return 0.0
    middle, p90 = median(values), quantiles(values, n=10)[-1]
    return min(_MOST_STD_DEV, max(0.0, (p90 - middle) / middle / _DEVIATIONS_TO_P90)) if middle else 0.0
