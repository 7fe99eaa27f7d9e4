"""The keys' page in a real browser."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from gateway.team.models.deployments import NewDeployment
from gateway.team.models.keys import NewKey
from tests.harness.pages.axe import photograph, violations
from tests.harness.pages.chromium import require_chromium
from tests.harness.pages.team_pages import is_wider_than_its_window, team_serving, window
from tests.harness.storage.databases import locked

require_chromium("the team's pages")

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


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


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("dark", [False, True])
async def test_a_key_is_changed_by_keyboard_alone(browser: Browser, tmp_path: Path, width: int, dark: bool) -> None:
    async with team_serving(tmp_path, "acme") as team:
        for number in range(40):
            new = NewDeployment(id=f"demo-{number}", account="acme", upstream="http://127.0.0.1:9")
            await team.do("deployments.create", asked=new)
            await team.do("keys.create", asked=NewKey(account="acme", name=f"laptop {number}"))
        await team.has_looked()
        async with window(browser, team, await team.person("ada"), "/keys", width=width, dark=dark) as page:
            await page.get_by_label("Search keys").focus()
            await page.keyboard.type("laptop 17")
            await page.keyboard.press("Enter")
            await expect(page.locator("tbody tr")).to_have_count(1)
            await page.get_by_role("link", name="laptop 17").press("Enter")
            await expect(page.locator("h1")).to_have_text("laptop 17")
            await page.get_by_label("demo-17", exact=True).press("Space")
            await page.get_by_label("Networks").press_sequentially("10.0.0.0/99")
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("alert").last).to_contain_text("Networks, number 1: ")
            await expect(page.get_by_label("demo-17", exact=True)).to_be_checked()
            await page.get_by_label("Networks").fill("10.0.0.0/8")
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("status").first).to_contain_text("Saved.")
            await photograph(page, f"key-{width}-{'dark' if dark else 'light'}")
            assert await violations(page) == []
            assert not await is_wider_than_its_window(page)
            await page.get_by_role("link", name="Keys").last.press("Enter")
            await expect(page.locator("tbody tr")).to_have_count(40)
            await photograph(page, f"keys-many-{width}-{'dark' if dark else 'light'}")
            assert await violations(page) == []


async def test_the_longest_names_fit_a_phone(browser: Browser, tmp_path: Path) -> None:
    longest = "W" * 64
    async with team_serving(tmp_path, longest) as team:
        new = NewDeployment(id=longest, account=longest, upstream="http://127.0.0.1:9")
        await team.do("deployments.create", asked=new)
        await team.do("keys.create", asked=NewKey(account=longest, name=longest, deployments=(longest,)))
        await team.has_looked()
        ada = await team.person("ada")
        for path in ("/keys", "/audit"):
            async with window(browser, team, ada, path, width=390) as page:
                await photograph(page, f"longest-names-{path[1:]}-390")
                assert not await is_wider_than_its_window(page), path


async def test_without_a_script_a_key_is_revoked_all_the_same(browser: Browser, tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team:
        key = await team.do("keys.create", asked=NewKey(account="acme", name="laptop"))
        ada = await team.person("ada")
        async with window(browser, team, ada, "/keys", java_script_enabled=False) as page:
            await photograph(page, "keys-without-script")
            await page.locator(f"#revoke-{key.id}").get_by_role("button", name="Revoke", exact=True).click()
            await expect(page.locator("td .state-revoked, .state-revoked").first).to_be_visible()
        assert (await team.do("keys.get", key.id)).state == "revoked"


async def test_what_is_typed_stays_while_the_database_is_locked(browser: Browser, tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, window(browser, team, await team.person("ada"), "/keys") as page:
        name = page.get_by_role("textbox", name="Name", exact=True)
        await name.fill("laptop")
        async with locked(tmp_path / "gateway.db"):
            await name.press("Enter")
            await expect(page.locator("#lost")).to_contain_text("The database cannot be used right now")
            await photograph(page, "keys-locked")
        await expect(name).to_have_value("laptop")
        await name.press("Enter")
        await expect(page.locator("#made .secret code").first).to_contain_text("gw_")
        await expect(page.locator("#lost")).to_be_hidden()
