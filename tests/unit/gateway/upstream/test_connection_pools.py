"""Each deployment has one pool for as long as it has one upstream, and who waits there is told what becomes of it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import pytest

from gateway.core.deployment import Deployment, Limits
from gateway.core.errors import PAUSED, Refusal
from gateway.proxy.upstream import connection_pools as module
from gateway.proxy.upstream.connection_pools import ConnectionPools
from tests.harness.pools import SOMEBODY
from tests.harness.sockets.stream_server import serving


async def hold(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Keep a connection open that nothing is asked on."""
    await reader.read()


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with serving(hold) as url:
        yield url


def test_a_deployment_read_again_keeps_its_upstream_and_is_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every reload makes new objects of the same deployments; no request after the first may pay for that."""
    upstreams, before = ConnectionPools(), Deployment("demo", "acme", "http://127.0.0.1:1")
    kept, again = upstreams.of(before), replace(before)
    assert upstreams.of(again) is kept
    monkeypatch.setattr(module, "_same_upstream", lambda _one, _other: pytest.fail("compared once more"))
    assert upstreams.of(again) is kept


async def test_all_who_wait_are_turned_away_at_once_and_keep_no_place(url: str) -> None:
    pools, deployment = ConnectionPools(), Deployment("demo", "acme", url, limits=Limits(connections=1, waiting=2))
    upstream = pools.of(deployment)
    held = await upstream.connect(SOMEBODY)
    staying, leaving = (asyncio.create_task(upstream.connect(SOMEBODY)) for _ in range(2))
    await asyncio.sleep(0)
    pools.turn_away(deployment, partial(Refusal, PAUSED, "paused"))
    leaving.cancel()  # in the very moment in which it is turned away
    with pytest.raises(Refusal, match="paused"):
        await staying
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert upstream.connections == {"in_use": 1, "idle": 0, "waiting": 0}
    with pytest.raises(Refusal, match="paused"):
        await upstream.connect(SOMEBODY)
    upstream.release(held)
    pools.turn_away(deployment, None)
    upstream.release(await upstream.connect(SOMEBODY))
    assert upstream.connections["in_use"] == 0


async def test_who_waits_for_the_server_before_is_turned_away_with_all(url: str) -> None:
    pools, before = ConnectionPools(), Deployment("demo", "acme", url, limits=Limits(connections=1))
    upstream = pools.of(before)
    held = await upstream.connect(SOMEBODY)
    waiting = asyncio.create_task(upstream.connect(SOMEBODY))
    await asyncio.sleep(0)
    pools.turn_away(replace(before, upstream="http://127.0.0.1:1"), partial(Refusal, PAUSED, "paused"))
    with pytest.raises(Refusal, match="paused"):
        await waiting
    assert upstream.connections == {"in_use": 1, "idle": 0, "waiting": 0}
    upstream.release(held)
