"""A database that gateways share, and a key in it."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.config.settings import DeploymentEntry
from gateway.core.deployment import Status
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.storage.changes import changing
from tests.harness.storage.databases import rows


@dataclass(frozen=True)
class Store:
    """The database, and the text of its only key."""

    path: Path
    key: str

    @property
    def config(self) -> str:
        """Of a gateway that serves it."""
        return self.config_with("")

    def config_with(self, server: str) -> str:
        """The same with further settings of the server."""
        return f"server: {{port: 0, {server}}}\ndatabase: {self.path}\n"

    @property
    def ask(self) -> bytes:
        """A request that is answered."""
        return chat("demo", key=self.key)

    def requests(self) -> int:
        """How many are in the ledger; the same by the hour, by the day and in the buckets of durations."""
        sums = "(SELECT coalesce(sum({}), 0) FROM {})".format
        everywhere = (
            sums("requests", "usage_hours"),
            sums("requests", "usage_days"),
            sums("number", "usage_latency WHERE measure = 'duration'"),
        )
        # One statement sees one moment, whatever is written meanwhile.
        ((hours, days, buckets),) = rows(self.path, "SELECT " + ", ".join(everywhere))
        assert hours == days == buckets
        return int(str(hours))


def ask_times(gateway: GatewayProcess, store: Store, number: int) -> None:
    """Ask so many times, each answered."""
    with gateway.connect() as client:
        for _ in range(number):
            assert client.ask(store.ask).status == 200


async def _made(path: Path, upstream: str) -> str:
    async with changing(str(path), create=True) as change:
        _, text = await change.create_key("acme", "main", None, create_account=True)
        entry = DeploymentEntry(account="acme", upstream=upstream, status=Status.READY)
        await change.add_deployment("demo", entry)
    return text


@pytest.fixture
def store(tmp_path: Path, upstream: ScriptedUpstream) -> Store:
    path = tmp_path / "store" / "team.db"
    path.parent.mkdir()
    return Store(path, asyncio.run(_made(path, upstream.url)))
