"""What a probe cannot see over a socket: a fault of the gateway's own in the middle of it, and the pauses between."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise

import pytest

from gateway.core.deployment import Deployment, Status
from gateway.core.notifier import Notifier
from gateway.proxy.upstream import readiness
from gateway.proxy.upstream.connection_pool import ConnectionPools
from gateway.proxy.upstream.health_probe import Probe
from gateway.proxy.upstream.readiness import Readiness
from tests.harness.patience import PATIENCE

DEPLOYMENT = Deployment("demo", "acme", "http://127.0.0.1:1")
Ask = Callable[[object, float], Awaitable[Probe]]


@pytest.fixture
async def probes(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[float, Ask], Readiness]]:
    """Begins to probe one deployment every so many seconds, with `ask` in place of `/health`."""
    begun = []

    def begin(interval: float, ask: Ask) -> Readiness:
        monkeypatch.setattr(readiness, "ask_health", ask)
        begun.append(Readiness(ConnectionPools(), Notifier(), interval, 1))
        begun[-1].watch({DEPLOYMENT.id: DEPLOYMENT})
        return begun[-1]

    yield begin
    for probing in begun:
        await probing.close()


async def test_a_fault_in_a_probe_is_said_once_and_probing_goes_on(
    probes: Callable[[float, Ask], Readiness], caplog: pytest.LogCaptureFixture
) -> None:
    asked, well = [], asyncio.Event()

    async def ask(_upstream: object, _timeout: float) -> Probe:
        asked.append(1)
        if len(asked) < 4:
            raise RecursionError("maximum recursion depth exceeded")
        well.set()
        return Probe("ok")

    probing = probes(0.01, ask)
    async with asyncio.timeout(PATIENCE):
        await probing.first_look(5)
        assert probing.status(DEPLOYMENT) is Status.DEPLOYING
        await well.wait()
        await asyncio.sleep(0)
    assert probing.status(DEPLOYMENT) is Status.READY
    said = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(said) == 1
    assert "demo" in said[0].getMessage()
    assert said[0].exc_info is not None
    assert said[0].exc_info[0] is RecursionError


async def test_pauses_grow_while_it_is_away_and_are_short_when_it_goes_again(
    probes: Callable[[float, Ask], Readiness],
) -> None:
    seen = iter(["away", "away", "away", "away", "ok", "ok", "away", "ok"])
    times, over = [], asyncio.Event()

    async def ask(_upstream: object, _timeout: float) -> Probe:
        times.append(asyncio.get_running_loop().time())
        word = next(seen, "")
        if not word:
            over.set()
        return Probe(word)

    interval = 0.5
    probes(interval, ask)
    async with asyncio.timeout(PATIENCE):
        await over.wait()
    pauses = [later - earlier for earlier, later in pairwise(times)]
    for pause, least in zip(pauses, (0.1, 0.2, 0.4, interval, interval, interval, 0.1, interval), strict=True):
        assert pause > least - 0.01
    assert pauses[0] < interval
    assert pauses[6] < interval
