"""A gateway with a team's database for tests, people in it, and a browser's window for somebody who is signed in."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web
from pydantic import BaseModel
from sqlalchemy import select

from gateway.config.server_settings import Probes, Server
from gateway.config.settings import server_with
from gateway.registry.base import Registry
from gateway.registry.database.database_registry import SqlRegistry
from gateway.registry.database.engine import database_url
from gateway.registry.database.migrate import prepare
from gateway.registry.database.tables import revision
from gateway.server.admission import REGISTRY
from gateway.server.app import create_admin_app, create_app
from gateway.server.handlers.dashboard import PAGE
from gateway.server.http_server import Runner
from gateway.server.team.team_database import TEAM
from gateway.team.actor import Face, Way, machine_actor
from gateway.team.models.accounts import NewAccount
from gateway.team.operations.operation import Call, perform
from gateway.team.operations.people import add_person
from gateway.team.operations.table import OPERATIONS
from gateway.team.signing_in.session_limits import SessionLimits
from gateway.team.signing_in.sessions import begin_session
from gateway.team.unit_of_work import TeamDatabase
from tests.harness.patience import PATIENCE

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

COOKIE = "gateway_session"
# What a browser says of a gateway that has stopped, and of a page whose status is an error.
_EXPECTED = (
    *("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "Failed to load resource"),
    "Autofocus processing was blocked",  # the field has the focus already: htmx, or somebody, was sooner than the frame
)


@dataclass
class Team:
    """A gateway with a database, and the operations on it as somebody on the machine does them."""

    runner: Runner
    database: TeamDatabase
    pages: Runner  # that of the pages: the same, unless they have a port of their own

    @property
    def app(self) -> web.Application:
        """The application that is serving."""
        return self.runner.app

    @property
    def url(self) -> str:
        """Where its pages are reached."""
        return f"http://127.0.0.1:{self.pages.addresses[0][1]}"

    async def do(self, name: str, *ids: str, asked: BaseModel | None = None) -> Any:
        """The result of an operation. The gateway looks at the change soon."""
        return await perform(self.database, machine_actor("root"), Call(OPERATIONS[name], ids, asked))

    async def has_looked(self) -> None:
        """Wait until the gateway serves by what the database says now."""
        await has_looked(self.app[REGISTRY], self.database)

    async def person(self, name: str, role: str = "admin", accounts: Iterable[str] = ()) -> str:
        """A new person, who is signed in: the text of their session."""
        person_id = "per_" + secrets.token_hex(6)
        async with self.database.change(machine_actor("root")) as unit:
            await add_person(unit, person_id, accounts, name=name, role=role, enabled=True)
            return await begin_session(unit.connection, person_id, Way(Face.PAGE), SessionLimits())


async def has_looked(registry: Registry, database: TeamDatabase) -> None:
    """Wait until a registry that watches this database serves by what it says now."""
    assert isinstance(registry, SqlRegistry)
    async with database.connect() as connection:
        wanted = (await connection.execute(select(revision.c.number))).scalar_one()
    told = asyncio.Event()
    registry.listeners.append(told.set)
    async with asyncio.timeout(PATIENCE):
        while registry._known is None or registry._known.revision < wanted:
            registry.look_soon()
            await told.wait()
            told.clear()
    registry.listeners.remove(told.set)


@asynccontextmanager
async def team_serving(where: Path | str, *accounts: str, **settings: object) -> AsyncIterator[Team]:
    """A gateway with a database that has these accounts; `settings` are fields of `server:`.

    `where` is the folder of an SQLite file, or the URL of a server's database.
    """
    place = where if isinstance(where, str) else where / "gateway.db"
    await prepare(database_url(place), create=True)
    server = server_with(Server(port=0, probes=Probes(interval=0.1)), **settings)
    runner = Runner(create_app(server, SqlRegistry(place)), server)
    await runner.setup()
    await web.TCPSite(runner, server.host[0], 0).start()
    pages = runner
    if server.admin is not None:
        runner.app[PAGE].clients_port = runner.addresses[0][1]
        pages = Runner(create_admin_app(runner.app), server, proxies=False)
        await pages.setup()
        await web.TCPSite(pages, server.admin.host[0], 0).start()
    team = Team(runner, await runner.app[TEAM].database(), pages)
    try:
        for account in accounts:
            await team.do("accounts.create", asked=NewAccount(id=account))
        yield team
    finally:
        for one in dict.fromkeys((pages, runner)):
            await one.cleanup()


@asynccontextmanager
async def window(
    browser: "Browser", team: Team, session: str, path: str, *, width: int = 1440, dark: bool = False, **context: Any
) -> AsyncIterator["Page"]:
    """A page in a window of its own. Anything on its console, and any request elsewhere, fails the test."""
    from playwright.async_api import expect

    complaints: list[str] = []
    look = {"viewport": {"width": width, "height": 900}, "color_scheme": "dark" if dark else "light"}
    found = await browser.new_context(**{**look, **context})
    await found.add_cookies([{"name": COOKIE, "value": session, "url": team.url}])
    found.set_default_timeout(PATIENCE * 1000)
    expect.set_options(timeout=PATIENCE * 1000)
    page = await found.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda one: None if one.url.startswith(team.url + "/") else complaints.append(one.url))
    try:
        await page.goto(team.url + path)
        yield page
    finally:
        await found.close()
    assert not [text for text in complaints if not any(words in text for words in _EXPECTED)]


async def is_wider_than_its_window(page: "Page") -> bool:
    """Whether somebody would have to scroll sideways."""
    return bool(await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


async def has_shifted(page: "Page") -> float:
    """How much of what was drawn has moved since (Layout Instability): 0 is nothing."""
    script = """new Promise(tell => {
        let sum = 0;
        const watch = new PerformanceObserver(seen => { for (const one of seen.getEntries()) sum += one.value; });
        watch.observe({type: "layout-shift", buffered: true});
        requestAnimationFrame(() => requestAnimationFrame(() => tell(sum)));
    })"""
    return float(await page.evaluate(script))
