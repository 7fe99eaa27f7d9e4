"""A gateway with a team's database, and a client that nobody is signed in with."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.pages.team_pages import Team, team_serving
from tests.unit.gateway.team.admin_client import AdminClient, nobody


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with team_serving(tmp_path, "acme", "beta") as team:
        yield team


@pytest.fixture
async def stranger(team: Team) -> AsyncIterator[AdminClient]:
    async with nobody(team) as client:
        yield client
