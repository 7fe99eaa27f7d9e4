"""A gateway with a team's database, and who asks it: somebody with an admin token, or nobody in particular."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.pages.team_pages import Team, team_serving
from tests.unit.gateway.team.admin_client import AdminClient, admin_client, nobody


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with team_serving(tmp_path, "acme", "beta") as team:
        yield team


@pytest.fixture
async def admin(team: Team) -> AsyncIterator[AdminClient]:
    async with admin_client(team) as client:
        yield client


@pytest.fixture
async def stranger(team: Team) -> AsyncIterator[AdminClient]:
    async with nobody(team) as client:
        yield client
