"""States that a mock gets into and out of: hung, asleep, loading."""

import asyncio
import json

import pytest

from mockserver import MockLlamaServer
from tests.harness.sockets.rawhttp import ask, connect, encode, read_answer
from tests.unit.mockserver.play.scripted_mock import CHAT, PLAIN, STREAM, control


async def test_a_hung_mock_accepts_and_says_nothing_until_it_is_over() -> None:
    async with MockLlamaServer(state="hung") as mock:
        asking = asyncio.create_task(ask(mock.url, "GET", "/health"))
        await mock.wait_for_requests(1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(asking), 0.05)
        await mock.set_state("ready")
        assert (await asking).status == 200


async def test_a_stream_stands_still_while_the_mock_is_hung() -> None:
    async with MockLlamaServer(clock="virtual", tokens_per_second=10) as mock:
        reader, writer = await connect(mock.url)
        writer.write(encode("POST", CHAT, {}, json.dumps(STREAM).encode()))
        await mock.wait_for_requests(1)
        await mock.advance(0.55)
        await mock.set_state("hung")
        await mock.advance(0.2)
        sent = mock.requests[0].answer.count(b"data:")
        await mock.advance(5)
        assert mock.requests[0].answer.count(b"data:") == sent < 20
        await mock.set_state("ready")
        await mock.advance(5)
        answer = await read_answer(reader)
        assert answer.body.endswith(b"[DONE]\n\n")
        writer.close()


async def test_a_sleeping_mock_is_woken_by_a_request_but_not_by_a_probe() -> None:
    async with MockLlamaServer(clock="virtual", state="sleeping", wake_seconds=3) as mock:
        assert (await ask(mock.url, "GET", "/health")).status == 200
        assert (await ask(mock.url, "GET", "/props")).json()["is_sleeping"] is True
        assert mock.state == "sleeping"
        first = asyncio.create_task(ask(mock.url, "POST", CHAT, PLAIN))
        await mock.wait_for_requests(3)
        await mock.wait_for_state("waking")
        second = asyncio.create_task(ask(mock.url, "POST", CHAT, PLAIN))
        await mock.wait_for_requests(4)
        await mock.advance(2.9)
        assert not first.done()
        assert not second.done()
        await mock.advance(0.1)
        assert mock.state == "ready"
        assert [(await asking).status for asking in (first, second)] == [200, 200]


async def test_an_idle_mock_falls_asleep_and_wakes_and_says_so() -> None:
    async with MockLlamaServer(clock="virtual", sleep_idle_seconds=10, wake_seconds=3, tokens_per_second=1) as mock:
        await mock.advance(9)
        asking = asyncio.create_task(ask(mock.url, "POST", CHAT, PLAIN))
        await mock.wait_for_requests(1)
        await mock.advance(14)  # six tokens, and not yet ten seconds of nothing
        assert (await asking).status == 200
        assert (mock.state, await is_sleeping(mock)) == ("ready", False)
        await mock.advance(10)
        assert (mock.state, await is_sleeping(mock)) == ("sleeping", True)
        assert (await control(mock, "GET", "state"))[1]["state"] == "sleeping"
        asking = asyncio.create_task(ask(mock.url, "POST", CHAT, PLAIN))
        await mock.wait_for_state("waking")
        assert (await ask(mock.url, "GET", "/health")).status == 200
        props = asyncio.create_task(is_sleeping(mock))
        await mock.wait_for_requests(2, path="/props", ended="finished")
        await mock.wait_for_requests(1, path="/props", ended="running")
        await mock.advance(2.9)
        assert not props.done()
        await mock.advance(0.1)
        assert (mock.state, await props) == ("ready", False)
        await mock.advance(15)
        assert (await asking).status == 200
        assert mock.state == "sleeping"


async def is_sleeping(mock: MockLlamaServer) -> bool:
    sleeping: bool = (await ask(mock.url, "GET", "/props")).json()["is_sleeping"]
    return sleeping


async def test_what_is_asked_all_the_time_never_sleeps() -> None:
    async with MockLlamaServer(clock="virtual", sleep_idle_seconds=10) as mock:
        for _ in range(5):
            await ask(mock.url, "POST", "/tokenize", {"content": "x"})
            await mock.advance(9.9)
            assert mock.state == "ready"
        await mock.advance(0.1)
        assert mock.state == "sleeping"


async def test_the_time_to_fall_asleep_begins_when_it_is_ready() -> None:
    async with MockLlamaServer(clock="virtual", state="deploying", load_seconds=30, sleep_idle_seconds=10) as mock:
        await mock.advance(30)
        assert mock.state == "ready"
        await mock.advance(10)
        assert mock.state == "sleeping"
        await mock.set_state("paused")
        await mock.advance(99)
        assert mock.state == "paused"


async def test_the_progress_of_a_load_is_shown() -> None:
    async with MockLlamaServer(clock="virtual", state="deploying", load_seconds=8) as mock:
        await mock.advance(2)
        shown = (await control(mock, "GET", "state"))[1]
        assert shown == {"state": "deploying", "phase": "loading", "since_seconds": 2.0, "progress": 0.25}
        await mock.advance(6)
        assert "progress" not in mock.describe()
