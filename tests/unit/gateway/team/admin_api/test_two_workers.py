"""Two worker processes: what one of them is told is in force in both, soon."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, DummyCookieJar, TCPConnector

from gateway.registry.database.engine import database_url
from gateway.registry.database.migrate import prepare
from gateway.team.actor import Face, Way, machine_actor
from gateway.team.models.tokens import NewToken
from gateway.team.operations.operation import Call, perform
from gateway.team.operations.people import add_person
from gateway.team.operations.table import OPERATIONS
from gateway.team.signing_in.session_limits import SessionLimits
from gateway.team.signing_in.sessions import begin_session
from gateway.team.unit_of_work import TeamDatabase
from mockserver import MockLlamaServer
from tests.harness.patience import PATIENCE
from tests.harness.processes.gateway_process import GatewayProcess
from tests.unit.gateway.team.admin_client import AdminClient

pytestmark = pytest.mark.slow

_CONNECTIONS = 24  # with so many, luck alone cannot leave a worker without one
_BOUND = 10.0  # seconds: a second is what is promised, of a machine that does nothing else


@asynccontextmanager
async def two_workers(folder: Path) -> AsyncIterator[tuple[AdminClient, str, list[AdminClient]]]:
    """An admin of a gateway of two processes, a session there, and nobody on connections of their own to both."""
    place = folder / "gateway.db"
    await prepare(database_url(place), create=True)
    database = TeamDatabase(place)
    asked = NewToken(name="ci", scopes=("*",))
    made: Any = await perform(database, machine_actor("root"), Call(OPERATIONS["tokens.create"], (), asked))
    async with database.change(machine_actor("root")) as unit:
        await add_person(unit, "per_1", (), name="ada", role="admin", enabled=True)
        session = await begin_session(unit.connection, "per_1", Way(Face.PAGE), SessionLimits())
    await database.close()
    config = folder / "gateway.yaml"
    config.write_text(f"database: sqlite+aiosqlite:///{place}\nserver:\n  port: 0\n  workers: 2\n")
    config.chmod(0o600)
    gateway = GatewayProcess(config).wait_until_serving()
    try:
        async with AsyncExitStack() as stack:
            clients = []
            for _ in range(_CONNECTIONS + 1):
                one = ClientSession(cookie_jar=DummyCookieJar(), connector=TCPConnector(limit=1))
                clients.append(AdminClient(await stack.enter_async_context(one), f"http://127.0.0.1:{gateway.port}"))
            yield clients[0].by_token(made.token), session, clients[1:]
    finally:
        gateway.stop()


async def seconds_until(
    asked: Callable[[AdminClient], Awaitable[int]], wanted: int, clients: list[AdminClient]
) -> float:
    """How long it takes from now until every connection gets this status."""
    begun = time.monotonic()

    async def wait(client: AdminClient) -> None:
        async with asyncio.timeout(PATIENCE):
            while await asked(client) != wanted:
                await asyncio.sleep(0.01)

    await asyncio.gather(*map(wait, clients))
    return time.monotonic() - begun


async def test_a_change_by_the_api_is_in_force_in_both_workers(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    took: dict[str, float] = {}
    async with MockLlamaServer() as mock, two_workers(tmp_path) as (admin, session, clients):
        await admin.ask("POST", "/accounts", {"id": "acme"})
        wanted = {"id": "one", "account": "acme", "upstream": mock.url, "status": "ready"}
        assert (await admin.ask("POST", "/deployments", wanted)).status == 201
        keys = [
            (await admin.ask("POST", "/keys", {"account": "acme", "name": name})).json for name in ("a", "b", "c", "d")
        ]
        token = (await admin.ask("POST", "/tokens", {"name": "other", "scopes": ["keys:read"]})).json

        def by(key: dict[str, Any]) -> Callable[[AdminClient], Awaitable[int]]:
            async def ask(client: AdminClient) -> int:
                return (await client.by_token(key["key"]).ask("GET", f"{client.url}/api/gguf/one/v1/models")).status

            return ask

        async def with_token(client: AdminClient) -> int:
            return (await client.by_token(token["token"]).ask("GET", "/keys")).status

        async def with_session(client: AdminClient) -> int:
            return (await client.by_session(session).ask("GET", "/keys")).status

        changes = {
            "revoked": (by(keys[0]), 401, ("POST", f"/keys/{keys[0]['id']}/revoke", {})),
            "off": (by(keys[1]), 401, ("PATCH", f"/keys/{keys[1]['id']}", {"enabled": False})),
            "limited": (by(keys[2]), 404, ("PATCH", f"/keys/{keys[2]['id']}", {"networks": ["192.0.2.0/24"]})),
            "paused": (by(keys[3]), 503, ("POST", "/deployments/one/pause", None)),
            "token": (with_token, 401, ("POST", f"/tokens/{token['id']}/revoke", None)),
            "session": (with_session, 401, ("POST", "/people/per_1/sign-out", None)),
        }
        for asked, _, _ in changes.values():
            await seconds_until(asked, 200, clients)
        for name, (asked, refused, change) in changes.items():
            assert (await admin.ask(*change)).status in {200, 204}
            took[name] = round(await seconds_until(asked, refused, clients), 3)
    record_property("seconds", took)
    assert max(took.values()) < _BOUND
