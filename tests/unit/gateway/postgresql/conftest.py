"""A database on a PostgreSQL server, and a gateway with it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.registry.database.engine import database_url
from gateway.registry.database.migrate import prepare
from tests.harness.pages.team_pages import Team, team_serving
from tests.harness.storage.postgresql import Postgresql
from tests.unit.gateway.team.admin_client import AdminClient, a_key, admin_client, nobody


@pytest.fixture(scope="session")
def template(postgresql_server: Postgresql) -> str:
    """The URL of a database of the newest schema, which is only copied."""
    url = postgresql_server.database()
    asyncio.run(prepare(database_url(url), create=True))
    return url


@pytest.fixture
def url(postgresql_server: Postgresql, template: str) -> str:
    """That of a database of the newest schema."""
    return postgresql_server.database(template)


@pytest.fixture
async def team(url: str) -> AsyncIterator[Team]:
    async with team_serving(url, "acme", "beta") as team:
        yield team


@pytest.fixture
async def admin(team: Team) -> AsyncIterator[AdminClient]:
    async with admin_client(team) as client:
        yield client


@pytest.fixture
async def stranger(team: Team) -> AsyncIterator[AdminClient]:
    async with nobody(team) as client:
        yield client


@pytest.fixture
async def key(admin: AdminClient) -> str:
    return await a_key(admin)
