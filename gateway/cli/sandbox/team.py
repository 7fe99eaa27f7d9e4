"""The sandbox's database, and who has started it as an admin in it: a newcomer is inside with one click."""

import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.cli.client.local_client import user_name
from gateway.config.server_settings import Server
from gateway.registry.database.database_registry import SqlRegistry
from gateway.registry.factory import database_of
from gateway.team.actor import machine_actor
from gateway.team.operations.people import add_person
from gateway.team.roles import Role
from gateway.team.signing_in.sign_in import make_sign_in_link
from gateway.team.unit_of_work import TeamDatabase


@dataclass(frozen=True, slots=True)
class SandboxTeam:
    """What the gateway serves from, and what the team's operations change."""

    database: TeamDatabase
    registry: SqlRegistry

    async def invite_who_started_it(self, accounts: Iterable[str]) -> str:
        """Make them an admin. Returns the path of a link that signs them in by itself, once."""
        async with self.database.change(machine_actor("sandbox")) as unit:
            person_id = "per_" + secrets.token_hex(6)
            await add_person(unit, person_id, accounts, name=user_name(), role=Role.ADMIN.value, enabled=True)
        return await make_sign_in_link(self.database, person_id)


@asynccontextmanager
async def team_database(path: Path, server: Server) -> AsyncIterator[SandboxTeam]:
    """The database at `path`, which has been made. Raises SourceError."""
    database = TeamDatabase(path)
    try:
        yield SandboxTeam(database, database_of(str(path), server, path))
    finally:
        await database.close()
