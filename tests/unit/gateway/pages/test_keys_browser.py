"""The keys' page in a real browser."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.harness.pages.axe import photograph, violations
from tests.harness.pages.chromium import require_chromium, running_chromium
from tests.harness.pages.team_pages import is_wider_than_its_window, team_serving, window

require_chromium("the team's pages")

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with running_chromium() as browser:
        yield browser


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("dark", [False, True])
async def test_a_key_is_made_by_keyboard_alone(browser: Browser, tmp_path: Path, width: int, dark: bool) -> None:
    async with team_serving(tmp_path, "acme") as team:
        ada = await team.person("ada")
        async with window(browser, team, ada, "/keys", width=width, dark=dark) as page:
            await page.get_by_role("textbox", name="Name", exact=True).focus()
            await page.keyboard.type("laptop")
            await page.keyboard.press("Enter")
            await expect(page.locator("#made .secret code").first).to_contain_text("gw_")
            await photograph(page, f"keys-{width}-{'dark' if dark else 'light'}")
            assert not await is_wider_than_its_window(page)
            assert await violations(page) == []
