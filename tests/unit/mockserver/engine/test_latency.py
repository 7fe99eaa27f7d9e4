"""How long things take: told by a clock that nobody has to wait for."""

import asyncio
from itertools import pairwise
from statistics import mean, stdev
from typing import Any

import pytest

from mockserver.core.clock import Clock
from mockserver.core.options import Options
from mockserver.engine.request.schema import task_params
from mockserver.engine.results import FinalResult, PartialResult, PromptProgress, Result, Task
from mockserver.engine.server_context import ServerContext


class FakeClock(Clock):
    """Time passes only by being waited for."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    async def sleep_until(self, moment: float) -> None:
        await asyncio.sleep(0)
        self.time = max(self.time, moment)


async def play(prompt: str = "one two three", limit: int = 11, **given: Any) -> list[tuple[float, Result]]:
    """The results of one answer, each with its time."""
    options, clock = Options(**given), FakeClock()
    server_context = ServerContext(options, clock)
    body = {"n_predict": limit, "ignore_eos": True, "return_progress": True}
    task = Task(server_context.vocabulary.encode(prompt), task_params.read(body, options))
    return [(clock.time, result) async for result in server_context.run([task])]


async def test_the_first_token_comes_after_ttft_and_the_others_at_their_speed() -> None:
    times = [time for time, result in await play(ttft=2.0, tokens_per_second=10) if isinstance(result, PartialResult)]
    assert times == pytest.approx([2.0 + 0.1 * number for number in range(11)])


async def test_a_prompt_takes_its_time_batch_by_batch() -> None:
    results = await play("word " * 39, prompt_tokens_per_second=10, batch=20)
    progress = [(time, result.processed) for time, result in results if isinstance(result, PromptProgress)]
    total = progress[-1][1]
    assert progress[:2] == [(0.0, 0), (2.0, 20)]
    assert progress[-1][0] == pytest.approx(total / 10)


async def test_the_timings_say_what_the_clock_said() -> None:
    time, final = (await play(ttft=2.0, tokens_per_second=10))[-1]
    assert isinstance(final, FinalResult)
    assert time == pytest.approx(3.0)
    assert final.timings.prompt_ms == pytest.approx(2000)
    assert final.timings.as_json()["predicted_per_second"] == pytest.approx(10)


async def test_jitter_is_within_its_share_and_the_same_for_the_same_seed() -> None:
    async def gaps(seed: int) -> list[float]:
        options: dict[str, Any] = {"tokens_per_second": 10, "jitter": 0.5, "seed": seed}
        times = [time for time, result in await play(limit=50, **options) if isinstance(result, PartialResult)]
        return [later - earlier for earlier, later in pairwise(times)]

    first = await gaps(1)
    assert all(0.05 <= gap <= 0.15001 for gap in first)
    assert max(first) - min(first) > 0.02
    assert first == await gaps(1) != await gaps(2)


async def play_together(prompts: int, words: int, limit: int = 3, **given: Any) -> list[list[float]]:
    """The times of the tokens of so many answers that were asked for at once, each with a prompt of its own."""
    options, clock = Options(**given), FakeClock()
    server_context = ServerContext(options, clock)
    params = task_params.read({"n_predict": limit, "ignore_eos": True}, options)

    async def times_of(number: int) -> list[float]:
        task = Task([1, *range(300 + words * number, 300 + words * (number + 1))], params)
        return [clock.time async for result in server_context.run([task]) if isinstance(result, PartialResult)]

    return await asyncio.gather(*map(times_of, range(prompts)))


async def test_four_prompts_at_once_take_as_long_as_four_in_a_row() -> None:
    (alone,) = await play_together(1, words=99, prompt_tokens_per_second=100, load_factor=1)
    together = await play_together(4, words=99, prompt_tokens_per_second=100, load_factor=1)
    assert alone[0] == pytest.approx(1.0)
    assert [times[0] for times in together] == pytest.approx([4.0] * 4)


async def test_what_does_not_fit_into_a_batch_is_read_in_the_next() -> None:
    together = await play_together(3, words=99, prompt_tokens_per_second=100, batch=150, tokens_per_second=1e6)
    last_slot_first = [times[0] for times in reversed(together)]  # batches go by slots, the first task has the last one
    assert last_slot_first == pytest.approx([1.5, 3.0, 3.0], abs=0.03)


@pytest.mark.parametrize(("factor", "gap"), [(None, 0.25), (1, 0.1), (4, 0.4)])
async def test_four_slots_are_not_four_times_as_fast_as_one(factor: float | None, gap: float) -> None:
    together = await play_together(4, words=2, tokens_per_second=10, load_factor=factor)
    assert [later - earlier for times in together for earlier, later in pairwise(times)] == pytest.approx([gap] * 8)


async def test_a_long_prompt_halts_the_streams_that_run_for_its_batch() -> None:
    options, clock = Options(tokens_per_second=10, prompt_tokens_per_second=100, load_factor=1), FakeClock()
    server_context = ServerContext(options, clock)
    running, coming = (task_params.read({"n_predict": limit, "ignore_eos": True}, options) for limit in (20, 1))
    times, tasks = list[float](), list[asyncio.Task[list[Result]]]()

    async def read(task: Task) -> list[Result]:
        return [result async for result in server_context.run([task])]

    async for result in server_context.run([Task([1], running)]):
        if isinstance(result, PartialResult):
            times.append(clock.time)
        if len(times) == 5:
            tasks.append(asyncio.create_task(read(Task([1, *range(300, 499)], coming))))
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert max(gaps) == pytest.approx(2.1)
    assert sorted(gaps)[-2] == pytest.approx(0.1)


async def test_a_token_varies_by_its_deviation_and_by_seven_tenths_at_most() -> None:
    times = [
        time
        for time, result in await play(limit=400, tokens_per_second=10, token_std_dev=0.03)
        if isinstance(result, PartialResult)
    ]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert mean(gaps) == pytest.approx(0.1, rel=0.1)
    assert stdev(gaps) == pytest.approx(0.03, rel=0.2)
    assert 0.03 <= min(gaps) < max(gaps) <= 0.17001


@pytest.mark.parametrize(
    "given", [{"ttft": 1, "ttft_std_dev": 0.31}, {"tokens_per_second": 10, "token_std_dev": 0.031}]
)
def test_a_standard_deviation_is_at_most_three_tenths_of_the_time(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at most 30 %"):
        Options(**given)
