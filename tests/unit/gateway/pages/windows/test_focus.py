"""Where the focus is, and what is seen, after a form was sent."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from gateway.team.models.deployments import NewDeployment
from tests.harness.pages.chromium import require_chromium, running_chromium
from tests.harness.pages.team_pages import team_serving, window

require_chromium("where the focus is")

pytestmark = pytest.mark.slow

NOWHERE = "http://127.0.0.1:9"  # nothing listens on the discard port


@pytest.mark.parametrize("scripts", [True, False])
async def test_what_is_wrong_far_down_a_page_is_seen_and_focused(tmp_path: Path, scripts: bool) -> None:
    async with team_serving(tmp_path, "acme") as team, running_chromium() as chromium:
        given = {"id": "demo", "account": "acme", "upstream": NOWHERE, "status": "paused"}
        await team.do("deployments.create", asked=NewDeployment.model_validate(given))
        ada = await team.person("ada")
        async with window(chromium, team, ada, "/deployments/demo", java_script_enabled=scripts) as page:
            await page.get_by_text("Change them").click()
            await page.get_by_label("To connect").fill("-5")
            await page.get_by_role("button", name="Save").click()
            problem = page.get_by_role("alert").filter(has_text="To connect" if scripts else "timeouts.connect")
            await expect(problem).to_be_focused()
            await expect(problem).to_be_in_viewport()
            if scripts:
                wrong = page.get_by_role("textbox", name="To connect")
                await expect(wrong).to_have_attribute("aria-invalid", "true")
                await expect(wrong).to_have_accessible_description(await problem.locator("p").last.inner_text())
            await page.keyboard.press("Tab")
            await expect(page.get_by_label("Account")).to_be_focused()
