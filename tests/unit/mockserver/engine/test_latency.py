"""How long things take: told by a clock that nobody has to wait for."""

import asyncio
from itertools import pairwise
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


async def test_everything_takes_longer_when_all_slots_work() -> None:
    options = Options(slots=2, tokens_per_second=10, load_factor=3)
    server_context = ServerContext(options, FakeClock())
    (held,) = await server_context.pool.acquire([])
    params = task_params.read({"n_predict": 3, "ignore_eos": True}, options)
    finals = [
        result async for result in server_context.run([Task([1, 300], params)]) if isinstance(result, FinalResult)
    ]
    assert finals[0].timings.predicted_ms == pytest.approx(600)
    server_context.pool.release(held)
