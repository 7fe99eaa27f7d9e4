"""The gateway's own connection to the team's database, opened when somebody first needs it."""

import asyncio
import contextlib
import logging
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from gateway.config.document import SourceError
from gateway.config.server_settings import Server
from gateway.config.sign_in_settings import SignIn
from gateway.core import errors, team_errors
from gateway.core.errors import Refusal
from gateway.server.activity.notice_boards import BOARDS
from gateway.server.admission import REGISTRY
from gateway.team.exchanges import Exchanges
from gateway.usage.limits.rate_limiter import LIMITER, RateLimiter

if TYPE_CHECKING:
    from gateway.team.signing_in.oidc.provider import Provider
    from gateway.team.unit_of_work import TeamDatabase


log = logging.getLogger("gateway.team")
_PRUNED_EVERY = 3600.0  # seconds


class TeamAccess:
    """Where the team's database is; None for a registry that is a file, which nobody changes but its editor.

    While it is open, rows of the audit log that are older than `server.audit_days` are removed once an hour.
    """

    def __init__(self, place: str | Path | None, exchanges: Exchanges, server: Server, limiter: RateLimiter) -> None:
        self.place = place
        self._limiter = limiter
        self._exchanges = exchanges
        self.server = server
        self._kept_for = timedelta(days=server.audit_days)
        self._database: TeamDatabase | None = None
        self._pruning: asyncio.Task[None] | None = None
        self._leaving = asyncio.Event()

    async def database(self) -> "TeamDatabase":
        """The open database. Raises Refusal where there is none, or the gateway is shutting down."""
        if self.place is None:
            raise Refusal(team_errors.NO_DATABASE)
        if self._database is None:
            made = await asyncio.to_thread(self._made, self.place)
            if self._leaving.is_set():
                raise Refusal(errors.DRAINING)
            if self._database is None:
                self._database = made
                self._pruning = asyncio.create_task(self._prune_for_ever(self._database))
        return self._database

    def _made(self, place: str | Path) -> "TeamDatabase":
        """In a thread: SQLAlchemy and a driver are loaded for it."""
        from gateway.team.unit_of_work import TeamDatabase

        return TeamDatabase(place, self._exchanges, self.server, self._limiter.standings)

    async def settle(self, _app: web.Application) -> None:
        """Let what people have asked for come to its end, before it is cancelled."""
        self._leaving.set()
        if self._database is not None:
            await self._database.settled()

    async def close(self, _app: web.Application) -> None:
        """Leave the database, once it is not being pruned: the driver's thread needs the event loop until then."""
        self._leaving.set()
        if self._pruning is not None:
            await self._pruning
        if self._database is not None:
            await self._database.close()

    async def _prune_for_ever(self, database: "TeamDatabase") -> None:
        audit: Any = await asyncio.to_thread(import_module, "gateway.team.audit")
        while not self._leaving.is_set():
            try:
                async with database.begin() as connection:
                    removed: int = await audit.forget(connection, self._kept_for)
            except SourceError as error:
                log.warning("the audit log was not pruned: %s", error.in_one_line)
            else:
                if removed:
                    log.info("%d rows of the audit log are over, and removed", removed)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PRUNED_EVERY):
                    await self._leaving.wait()


class SignInAccess:
    """How people sign in, by the settings, and the provider of OpenID Connect once somebody asks for it."""

    def __init__(self, settings: SignIn) -> None:
        self.settings = settings
        self._provider: Provider | None = None

    async def provider(self) -> "Provider":
        """The provider. Raises Refusal (404) where the settings name none."""
        if self.settings.oidc is None:
            raise Refusal(errors.NO_SUCH_PATH, cause="server.sign_in.oidc is not set")
        if self._provider is None:
            module: Any = await asyncio.to_thread(import_module, "gateway.team.signing_in.oidc.provider")
            self._provider = self._provider or module.Provider(self.settings.oidc)
        return self._provider

    async def warn(self, app: web.Application) -> None:
        """Say in the log which accounts the settings give that there are not: nobody gets them."""
        oidc, known = self.settings.oidc, app[REGISTRY].snapshot.accounts
        for grant in [*oidc.domains.values(), *oidc.groups.values()] if oidc is not None else ():
            for name in grant.accounts:
                if name not in known:
                    log.warning("server.sign_in.oidc gives the account %s, which there is not", name)


TEAM = web.AppKey("team", TeamAccess)
SIGN_IN = web.AppKey("sign_in", SignInAccess)


def set_up(app: web.Application, server: Server) -> None:
    """Say where the registry's database is, and how people sign in."""
    app[SIGN_IN] = SignInAccess(server.sign_in)
    app[TEAM] = TeamAccess(app[REGISTRY].place, app[BOARDS], server, app[LIMITER])
    app.on_startup.append(app[SIGN_IN].warn)
    app.on_shutdown.append(app[TEAM].settle)
    app.on_cleanup.append(app[TEAM].close)
