"""A window of an admin's on one of the team's pages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, Page

from gateway.team.models.deployments import NewDeployment
from gateway.team.models.keys import NewKey
from tests.harness.pages.team_pages import Team, team_serving, window

NOWHERE = "http://127.0.0.1:9"  # nothing listens on the discard port


@asynccontextmanager
async def at(browser: Browser, folder: Path, path: str, *names: str, keys: int = 0) -> AsyncIterator[tuple[Team, Page]]:
    """One on a page, with deployments of these names, which are paused, and so many keys."""
    async with team_serving(folder, "acme") as team:
        for name in names:
            given = {"id": name, "account": "acme", "upstream": NOWHERE, "status": "paused"}
            await team.do("deployments.create", asked=NewDeployment.model_validate(given))
        for number in range(keys):
            await team.do("keys.create", asked=NewKey(account="acme", name=f"key {number:02}"))
        await team.has_looked()
        async with window(browser, team, await team.person("ada"), path) as page:
            yield team, page
