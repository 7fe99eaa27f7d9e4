"""The gateway's own connection to the team's database, opened when somebody first needs it."""

import asyncio
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from gateway.core import team_errors
from gateway.core.errors import Refusal
from gateway.server.activity.notice_boards import BOARDS
from gateway.server.admission import REGISTRY
from gateway.team.exchanges import Exchanges

if TYPE_CHECKING:
    from gateway.team.unit_of_work import TeamDatabase


class TeamAccess:
    """Where the team's database is; None for a registry that is a file, which nobody changes but its editor."""

    def __init__(self, place: str | Path | None, exchanges: Exchanges) -> None:
        self.place = place
        self._exchanges = exchanges
        self._database: TeamDatabase | None = None

    async def database(self) -> "TeamDatabase":
        """The open database. Raises Refusal where there is none."""
        if self.place is None:
            raise Refusal(team_errors.NO_DATABASE)
        if self._database is None:
            module: Any = await asyncio.to_thread(import_module, "gateway.team.unit_of_work")
            self._database = self._database or module.TeamDatabase(self.place, self._exchanges)
        return self._database

    async def close(self, _app: web.Application) -> None:
        """Leave the database."""
        if self._database is not None:
            await self._database.close()


TEAM = web.AppKey("team", TeamAccess)


def set_up(app: web.Application) -> None:
    """Say where the registry's database is."""
    app[TEAM] = TeamAccess(app[REGISTRY].place, app[BOARDS])
    app.on_cleanup.append(app[TEAM].close)
