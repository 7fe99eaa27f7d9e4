"""The slots: several choices of one prompt, what they share, and when each gives its slot back."""

import asyncio
from typing import Any

import pytest

from mockserver import MockLlamaServer
from mockserver.engine.request.schema.task_params import read
from mockserver.engine.results import FinalResult, PromptProgress, Result, Task
from tests.harness.sockets.rawhttp import ask, connect, encode, read_head

CHAT = "/v1/chat/completions"
BUSY = b'{"stream":true,"ignore_eos":true,"messages":[]}'


def choices(mock: MockLlamaServer, *limits: int, **body: Any) -> list[Task]:
    """The choices of one prompt, each with a limit of its own."""
    prompt = [1, *range(300, 320)]
    return [
        Task(prompt, read(body | {"n_predict": limit}, mock.options), number, number)
        for number, limit in enumerate(limits)
    ]


async def test_choices_give_their_slots_back_one_by_one() -> None:
    async with MockLlamaServer(slots=3, endless=True, clock="virtual", tokens_per_second=10, load_factor=1) as mock:
        busy = list[int]()

        async def drain() -> None:
            async for result in mock.server_context.run(choices(mock, 5, 10, 20)):
                if isinstance(result, FinalResult):
                    await asyncio.sleep(0)
                    busy.append(mock.server_context.pool.busy)

        draining = asyncio.create_task(drain())
        for _ in range(4):
            await mock.advance(1)
        await draining
        assert busy == [2, 1, 0]


async def test_a_prompt_of_several_choices_is_read_once() -> None:
    async with MockLlamaServer(slots=2, clock="virtual", ttft=2, tokens_per_second=1, load_factor=1) as mock:
        seen = list[tuple[float, Result]]()

        async def drain() -> None:
            async for result in mock.server_context.run(choices(mock, 2, 2, return_progress=True)):
                seen.append((mock.clock.now(), result))

        draining = asyncio.create_task(drain())
        await mock.advance(2)
        progress = [(result.task.index, result.processed) for _, result in seen if isinstance(result, PromptProgress)]
        assert progress == [(0, 0), (0, 21), (1, 21)]
        await mock.advance(1)
        await draining
        finals = [result for _, result in seen if isinstance(result, FinalResult)]
        assert [(final.timings.cache_n, final.timings.prompt_n, final.timings.prompt_ms) for final in finals] == [
            (0, 21, 2000.0),
            (0, 21, 2000.0),
        ]
        assert [len(slot.cache) for slot in mock.server_context.pool.slots] == [0, 22]


async def test_choices_wait_for_as_many_slots_as_they_are_and_hold_up_no_other() -> None:
    async with MockLlamaServer(slots=2) as mock:
        reader, writer = await connect(mock.url)
        writer.write(encode("POST", CHAT, {}, BUSY))
        await read_head(reader)
        two = asyncio.create_task(ask(mock.url, "POST", CHAT, {"messages": [], "n": 2, "max_tokens": 3}))
        await mock.wait_for_requests(2)
        other = await ask(mock.url, "POST", CHAT, {"messages": [], "max_tokens": 3})
        assert other.status == 200
        assert not two.done()
        assert mock.server_context.pool.deferred == 1
        writer.transport.abort()
        assert [choice["index"] for choice in (await two).json()["choices"]] == [0, 1]


async def test_a_client_that_leaves_gives_back_the_slots_of_all_its_choices() -> None:
    async with MockLlamaServer(slots=4, tokens_per_second=20, leaving="immediate") as mock:
        reader, writer = await connect(mock.url)
        writer.write(encode("POST", CHAT, {}, BUSY[:-1] + b',"n":3}'))
        await read_head(reader)
        assert mock.server_context.pool.busy == 3
        writer.transport.abort()
        await mock.wait_for_requests(1, ended="aborted")
        assert mock.server_context.pool.busy == 0


@pytest.mark.parametrize(("path", "many"), [("/v1/completions", "choices"), ("/completion", None)])
async def test_each_prompt_has_as_many_choices_as_wanted(path: str, many: str | None) -> None:
    async with MockLlamaServer(slots=2) as mock:
        body = {"prompt": ["One", "Two", "Three"], "n": 2, "n_predict": 4, "seed": 1}
        answer = (await ask(mock.url, "POST", path, body)).json()
        found = answer[many] if many else answer
        assert [choice["index"] for choice in found] == list(range(6))
        texts = [choice["text" if many else "content"] for choice in found]
        assert len(set(texts)) == 6


async def test_the_slot_released_first_is_taken_first_of_unused_ones_the_last() -> None:
    """As the log of llama.cpp b11434 says: `selected slot by LRU, t_last = -1` takes the last slot."""
    async with MockLlamaServer(slots=3) as mock:
        pool = mock.server_context.pool
        first = [(await pool.acquire(()))[0].id for _ in range(3)]
        for number in (1, 2, 0):
            pool.release(pool.slots[number])
        again = [(await pool.acquire(()))[0].id for _ in range(3)]
    assert (first, again) == ([2, 1, 0], [1, 2, 0])


async def test_a_prompt_that_is_too_long_was_the_last_task_of_its_slot() -> None:
    async with MockLlamaServer(slots=2, context=64, slots_endpoint=True) as mock:
        answer = await ask(mock.url, "POST", "/completion", {"prompt": "word " * 400})
        assert answer.status == 400
        unused, used = (await ask(mock.url, "GET", "/slots")).json()
        assert ("id_task" in unused, "id_task" in used, used["is_processing"]) == (False, True, False)
