"""The operations on a database that this machine reaches."""

import os
import pwd
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from gateway.cli.client.team_client import TeamClient
from gateway.config.server_settings import Server
from gateway.config.settings import Settings
from gateway.registry.database.database_registry import SqlRegistry
from gateway.registry.database.engine import database_url
from gateway.registry.database.migrate import prepare
from gateway.team.actor import machine_actor
from gateway.team.import_settings import Imported, import_settings
from gateway.team.models.accounts import NewAccount
from gateway.team.operations.accounts import names_of_accounts
from gateway.team.operations.operation import Call, perform, require_permission, run
from gateway.team.operations.table import OPERATIONS
from gateway.team.unit_of_work import TeamDatabase
from gateway.usage.limits.rate_limiter import look_from_outside

_LONGEST_NAME = 64  # characters; the audit log holds no more


class LocalClient(TeamClient):
    """Asks as somebody with a shell on the machine, named as their user there."""

    def __init__(self, database: TeamDatabase, base_url: str) -> None:
        self.database = database
        self.actor = machine_actor(user_name(), base_url)

    async def perform(
        self,
        name: str,
        *ids: str,
        request: BaseModel | None = None,
        expected_version: int | None = None,
        make_account: str | None = None,
    ) -> Any:
        """See `TeamClient`. The account and what it is made for are one transaction."""
        call = Call(OPERATIONS[name], ids, request, expected_version)
        if make_account is None:
            return await perform(self.database, self.actor, call)
        require_permission(self.actor, call.operation)
        async with self.database.change(self.actor, expected_version) as unit:
            if make_account not in await names_of_accounts(unit.connection):
                await run(unit, Call(OPERATIONS["accounts.create"], request=NewAccount(id=make_account)))
            return await run(unit, call)

    async def import_settings(self, settings: Settings, file: str, *, overwrite: bool) -> Imported:
        """Take over what a configuration file holds. Raises ChangeError, and SourceError."""
        async with self.database.change(self.actor) as unit:
            return await import_settings(unit, settings, file, overwrite=overwrite)


@asynccontextmanager
async def open_database(
    place: str | Path, *, create: bool = False, base_url: str = "", server: Server | None = None
) -> AsyncIterator[LocalClient]:
    """A database, migrated first. With `create`, an SQLite file that is missing is made.

    Links that are shown begin with `base_url`; `server` are the gateway's settings, where they are known. Raises
    SourceError if the database cannot be used.
    """
    await prepare(database_url(place), create=create)
    zone = ZoneInfo((server or Server()).time_zone)
    database = TeamDatabase(place, server=server, look=partial(look_from_outside, SqlRegistry(place), zone))
    try:
        yield LocalClient(database, base_url)
    finally:
        await database.close()


def user_name() -> str:
    """Of whom the process is, whatever the environment says: this is what the audit log shows."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name[:_LONGEST_NAME]
    except KeyError:
        return f"user {number}"
