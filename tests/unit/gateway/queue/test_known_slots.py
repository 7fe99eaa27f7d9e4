"""How many slots an upstream has is asked until it is known, and not forgotten when one answer is late."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.core.deployment import Deployment
from gateway.core.notifier import Notifier
from gateway.proxy.queue.arbiter import UNKNOWN_SLOTS
from gateway.proxy.upstream.connection_pools import ConnectionPools
from gateway.proxy.upstream.health.readiness import Readiness
from tests.harness.patience import PATIENCE
from tests.harness.sockets.stream_server import serving

LATE = ""  # the answer that never comes
HEALTH = '{"status":"ok"}'


class Upstream:
    """A server that is well, and answers `/props` with what is put in; `asked` is released by each such request."""

    def __init__(self) -> None:
        self.answers: list[str] = []
        self.asked = asyncio.Semaphore(0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request."""
        head = await reader.readuntil(b"\r\n\r\n")
        body = HEALTH
        if b"/props" in head:
            body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            self.asked.release()
        if body is LATE:
            await reader.read()
        else:
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())


@pytest.fixture
async def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def deployment(upstream: Upstream) -> AsyncIterator[Deployment]:
    async with serving(upstream.serve) as url:
        yield Deployment("demo", "acme", url)


@pytest.fixture
async def pools() -> ConnectionPools:
    return ConnectionPools()


@pytest.fixture
async def probes(pools: ConnectionPools, deployment: Deployment) -> AsyncIterator[Readiness]:
    probes = Readiness(pools, Notifier(), 0.1, 0.2)
    yield probes
    await probes.close()


async def test_they_are_not_forgotten_when_an_answer_is_late(
    upstream: Upstream, pools: ConnectionPools, deployment: Deployment, probes: Readiness
) -> None:
    upstream.answers = ['{"total_slots":2}', LATE]
    async with asyncio.timeout(PATIENCE):
        probes.watch({"demo": deployment})
        await upstream.asked.acquire()
        await probes.first_look(PATIENCE)
        probes.doubt("demo")
        for _ in range(2):  # the second is asked once what came of the first was noted
            await upstream.asked.acquire()
    assert pools.of(deployment).line.places == 2


async def test_they_are_asked_again_while_they_are_not_known(
    upstream: Upstream, pools: ConnectionPools, deployment: Deployment, probes: Readiness
) -> None:
    upstream.answers = [LATE, '{"total_slots":3}', "never asked for"]
    async with asyncio.timeout(PATIENCE):
        probes.watch({"demo": deployment})
        while pools.of(deployment).line.places != 3:
            await asyncio.sleep(0.01)
    assert upstream.answers == ["never asked for"]


@pytest.mark.parametrize("answer", ['{"total_slots":0}', '{"total_slots":"4"}', "[]", "no JSON"])
async def test_an_upstream_that_says_something_else_has_the_usual_places(
    upstream: Upstream, pools: ConnectionPools, deployment: Deployment, probes: Readiness, answer: str
) -> None:
    upstream.answers = ['{"total_slots":2}', answer]
    async with asyncio.timeout(PATIENCE):
        probes.watch({"demo": deployment})
        await probes.first_look(PATIENCE)
        assert pools.of(deployment).line.places == 2
        probes.doubt("demo")
        while pools.of(deployment).line.places != UNKNOWN_SLOTS:
            await asyncio.sleep(0.01)
