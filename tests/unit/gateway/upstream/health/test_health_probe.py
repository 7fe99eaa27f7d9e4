"""What a probe cannot see over a socket: a fault of the gateway's own in the middle of it, and the pauses between."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise

import pytest

from gateway.core.deployment import Deployment, Limits, Status
from gateway.core.notifier import Notifier
from gateway.proxy.upstream.connection_pools import ConnectionPools
from gateway.proxy.upstream.health import readiness
from gateway.proxy.upstream.health.health_probe import Probe, ProbeTurns, seconds_to_next
from gateway.proxy.upstream.health.readiness import Readiness
from tests.harness.patience import PATIENCE

DEPLOYMENT = Deployment("demo", "acme", "http://127.0.0.1:1", limits=Limits(connections=4))
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


@pytest.mark.slow
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
    first = interval / 2  # until the moment of its own at which a healthy one is asked
    for pause, least in zip(pauses, (0.1, 0.2, 0.4, interval, first, first, 0.1, first), strict=True):
        assert pause > least - 0.01
    assert times[6] - times[4] > first + interval - 0.01  # the first of the two may be late
    assert pauses[0] < interval
    assert pauses[6] < interval


def test_upstreams_are_asked_spread_over_the_interval_and_then_regularly() -> None:
    names, interval = [f"model-{number}" for number in range(1_000)], 5.0
    first = {name: seconds_to_next(name, interval, 1_000.0) for name in names}
    assert min(first.values()) >= interval / 2
    assert max(first.values()) < interval * 1.5
    tenths = Counter(int(seconds * 2) for seconds in first.values())
    assert len(tenths) == 10
    assert max(tenths.values()) < 140
    for name, seconds in first.items():
        for late in (-0.001, 0.0, 0.3):  # a timer may be early, and a probe takes its time
            assert seconds_to_next(name, interval, 1_000.0 + seconds + late) == pytest.approx(interval - late)


async def test_so_many_probes_are_under_way_at_a_time_and_no_more() -> None:
    turns, under_way, begun, most = ProbeTurns(7), 0, 0, 0
    go_on = asyncio.Event()

    async def probe() -> None:
        nonlocal under_way, begun, most
        async with turns.take():
            under_way, begun = under_way + 1, begun + 1
            most = max(most, under_way)
            await go_on.wait()
            under_way -= 1

    probing = [asyncio.create_task(probe()) for _ in range(50)]
    seen = []
    while begun < 7:
        before = begun
        await asyncio.sleep(0)
        seen.append(begun - before)
    assert max(seen) == 1  # in one turn of the event loop
    assert (under_way, begun) == (7, 7)
    probing[10].cancel()
    go_on.set()
    done, _ = await asyncio.wait(probing, timeout=PATIENCE)
    assert len(done) == 50
    assert (under_way, begun, most) == (0, 49, 7)


async def test_a_thousand_new_deployments_are_all_looked_at_and_none_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Counter[object] = Counter()

    async def ask(pool: object, _timeout: float) -> Probe:
        asked[pool] += 1
        await asyncio.sleep(0)
        return Probe("ok")

    monkeypatch.setattr(readiness, "ask_health", ask)
    probing = Readiness(ConnectionPools(), Notifier(), 60, 1)
    some = {f"d{n}": Deployment(f"d{n}", "acme", f"http://127.0.0.1:{n + 1}") for n in range(1_000)}
    probing.watch(some)
    await probing.first_look(PATIENCE)
    assert all(probing.status(one) is Status.READY for one in some.values())
    probing.watch(some)
    await asyncio.sleep(0)
    assert set(asked.values()) == {1}
    await probing.close()
