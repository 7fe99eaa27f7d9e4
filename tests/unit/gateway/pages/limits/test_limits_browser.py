"""The page of limits in a real browser: by keyboard alone, small and large, light and dark."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.harness.pages.axe import photograph, violations
from tests.harness.pages.chromium import require_chromium
from tests.harness.pages.team_pages import is_wider_than_its_window, team_serving, window

require_chromium("the team's pages")

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1440, True)])
async def test_a_limit_is_set_and_removed_by_keyboard(browser: Browser, tmp_path: Path, width: int, dark: bool) -> None:
    async with (
        team_serving(tmp_path, "acme", "a-long-name-of-an-account-that-somebody-thought-up") as team,
        window(browser, team, await team.person("ada"), "/limits", width=width, dark=dark) as page,
    ):
        await page.locator("select[name=on]").select_option("account:acme")
        await page.locator("input[name=amount]").press_sequentially("100000")
        await page.locator("select[name=measure]").select_option("tokens_per_day")
        await page.keyboard.press("Tab")
        await page.get_by_role("button", name="Set the limit").press("Enter")
        await expect(page.locator("td[data-label='At most']")).to_have_text("100,000 tokens a day")
        await photograph(page, f"limits-{width}-{'dark' if dark else 'light'}")
        assert await violations(page) == []
        assert not await is_wider_than_its_window(page)
        await page.get_by_role("button", name="Remove: 100,000 tokens a day on acme").press("Enter")
        await expect(page.get_by_role("dialog")).to_be_visible()
        await page.get_by_role("button", name="Remove", exact=True).press("Enter")
        await expect(page.get_by_text("Nothing is limited yet.")).to_be_visible()
        weight = page.get_by_label("Weight of acme", exact=True)
        await weight.fill("a lot")
        await weight.press("Enter")
        await expect(page.get_by_role("alert").filter(has_text="weight")).to_be_visible()
        await expect(weight).to_have_value("a lot")
        await photograph(page, f"limits-shares-{width}-{'dark' if dark else 'light'}")
        assert await violations(page) == []
        assert not await is_wider_than_its_window(page)
        await weight.fill("2")
        await weight.press("Enter")
        await expect(page.get_by_text("Saved.")).to_be_visible()
        await expect(weight).to_have_value("2")
