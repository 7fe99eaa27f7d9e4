"""Two worker processes: what one of them is told, or a command has done, is in force in both within a second.

The clock begins when the call has returned. What counts is when a request was sent that is still answered the old way:
how long its answer takes is another matter. A machine that is busy is late with everything, so the test does beside it
what a worker does to learn of a change, and allows for how late that was.
"""

import asyncio
import re
import sqlite3
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import ClientSession, DummyCookieJar, TCPConnector

from gateway.registry.database.engine import database_url
from gateway.registry.database.migrate import prepare
from gateway.registry.reloading import INTERVAL
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
from tests.harness.processes.commands import CommandProcess
from tests.harness.processes.gateway_process import GatewayProcess
from tests.unit.gateway.team.admin_client import AdminClient

pytestmark = pytest.mark.slow

_WITHIN = 1.0  # seconds, as promised
_EACH = 2  # connections to each worker
_PEOPLE = ("ada", "ben", "cleo", "dora")


class Machine:
    """How late this machine is with what a worker does to learn of a change: wait, and look at the database."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self.lag = 0.0  # seconds, the worst so far

    async def watch(self) -> None:
        """Look again and again."""
        while True:
            begun = time.monotonic()
            await asyncio.sleep(INTERVAL)
            await asyncio.to_thread(self._look)
            self.lag = max(self.lag, time.monotonic() - begun - INTERVAL)

    def _look(self) -> None:
        with sqlite3.connect(self._place) as connection:
            connection.execute("SELECT number FROM revision").fetchone()
        connection.close()


@dataclass
class TwoWorkers:
    """An admin of a gateway of two processes, a session of each person, and nobody on connections to both."""

    admin: AdminClient
    sessions: dict[str, str]
    clients: list[AdminClient]
    command: CommandProcess
    machine: Machine

    async def made(self, path: str, asked: dict[str, Any]) -> Any:
        """Something new."""
        reply = await self.admin.ask("POST", path, asked)
        assert reply.status == 201, reply.body
        return reply.json

    async def late(self, asked: "Asked", wanted: int) -> float:
        """Seconds from now until the last request was sent, on any connection, that is not answered so."""
        begun = time.monotonic()

        async def wait(client: AdminClient) -> float:
            last = begun
            async with asyncio.timeout(PATIENCE):
                while True:
                    sent = time.monotonic()
                    if await asked(client) == wanted:
                        return last - begun
                    last = sent
                    await asyncio.sleep(0.01)

        return max(await asyncio.gather(*map(wait, self.clients)))


Asked = Callable[[AdminClient], Awaitable[int]]


class Change(NamedTuple):
    """What is done, and which status then follows what."""

    name: str
    done: Callable[[], Awaitable[None]]
    asked: Asked
    before: int
    after: int


@asynccontextmanager
async def two_workers(folder: Path) -> AsyncIterator[TwoWorkers]:
    place = folder / "gateway.db"
    await prepare(database_url(place), create=True)
    database, sessions = TeamDatabase(place), {}
    asked = NewToken(name="ci", scopes=("*",))
    token: Any = await perform(database, machine_actor("root"), Call(OPERATIONS["tokens.create"], (), asked))
    for name in _PEOPLE:
        async with database.change(machine_actor("root")) as unit:
            await add_person(unit, f"per_{name}", (), name=name, role="admin", enabled=True)
            sessions[name] = await begin_session(unit.connection, f"per_{name}", Way(Face.PAGE), SessionLimits())
    await database.close()
    config = folder / "gateway.yaml"
    config.write_text(f"database: sqlite+aiosqlite:///{place}\nserver:\n  port: 0\n  workers: 2\n")
    config.chmod(0o600)
    gateway = GatewayProcess(config).wait_until_serving()
    machine = Machine(place)
    watching = asyncio.create_task(machine.watch())
    try:
        async with AsyncExitStack() as stack:
            clients = await connected(stack, f"http://127.0.0.1:{gateway.port}")
            admin = (await connection(stack, clients[0].url)).by_token(token.token)
            yield TwoWorkers(admin, sessions, clients, CommandProcess(place), machine)
    finally:
        watching.cancel()
        gateway.stop()


async def connection(stack: AsyncExitStack, url: str) -> AdminClient:
    """Nobody, on a connection of their own."""
    one = ClientSession(cookie_jar=DummyCookieJar(), connector=TCPConnector(limit=1))
    return AdminClient(await stack.enter_async_context(one), url)


async def connected(stack: AsyncExitStack, url: str) -> list[AdminClient]:
    """Connections to each worker: which one it is, the status page says."""
    found = defaultdict[bytes, list[AdminClient]](list)
    async with asyncio.timeout(PATIENCE):
        while len(found) < 2 or min(map(len, found.values())) < _EACH:
            client = await connection(stack, url)
            seen = re.search(rb"Seen by worker</dt><dd>(\d) of 2<", (await client.ask("GET", f"{url}/")).body)
            assert seen is not None
            found[seen[1]].append(client)
    return [client for clients in found.values() for client in clients[:_EACH]]


def with_key(key: str) -> Asked:
    async def ask(client: AdminClient) -> int:
        return (await client.by_token(key).ask("GET", f"{client.url}/api/gguf/one/v1/models")).status

    return ask


def with_token(token: str) -> Asked:
    async def ask(client: AdminClient) -> int:
        return (await client.by_token(token).ask("GET", "/keys")).status

    return ask


def with_session(session: str, path: str = "/keys") -> Asked:
    async def ask(client: AdminClient) -> int:
        return (await client.by_session(session).ask("GET", path)).status

    return ask


@asynccontextmanager
async def team_at_work(folder: Path) -> AsyncIterator[tuple[TwoWorkers, dict[str, Any]]]:
    """It, and what it has: a deployment, keys, and a token."""
    async with MockLlamaServer() as mock, two_workers(folder) as two:
        await two.made("/accounts", {"id": "acme"})
        await two.made("/deployments", {"id": "one", "account": "acme", "upstream": mock.url, "status": "ready"})
        has = {name: await two.made("/keys", {"account": "acme", "name": name}) for name in "abcd"}
        has["token"] = await two.made("/tokens", {"name": "other", "scopes": ["keys:read"]})
        yield two, has


async def all_in_force(two: TwoWorkers, changes: Iterator[Change]) -> dict[str, float]:
    """Make the changes one after the other; how late each was in force, in seconds. Fails if one was too late."""
    took: dict[str, float] = {}
    for name, done, asked, before, after in changes:
        await two.late(asked, before)
        two.machine.lag = 0.0
        await done()
        took[name] = round(await two.late(asked, after), 3)
        assert took[name] < _WITHIN + two.machine.lag, f"{name}: with {two.machine.lag:.2f} s of the machine's own"
    return took


async def test_what_the_api_changes_is_in_force_in_both_workers_in_a_second(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async with team_at_work(tmp_path) as (two, has):

        def call(*what: Any) -> Callable[[], Awaitable[None]]:
            async def done() -> None:
                assert (await two.admin.ask(*what)).status in {200, 204}

            return done

        def changes() -> Iterator[Change]:
            a, b, c, d = (has[name] for name in "abcd")
            ada, ben, cleo = (two.sessions[name] for name in _PEOPLE[:3])
            off, on = {"enabled": False}, {"enabled": True}
            elsewhere = {"networks": ["192.0.2.0/24"]}
            yield Change("revoked", call("POST", f"/keys/{a['id']}/revoke", {}), with_key(a["key"]), 200, 401)
            yield Change("off", call("PATCH", f"/keys/{b['id']}", off), with_key(b["key"]), 200, 401)
            yield Change("on", call("PATCH", f"/keys/{b['id']}", on), with_key(b["key"]), 401, 200)
            yield Change("limited", call("PATCH", f"/keys/{c['id']}", elsewhere), with_key(c["key"]), 200, 404)
            yield Change("paused", call("POST", "/deployments/one/pause"), with_key(d["key"]), 200, 503)
            yield Change("resumed", call("POST", "/deployments/one/resume"), with_key(d["key"]), 503, 200)
            revoked = call("POST", f"/tokens/{has['token']['id']}/revoke")
            yield Change("token", revoked, with_token(has["token"]["token"]), 200, 401)
            member = call("PATCH", "/people/per_ben", {"role": "member"})
            yield Change("role", member, with_session(ben, "/audit"), 200, 403)
            yield Change("signed out", call("POST", "/people/per_ada/sign-out"), with_session(ada), 200, 401)
            yield Change("person off", call("PATCH", "/people/per_cleo", off), with_session(cleo), 200, 401)

        record_property("seconds", await all_in_force(two, changes()))


async def test_what_a_command_changes_is_in_force_in_both_workers_in_a_second(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async with team_at_work(tmp_path) as (two, has):

        def run(*arguments: str) -> Callable[[], Awaitable[None]]:
            async def done() -> None:
                await asyncio.to_thread(two.command.says, *arguments)

            return done

        def changes() -> Iterator[Change]:
            a, b, c = (has[name] for name in "abc")
            ada, ben, cleo = (two.sessions[name] for name in _PEOPLE[:3])
            yield Change("revoked", run("keys", "revoke", a["id"]), with_key(a["key"]), 200, 401)
            yield Change("off", run("keys", "set", b["id"], "--disable"), with_key(b["key"]), 200, 401)
            yield Change("on", run("keys", "set", b["id"], "--enable"), with_key(b["key"]), 401, 200)
            yield Change("paused", run("deployments", "pause", "one"), with_key(c["key"]), 200, 503)
            yield Change("resumed", run("deployments", "resume", "one"), with_key(c["key"]), 503, 200)
            revoked = run("tokens", "revoke", has["token"]["id"])
            yield Change("token", revoked, with_token(has["token"]["token"]), 200, 401)
            member = run("people", "set", "ben", "--role", "member")
            yield Change("role", member, with_session(ben, "/audit"), 200, 403)
            yield Change("signed out", run("people", "sign-out", "ada"), with_session(ada), 200, 401)
            yield Change("person off", run("people", "set", "cleo", "--disable"), with_session(cleo), 200, 401)

        record_property("seconds", await all_in_force(two, changes()))
