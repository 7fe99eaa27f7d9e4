"""The page of usage in a real browser: charts that come, tables by keyboard, small and large, light and dark."""

import csv
from asyncio import to_thread
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from gateway.team.models.keys import NewKey
from tests.harness.pages.axe import photograph, violations
from tests.harness.pages.chromium import require_chromium
from tests.harness.pages.team_pages import Team, is_wider_than_its_window, team_serving, window
from tests.harness.storage.usage_rows import took, used

require_chromium("the team's pages")

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
NOW = datetime.now(UTC)


async def a_busy_day(team: Team, place: Path) -> None:
    """Five keys, of which a script takes most and lets others wait."""
    names = ("ci-batch", "chat-ui", "notebook", "translator", "laptop")
    keys = [(await team.do("keys.create", asked=NewKey(account="acme", name=name))).id for name in names]
    for ago in range(20):
        for number, key in enumerate(keys):
            size = (ago * 7 + number * 5) % 11 + 1
            tokens = (900 * size, 90 * size * number, 300 * size)
            when = NOW - timedelta(hours=ago)
            await to_thread(used, place, when, key=key, requests=size, tokens=tokens, seconds=(size, 9, 2, 11))
        await to_thread(took, place, when, "first_byte", {3: 20, 6: ago % 3, 8: ago % 2})


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1440, False), (390, True), (1440, True)])
async def test_charts_come_and_their_tables_open_by_keyboard(
    browser: Browser, tmp_path: Path, width: int, dark: bool
) -> None:
    async with team_serving(tmp_path, "acme") as team:
        await a_busy_day(team, tmp_path / "gateway.db")
        ada = await team.person("ada")
        async with window(browser, team, ada, "/usage", width=width, dark=dark) as page:
            await expect(page.locator("svg.chart")).to_have_count(5)
            await photograph(page, f"usage-{width}-{'dark' if dark else 'light'}")
            assert await violations(page) == []
            assert not await is_wider_than_its_window(page)
            await page.get_by_text("Tokens as a table").focus()
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("columnheader", name="ci-batch").first).to_be_visible()
            assert await violations(page) == []
            await page.get_by_role("link", name="Deployment", exact=True).press("Enter")
            await expect(page.get_by_role("heading", name="By deployment")).to_be_visible()
            await expect(page.locator("svg.chart")).to_have_count(5)
            async with page.expect_download() as download:
                await page.get_by_role("link", name="Download this table as CSV").press("Enter")
            saved = Path(await (await download.value).path()).read_text(encoding="utf-8")
            assert [row["deployment"] for row in csv.DictReader(saved.splitlines())] == ["demo"]


async def test_days_are_chosen_in_the_form_and_nothing_is_said(browser: Browser, tmp_path: Path) -> None:
    async with (
        team_serving(tmp_path, "acme") as team,
        window(browser, team, await team.person("ada"), "/usage", width=390) as page,
    ):
        await page.get_by_text("Other days").click()
        await page.get_by_label("From").fill("2026-01-01")
        await page.get_by_label("To", exact=True).fill("2026-01-31")
        await page.get_by_role("button", name="Show").click()
        await page.wait_for_url("**from=2026-01-01*")
        await expect(page.get_by_text("Nothing was used in this time.")).to_be_visible()
        await photograph(page, "usage-empty-390")
        assert await violations(page) == []


async def test_without_scripts_the_charts_are_a_link_away(browser: Browser, tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team:
        await a_busy_day(team, tmp_path / "gateway.db")
        ada = await team.person("ada")
        async with window(browser, team, ada, "/usage", java_script_enabled=False) as page:
            await page.get_by_role("link", name="Draw the charts").click()
            await expect(page.locator("svg.chart")).to_have_count(5)


async def test_an_open_page_follows_and_keeps_what_is_open(browser: Browser, tmp_path: Path) -> None:
    place = tmp_path / "gateway.db"
    async with team_serving(tmp_path, "acme") as team:
        await a_busy_day(team, place)
        async with window(browser, team, await team.person("ada"), "/usage") as page:
            asked = await with_time_that_stands(page)
            await expect(page.locator("svg.chart")).to_have_count(5)
            await page.locator("#tokens-data summary").press("Enter")
            scrolled = page.locator("#tokens-data .scrolled")
            await scrolled.evaluate("box => { box.scrollTop = 40; box.focus(); }")
            await to_thread(used, place, NOW, key="key_newcomer", tokens=(10**7, 0, 0))
            await page.clock.fast_forward(15_000)
            await expect(scrolled.get_by_role("columnheader", name="key_newcomer")).to_be_visible()
            assert await scrolled.evaluate("box => box.scrollTop") == 40
            await expect(scrolled).to_be_focused()
            assert len(asked) == 1
            await page.clock.resume()
            assert await violations(page) == []


async def test_a_page_whose_tab_is_hidden_asks_for_nothing(browser: Browser, tmp_path: Path) -> None:
    async with (
        team_serving(tmp_path, "acme") as team,
        window(browser, team, await team.person("ada"), "/usage") as page,
    ):
        asked = await with_time_that_stands(page)
        await turn(page, is_hidden=True)
        await page.clock.fast_forward(60_000)
        assert asked == []
        async with page.expect_response("**part=live"):
            await turn(page, is_hidden=False)
        for is_hidden in (True, False):
            await turn(page, is_hidden=is_hidden)
        assert len(asked) == 1


async def with_time_that_stands(page: Page) -> list[str]:
    """Let a minute pass for the page, and then only what the test says. Fills with the live parts asked for since."""
    await page.clock.install()
    await page.reload()
    await expect(page.locator("[aria-busy]")).to_have_count(0)
    async with page.expect_response("**part=live"):
        await page.clock.pause_at(await page.evaluate("Date.now() + 60000"))
    await expect(page.locator("#link-text")).to_have_text("Live")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "part=live" in request.url else None)
    return asked


async def turn(page: Page, *, is_hidden: bool) -> None:
    """Turn to another tab, or back to this one, as the page sees it."""
    await page.evaluate(
        """is => {
            Object.defineProperty(document, "hidden", {value: is, configurable: true});
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        is_hidden,
    )


async def test_usage_says_that_it_is_live_before_it_asks_again(browser: Browser, tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team:
        session = await team.person("ada")
        async with window(browser, team, session, "/me") as page:
            await page.route("**/usage?*part=live*", lambda _: None)  # what is asked then is never answered
            await page.goto(team.url + "/usage")
            await expect(page.locator("#link-text")).to_have_text("Live")
            await page.get_by_role("link", name="7 days").click()
            await expect(page.get_by_role("link", name="7 days")).to_have_attribute("aria-current", "true")
            await expect(page.locator("#link-text")).to_have_text("Live")
