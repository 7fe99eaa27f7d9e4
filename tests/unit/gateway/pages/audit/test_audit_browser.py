"""The audit log's page in a real browser: by keyboard alone, small and large, light and dark."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from gateway.team.models.keys import KeyChange, NewKey
from tests.harness.pages.axe import photograph, violations
from tests.harness.pages.chromium import require_chromium
from tests.harness.pages.team_pages import is_wider_than_its_window, team_serving, window

require_chromium("the team's pages")

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1440, False), (390, True), (1440, True)])
async def test_the_log_is_narrowed_and_downloaded_by_keyboard(
    browser: Browser, tmp_path: Path, width: int, dark: bool
) -> None:
    async with team_serving(tmp_path, "acme") as team:
        key = await team.do("keys.create", asked=NewKey(account="acme", name="<script>alert(1)</script>"))
        await team.do("keys.change", key.id, asked=KeyChange(name="laptop", networks=("10.0.0.0/8", "fd00::/8")))
        ada = await team.person("ada")
        async with window(browser, team, ada, "/audit", width=width, dark=dark) as page:
            await expect(page.locator("tbody tr")).to_have_count(3)
            await page.locator("summary").first.press("Enter")
            await expect(page.get_by_text("<script>alert(1)</script>").last).to_be_visible()
            await photograph(page, f"audit-{width}-{'dark' if dark else 'light'}")
            assert await violations(page) == []
            assert not await is_wider_than_its_window(page)
            await page.get_by_label("To what").focus()
            await page.keyboard.type(key.id)
            await page.keyboard.press("Enter")
            await expect(page.locator("tbody tr")).to_have_count(2)
            async with page.expect_download() as download:
                await page.get_by_role("link", name="Download all of these").press("Enter")
            text = Path(await (await download.value).path()).read_text(encoding="utf-8")
            assert text.count("\n") == 2
            await page.get_by_label("To what").fill("nothing")
            await page.keyboard.press("Enter")
            await expect(page.get_by_text("Nothing was done that fits.")).to_be_visible()
            assert await violations(page) == []
