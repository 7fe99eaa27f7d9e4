"""Where somebody stands in a long list when they come back to it."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from gateway.team.models.keys import NewKey
from tests.harness.pages.chromium import require_chromium, running_chromium
from tests.harness.pages.team_pages import team_serving, window

require_chromium("where one stands in a list")

pytestmark = pytest.mark.slow


async def test_who_goes_back_to_a_list_comes_to_their_place_in_it(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, running_chromium() as chromium:
        for number in range(60):
            await team.do("keys.create", asked=NewKey(account="acme", name=f"key {number}"))
        async with window(chromium, team, await team.person("ada"), "/keys") as page:
            for name in ("key 20", "key 40"):
                link = page.get_by_role("link", name=name, exact=True)
                await link.evaluate("link => link.scrollIntoView({block: 'center'})")
                top = await page.evaluate("scrollY")
                assert top > 900  # more than the page of the key has
                await link.press("Enter")
                await expect(page.locator("h1")).to_have_text(name)
                await page.evaluate("history.back()")
                await expect(page.locator("h1")).to_have_text("Keys")
                await page.wait_for_function("top => scrollY === top", arg=top)
            await page.evaluate("scrollTo(0, 0)")
            await page.reload()
            assert await page.evaluate("scrollY") == 0
