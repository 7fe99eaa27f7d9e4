"""What a browser waits for until it paints a page: its HTML and one file of styles."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from gateway.team.models.deployments import NewDeployment
from tests.harness.pages.chromium import require_chromium, running_chromium
from tests.harness.pages.team_pages import has_shifted, team_serving, window

require_chromium("the first paint of the team's pages")

pytestmark = pytest.mark.slow

OF_THE_SIGNED_IN = ("deployments", "deployments/demo", "activity", "usage", "keys", "limits", "people", "audit", "me")
PAGES = ("", "sign-in", *OF_THE_SIGNED_IN, "playground")
NOWHERE = "http://127.0.0.1:9"  # nothing listens on the discard port
_BLOCKING = """() => performance.getEntriesByType("resource")
    .filter((one) => one.renderBlockingStatus === "blocking").map((one) => one.name.split("/").at(-1))"""


async def test_each_page_waits_for_one_file_of_styles(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, running_chromium() as chromium:
        given = {"id": "demo", "account": "acme", "upstream": NOWHERE, "status": "paused"}
        await team.do("deployments.create", asked=NewDeployment.model_validate(given))
        await team.has_looked()
        ada = await team.person("ada")
        for path in PAGES:
            session = ada if path not in {"", "sign-in"} else "nobody"
            async with window(chromium, team, session, f"/{path}") as page:
                styles = "style.css" if path else "status.css"
                assert (path, await page.evaluate(_BLOCKING)) == (path, [styles])


@pytest.mark.parametrize("width", [390, 1440])
async def test_nothing_moves_where_a_page_says_that_it_is_live(tmp_path: Path, width: int) -> None:
    async with team_serving(tmp_path, "acme") as team, running_chromium() as chromium:
        given = {"id": "demo", "account": "acme", "upstream": NOWHERE, "status": "paused"}
        await team.do("deployments.create", asked=NewDeployment.model_validate(given))
        await team.has_looked()
        ada = await team.person("ada")
        for path in ("deployments", "deployments/demo", "activity"):
            async with window(chromium, team, ada, f"/{path}", width=width) as page:
                await expect(page.locator("#link-text")).to_have_text("Live")
                assert (path, await has_shifted(page)) == (path, 0)
