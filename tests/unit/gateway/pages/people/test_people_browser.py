"""The pages of people in a real browser: by keyboard alone, small and large, light and dark."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.harness.pages.axe import photograph, violations
from tests.harness.pages.chromium import require_chromium
from tests.harness.pages.team_pages import is_wider_than_its_window, team_serving, window

require_chromium("the team's pages")

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

LOOKS = [(390, False), (1440, False), (390, True), (1440, True)]


@pytest.mark.parametrize(("width", "dark"), LOOKS)
async def test_somebody_is_invited_and_changed_by_keyboard(
    browser: Browser, tmp_path: Path, width: int, dark: bool
) -> None:
    look = f"{width}-{'dark' if dark else 'light'}"
    async with team_serving(tmp_path, "acme", "beta") as team:
        ada = await team.person("ada")
        await team.person("<img src=x onerror=alert(1)>", "member", ["acme", "beta"])
        async with window(browser, team, ada, "/people", width=width, dark=dark) as page:
            await page.get_by_text("Invite somebody").press("Enter")
            await page.get_by_role("textbox", name="Name").press_sequentially("bob")
            await page.keyboard.press("Enter")
            await expect(page.locator("#made code")).to_contain_text("/invitations/gwi_")
            await expect(page.locator("#made")).to_be_focused()
            await photograph(page, f"people-{look}")
            assert await violations(page) == []
            assert not await is_wider_than_its_window(page)
            await page.get_by_role("button", name="Take back the invitation of bob").press("Enter")
            await expect(page.get_by_role("dialog")).to_be_visible()
            await page.get_by_role("button", name="Take back", exact=True).press("Enter")
            await expect(page.get_by_role("status").first).to_contain_text("taken back")
            await page.get_by_role("link", name="<img").press("Enter")
            await expect(page.locator("h1")).to_contain_text("<img")
            await page.get_by_label("Role").press("ArrowDown")
            await page.get_by_role("textbox", name="Name").press("Enter")
            await expect(page.get_by_role("status").first).to_have_text("Saved.")
            await expect(page.get_by_label("Role")).to_have_value("admin")
            await page.get_by_role("button", name="A link for a new password").press("Enter")
            await photograph(page, f"person-asks-{look}")
            await page.get_by_role("button", name="Make the link").press("Enter")
            await expect(page.locator("#made code")).to_contain_text("/invitations/gwi_")
            await photograph(page, f"person-{look}")
            assert await violations(page) == []
            assert not await is_wider_than_its_window(page)
            await page.reload()
            await expect(page.locator("#made")).to_have_count(0)


@pytest.mark.parametrize(("width", "dark"), LOOKS)
async def test_ones_own_page_by_keyboard(browser: Browser, tmp_path: Path, width: int, dark: bool) -> None:
    async with team_serving(tmp_path, "acme") as team:
        bob = await team.person("bob", "member", ["acme"])
        async with window(browser, team, bob, "/me", width=width, dark=dark) as page:
            for label, text in (("New password", "a new and long one"), ("Once more", "another and long one")):
                await page.get_by_label(label).press_sequentially(text)
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("alert").last).to_contain_text("not the same twice")
            await photograph(page, f"me-{width}-{'dark' if dark else 'light'}")
            assert await violations(page) == []
            assert not await is_wider_than_its_window(page)
            for label in ("New password", "Once more"):
                await page.get_by_label(label).press_sequentially("a new and long one")
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("status").first).to_contain_text("Your password is changed")
            await page.get_by_role("button", name="Sign out everywhere").press("Enter")
            await page.get_by_role("dialog").get_by_role("button", name="Sign out").press("Enter")
            await expect(page).to_have_title("Sign in · gguf-gateway")


async def test_what_was_typed_survives_a_lost_update(browser: Browser, tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme", "beta") as team:
        ada, eve = await team.person("ada"), await team.person("eve")
        async with window(browser, team, ada, "/people") as first, window(browser, team, eve, "/people") as second:
            for page in (first, second):
                await page.get_by_role("link", name="eve", exact=True).press("Enter")
                await expect(page.locator("h1")).to_have_text("eve")
            await first.get_by_label("acme").press("Space")
            await first.get_by_role("button", name="Save").press("Enter")
            await expect(first.get_by_role("status").first).to_have_text("Saved.")
            await second.get_by_label("E-mail").fill("eve@example.org")
            await second.get_by_role("button", name="Save").press("Enter")
            await expect(second.get_by_role("alert").last).to_contain_text("Somebody else has changed this")
            await expect(second.get_by_label("E-mail")).to_have_value("eve@example.org")
            await expect(second.get_by_text("Now: acme")).to_be_visible()
            await photograph(second, "person-lost-update")
            await second.get_by_role("button", name="Save all the same").press("Enter")
            await expect(second.get_by_role("status").first).to_have_text("Saved.")
