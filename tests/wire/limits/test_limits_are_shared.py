"""Two gateways on one database count together, and one that was killed has not forgotten anything."""

import asyncio
import signal
import sqlite3
from pathlib import Path

import pytest

from gateway.config.settings import DeploymentEntry
from gateway.core.deployment import Status
from tests.harness.processes.fleet import StartGateway
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.storage.changes import changing

_LIMIT = (
    "INSERT INTO limits (id, subject_kind, subject, deployment, measure, amount, shadow, created_at, version) "
    "VALUES (?, ?, ?, '', ?, ?, 0, '2026-11-28 00:00:00.000000', 1)"
)


async def prepared(path: Path, upstream: str) -> str:
    """A database with a key of acme, whose text is returned, and a deployment."""
    async with changing(str(path), create=True) as change:
        _, text = await change.create_key("acme", "main", None, create_account=True)
        entry = DeploymentEntry(account="acme", upstream=upstream, status=Status.READY)
        await change.add_deployment("demo", entry)
    return text


def limit(path: Path, kind: str, subject: str, measure: str, amount: int) -> None:
    """Add a limit by another hand than the gateway's."""
    with sqlite3.connect(path) as database:
        database.execute(_LIMIT, (f"{kind}-{measure}", kind, subject, measure, amount))
    database.close()


@pytest.fixture
def place(tmp_path: Path, upstream: ScriptedUpstream) -> tuple[Path, str]:
    """A database, and the text of a key in it, whose account is limited to four requests a minute."""
    path = tmp_path / "team.db"
    text = asyncio.run(prepared(path, upstream.url))
    limit(path, "account", "acme", "requests_per_minute", 4)
    return path, text


def test_two_gateways_on_one_database_count_together(start_gateway: StartGateway, place: tuple[Path, str]) -> None:
    path, key = place
    config = f"server: {{port: 0}}\ndatabase: {path}\n"
    one, other = start_gateway(config), start_gateway(config)
    asked = [gateway.ask(chat("demo", key=key)) for _ in range(3) for gateway in (one, other)]
    assert [answer.status for answer in asked] == [200] * 4 + [429] * 2
    assert path.with_name("team.db-limits").stat().st_mode & 0o777 == 0o600


def test_a_gateway_that_was_killed_goes_on_counting(start_gateway: StartGateway, place: tuple[Path, str]) -> None:
    path, key = place
    config = f"server: {{port: 0}}\ndatabase: {path}\n"
    first = start_gateway(config, serves=False).wait_until_serving()
    assert [first.ask(chat("demo", key=key)).status for _ in range(3)] == [200] * 3
    first.stop(signal.SIGKILL)
    second = start_gateway(config)
    assert [second.ask(chat("demo", key=key)).status for _ in range(3)] == [200, 429, 429]


def test_who_asks_another_gateway_after_an_answer_is_not_refused(
    start_gateway: StartGateway, place: tuple[Path, str]
) -> None:
    path, key = place
    limit(path, "key", "", "concurrent_requests", 1)
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM limits WHERE subject_kind = 'account'")
        database.execute("UPDATE limits SET subject = (SELECT id FROM keys)")
    database.close()
    config = f"server: {{port: 0}}\ndatabase: {path}\n"
    ask = chat("demo", key=key)
    with start_gateway(config).connect() as one, start_gateway(config).connect() as other:
        assert {client.ask(ask).status for _ in range(150) for client in (one, other)} == {200}
