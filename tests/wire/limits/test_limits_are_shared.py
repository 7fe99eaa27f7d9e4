"""Two gateways on one database count together, and one that was killed has not forgotten anything."""

import asyncio
import signal
import sqlite3
from pathlib import Path

import pytest

from gateway.config.settings import DeploymentEntry
from gateway.core.deployment import Status
from gateway.core.rate_limits import Measure, SubjectKind
from gateway.team.models.limits import Limit, NewLimit
from tests.harness.patience import wait_until
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
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


def serving(start_gateway: StartGateway, path: Path) -> GatewayProcess:
    """A gateway on the database, which it opens for writing only once there is usage to be written."""
    gateway: GatewayProcess = start_gateway(f"server: {{port: 0}}\ndatabase: {path}\n", serves=False)
    return gateway.wait_until_serving()


def test_two_gateways_on_one_database_count_together(start_gateway: StartGateway, place: tuple[Path, str]) -> None:
    path, key = place
    one, other = serving(start_gateway, path), serving(start_gateway, path)
    asked = [gateway.ask(chat("demo", key=key)) for _ in range(3) for gateway in (one, other)]
    assert [answer.status for answer in asked] == [200] * 4 + [429] * 2
    assert path.with_name("team.db-limits").stat().st_mode & 0o777 == 0o600


def test_a_gateway_that_was_killed_goes_on_counting(start_gateway: StartGateway, place: tuple[Path, str]) -> None:
    path, key = place
    first = serving(start_gateway, path)
    assert [first.ask(chat("demo", key=key)).status for _ in range(3)] == [200] * 3
    first.stop(signal.SIGKILL)
    second = serving(start_gateway, path)
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
    ask = chat("demo", key=key)
    with serving(start_gateway, path).connect() as one, serving(start_gateway, path).connect() as other:
        assert {client.ask(ask).status for _ in range(150) for client in (one, other)} == {200}


async def _set(path: Path, measure: Measure, amount: int) -> str:
    async with changing(str(path)) as change:
        asked = NewLimit(kind=SubjectKind.ACCOUNT, subject="acme", measure=measure, amount=amount)
        made: Limit = await change.client.perform("limits.set", request=asked)
        return made.id


async def _remove(path: Path, limit_id: str) -> None:
    async with changing(str(path)) as change:
        await change.client.perform("limits.remove", limit_id)


def test_a_limit_is_in_force_soon_and_gone_soon(start_gateway: StartGateway, place: tuple[Path, str]) -> None:
    path, key = place
    gateway = serving(start_gateway, path)
    ask = chat("demo", key=key)
    assert gateway.ask(ask).header("x-ratelimit-limit-requests") == "4"
    changed = asyncio.run(_set(path, Measure.REQUESTS_PER_MINUTE, 2))
    told = "x-ratelimit-limit-requests"
    wait_until(lambda: gateway.ask(ask).header(told) == "2", what="the amount is never in force")
    wait_until(lambda: gateway.ask(ask).status == 429, what="it limits nobody")
    asyncio.run(_remove(path, changed))
    wait_until(lambda: gateway.ask(ask).status == 200, what="the limit is never gone")
    assert gateway.ask(ask).header(told) is None


def test_a_locked_database_in_the_middle_changes_nothing(start_gateway: StartGateway, place: tuple[Path, str]) -> None:
    path, key = place
    gateway = serving(start_gateway, path)
    ask = chat("demo", key=key)
    assert [gateway.ask(ask).status for _ in range(2)] == [200, 200]
    locking = sqlite3.connect(path, isolation_level=None)
    locking.execute("BEGIN EXCLUSIVE")
    assert [gateway.ask(ask).status for _ in range(3)] == [200, 200, 429]
    locking.execute("ROLLBACK")
    locking.close()
    assert gateway.ask(ask).status == 429


def test_limits_of_the_model_server_s_own_are_not_shown(
    start_gateway: StartGateway, upstream: ScriptedUpstream, place: tuple[Path, str]
) -> None:
    path, key = place
    gateway = serving(start_gateway, path)
    own = (b"x-ratelimit-limit-requests: xyz", b"X-RateLimit-Remaining-Tokens: xyz", b"Anthropic-RateLimit-X: xyz")
    with upstream.playing(lambda visit: visit.answer(visit.read_body(), "200 OK", *own)):
        answer = gateway.ask(chat("demo", key=key))
    assert answer.header("x-ratelimit-limit-requests") == "4"
    assert b"xyz" not in answer.head
