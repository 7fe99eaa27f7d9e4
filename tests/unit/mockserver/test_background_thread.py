"""The mock in a thread of its own: its end, while or before somebody waits for it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from mockserver import BackgroundMock, MockLlamaServer
from tests.harness.patience import PATIENCE, wait_until

FOR_EVER = 1e6
OVER = "The mock llama-server has stopped, or never ran; use it inside its `with` block."


def test_a_line_behind_the_block_says_that_it_is_over() -> None:
    with MockLlamaServer() as mock:
        pass
    for line in (mock.clear_requests, mock.reset, mock.wait_for_requests, lambda: mock.set_state("paused")):
        with pytest.raises(RuntimeError) as caught:
            line()
        assert str(caught.value) == OVER


def test_a_thread_that_waits_is_told_that_it_is_over() -> None:
    with ThreadPoolExecutor() as pool:
        with MockLlamaServer() as mock:
            waiting = pool.submit(mock.wait_for_requests, timeout=FOR_EVER)
            wait_until(lambda: _waits_for(mock) == 1)
        assert str(waiting.exception(PATIENCE)) == OVER


async def test_who_awaits_it_is_told_that_it_is_over() -> None:
    with MockLlamaServer() as mock:
        waiting = asyncio.create_task(mock.aio.wait_for_requests(timeout=FOR_EVER))
        await asyncio.sleep(0)
        wait_until(lambda: _waits_for(mock) == 1)
    with pytest.raises(RuntimeError) as caught:
        await waiting
    assert str(caught.value) == OVER


async def test_a_wait_that_is_cancelled_ends_in_the_mock_too() -> None:
    """A thread that waited on would hold up the end of the test's event loop."""
    with MockLlamaServer() as mock:
        waits = (
            mock.aio.wait_for_requests(timeout=FOR_EVER),
            mock.aio.wait_for_state("hung", timeout=FOR_EVER),
        )
        for wait in waits:
            waiting = asyncio.create_task(wait)
            await asyncio.sleep(0)
            wait_until(lambda: _waits_for(mock) == 1)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            wait_until(lambda: _waits_for(mock) == 0)


def _waits_for(mock: BackgroundMock) -> int:
    """How many wait for what has not come."""
    return sum("MockLlamaServer.wait_for" in repr(task) for task in asyncio.all_tasks(mock._loop))
