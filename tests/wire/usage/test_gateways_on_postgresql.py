"""Gateways that share a PostgreSQL: what one is told the other knows, and the ledger has each request once."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Event, Thread

import pytest

from gateway.config.settings import DeploymentEntry
from gateway.core.deployment import Status
from gateway.registry.database.engine import database_url
from gateway.registry.database.migrate import prepare
from tests.harness.patience import wait_until
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.storage.changes import changing
from tests.harness.storage.postgresql import Postgresql

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


async def _made(url: str, upstream: str) -> str:
    await prepare(database_url(url), create=True)
    async with changing(url) as change:
        _, text = await change.create_key("acme", "main", None, create_account=True)
        entry = DeploymentEntry(account="acme", upstream=upstream, status=Status.READY)
        await change.add_deployment("demo", entry)
    return text


class Shared:
    """A database that gateways share, and a key in it."""

    def __init__(self, server: Postgresql, upstream: str, start: StartGateway) -> None:
        self.server = server
        self.url = server.database()
        self.ask = chat("demo", key=asyncio.run(_made(self.url, upstream)))
        self._start = start

    def gateway(self, workers: int = 1) -> GatewayProcess:
        """One more."""
        config = f"server: {{port: 0, workers: {workers}}}\ndatabase: {self.url}\n"
        gateway: GatewayProcess = self._start(config, serves=False)
        return gateway.wait_until_serving()

    def requests(self) -> int:
        """How many are in the ledger; the same by the hour, by the day and by how long they took."""
        sums = "(SELECT coalesce(sum({}), 0) FROM {})".format
        everywhere = (
            sums("requests", "usage_hours"),
            sums("requests", "usage_days"),
            sums("number", "usage_latency WHERE measure = 'duration'"),
        )
        [(hours, days, buckets)] = self.server.query(self.url, "SELECT " + ", ".join(everywhere))
        assert hours == days == buckets
        return int(hours)


@pytest.fixture
def shared(postgresql_server: Postgresql, upstream: ScriptedUpstream, start_gateway: StartGateway) -> Shared:
    return Shared(postgresql_server, upstream.url, start_gateway)


@contextmanager
def asking(gateway: GatewayProcess, ask: bytes) -> Iterator[list[int]]:
    """Ask, one request after the other, until the end of the block. How many were answered is in the list then."""
    over, answered = Event(), [0]

    def go_on() -> None:
        with closing(gateway.connect()) as client:
            while not over.is_set():
                assert client.ask(ask).status == 200
                answered[0] += 1

    thread = Thread(target=go_on)
    thread.start()
    yield answered
    over.set()
    thread.join()


def test_two_gateways_and_four_workers_count_each_request_once(shared: Shared) -> None:
    one, other = shared.gateway(2), shared.gateway(2)
    with asking(one, shared.ask) as first, asking(other, shared.ask) as second:
        wait_until(lambda: shared.requests() > 300)
    for gateway in (one, other):
        gateway.stop()
    assert shared.requests() == first[0] + second[0]


def test_a_server_that_goes_away_and_comes_back_has_each_request_once(shared: Shared) -> None:
    gateway = shared.gateway()
    with asking(gateway, shared.ask) as answered:
        for _ in range(3):
            begun = answered[0]
            wait_until(lambda: shared.requests() > begun)  # noqa: B023  within the turn
            start = gateway.mark_log()
            shared.server.stop()
            gateway.log.wait_for("usage is not written yet, and kept", start=start)
            shared.server.start()
            gateway.log.wait_for("usage is written again", start=start)
    gateway.stop()
    assert shared.requests() == answered[0]


def test_a_gateway_that_is_killed_has_nothing_twice(shared: Shared) -> None:
    gateway = shared.gateway()
    with gateway.connect() as client:
        for _ in range(200):
            assert client.ask(shared.ask).status == 200
        wait_until(lambda: shared.requests() > 0)
        gateway.stop(signal.SIGKILL)
    noted = shared.requests()
    assert 0 < noted <= 200
    after = shared.gateway()
    assert after.ask(shared.ask).status == 200
    after.stop()
    assert shared.requests() == noted + 1
