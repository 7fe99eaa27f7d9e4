"""How long a deployment usually takes to become ready: what was seen, and nothing before that."""

import asyncio

from gateway.core.deployment import Deployment, Status
from gateway.core.notifier import Notifier
from gateway.proxy.upstream.connection_pools import ConnectionPools
from gateway.proxy.upstream.health.readiness import Readiness
from mockserver import MockLlamaServer
from tests.harness.patience import PATIENCE


async def until_ready(readiness: Readiness, notifier: Notifier, demo: Deployment) -> None:
    async with asyncio.timeout(PATIENCE):
        while readiness.status(demo) is not Status.READY:
            await notifier.wait()


async def test_a_start_is_measured_only_where_it_was_seen() -> None:
    notifier = Notifier()
    readiness = Readiness(ConnectionPools(), notifier, 0.05, PATIENCE)
    async with MockLlamaServer() as mock:
        demo = Deployment("demo", "acme", mock.url)
        readiness.watch({"demo": demo})
        await until_ready(readiness, notifier, demo)
        assert readiness.usual_start("demo") is None  # it was well at the first look
    coming = MockLlamaServer(state="paused")
    async with coming as mock:
        loading = Deployment("slow", "acme", mock.url)
        readiness.watch({"slow": loading})
        async with asyncio.timeout(PATIENCE):
            while readiness.health("slow").seen == "":
                await notifier.wait()
        assert readiness.usual_start("slow") is None
        await mock.set_state("ready")
        await until_ready(readiness, notifier, loading)
        usual = readiness.usual_start("slow")
        assert usual is not None
        assert 0 < usual < PATIENCE
        readiness.watch({})
        assert readiness.usual_start("slow") is None
    await readiness.close()
