"""A provider, and a gateway whose people sign in there."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest_asyncio

from tests.harness.pages.scripted_provider import ScriptedProvider, browsing, oidc_settings, scripted_provider
from tests.harness.pages.team_pages import Team, team_serving

DOMAINS = {"example.org": {"role": "member", "accounts": ["acme"]}}


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with scripted_provider() as found:
        yield found


@pytest_asyncio.fixture
async def team(provider: ScriptedProvider, tmp_path: Path) -> AsyncIterator[Team]:
    settings = oidc_settings(provider.issuer, domains=DOMAINS, label="Example ID")
    async with team_serving(tmp_path, "acme", "beta", sign_in=settings) as found:
        yield found


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with browsing() as client:
        yield client
