"""What was typed in the playground and not sent is there again, for its writer alone, until they sign out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from gateway.core.deployment import Status
from gateway.team.models.deployments import NewDeployment
from mockserver import MockLlamaServer
from tests.harness.pages.chromium import require_chromium
from tests.harness.pages.team_pages import COOKIE, Team, has_shifted, team_serving, window

require_chromium("what is kept of what was typed")

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

DRAFT = "A long thought\nof two lines"
STORED = "() => Object.values(sessionStorage).join()"


@asynccontextmanager
async def at_playground(
    browser: Browser, folder: Path, *deployments: str, **settings: object
) -> AsyncIterator[tuple[Team, Page]]:
    """The page of bob, who may call these deployments, and no other than `demo` if none is named."""
    async with MockLlamaServer() as mock, team_serving(folder, "acme", **settings) as team:
        for name in deployments or ("demo",):
            new = NewDeployment(id=name, account="acme", upstream=mock.url, status=Status.READY)
            await team.do("deployments.create", asked=new)
        await team.has_looked()
        bob = await team.person("bob", "member", ["acme"])
        async with window(browser, team, bob, "/playground") as page:
            yield team, page


async def go(page: Page, title: str) -> None:
    """Follow a link of the bar."""
    await page.get_by_role("link", name=title, exact=True).first.press("Enter")
    await expect(page.locator("h1")).to_have_text(title)


async def has(page: Page, text: str) -> None:
    """The playground is there, and this is what it holds to be sent."""
    await expect(page.locator("#code")).to_contain_text(text.partition("\n")[0] or "Say hello.")
    await expect(page.locator("#message")).to_have_value(text)


async def becomes(page: Page, team: Team, session: str) -> None:
    """The tab is somebody else's, as after a sign-in."""
    await page.context.add_cookies([{"name": COOKIE, "value": session, "url": team.url}])


async def sign_out(page: Page) -> None:
    await page.get_by_role("button", name="Sign out").press("Enter")
    await expect(page.locator("h1")).to_have_text("Sign in")


async def test_a_draft_outlives_links_the_way_back_and_reloads(browser: Browser, tmp_path: Path) -> None:
    async with at_playground(browser, tmp_path) as (_team, page):
        await page.get_by_label("Temperature").fill("0.5")
        await page.get_by_text("System prompt", exact=True).first.click()
        await page.locator("#system").fill("Be brief.")
        await page.locator("#message").fill(DRAFT)
        await go(page, "Keys")
        await go(page, "Playground")
        await has(page, DRAFT)
        await go(page, "Keys")
        await page.go_back()
        await has(page, DRAFT)
        await page.reload()
        await has(page, DRAFT)
        assert await has_shifted(page) < 0.02
        await expect(page.get_by_label("Temperature")).to_have_value("0.5")
        said = "details => getComputedStyle(details.firstChild, '::after').content"
        assert await page.locator("#ask details").evaluate(said) == '": one is set"'
        await expect(page.locator("#system")).to_have_value("Be brief.")


async def test_what_was_answered_is_no_draft_any_more(browser: Browser, tmp_path: Path) -> None:
    async with at_playground(browser, tmp_path) as (team, page):
        await team.do("deployments.pause", "demo")
        await team.has_looked()
        await page.locator("#message").fill(DRAFT)
        await page.locator("#message").press("Enter")
        await expect(page.get_by_role("alert").last).to_contain_text("503")
        await page.reload()
        await has(page, DRAFT)  # nobody has taken it
        await team.do("deployments.resume", "demo")
        await team.has_looked()
        await page.locator("#message").press("Enter")
        await expect(page.locator("#ended")).to_have_text("stop")
        assert "A long thought" not in await page.evaluate(STORED)
        await page.reload()
        await has(page, "")


async def test_each_deployment_has_its_draft_and_the_last_is_shown(browser: Browser, tmp_path: Path) -> None:
    async with at_playground(browser, tmp_path, "alpha", "beta") as (team, page):
        chosen = page.locator("#deployment")
        await page.locator("#message").fill("For one of them")
        await chosen.select_option("beta")
        await has(page, "For one of them")  # it goes along
        await go(page, "Keys")
        await go(page, "Playground")
        await expect(chosen).to_have_value("beta")
        await has(page, "For one of them")
        await page.goto(f"{team.url}/playground?deployment=alpha")
        await has(page, "")
        await page.locator("#message").fill("For alpha")
        await chosen.select_option("beta")
        await has(page, "For one of them")
        await page.reload()
        await expect(chosen).to_have_value("beta")
        await chosen.select_option("alpha")
        await has(page, "For alpha")


async def test_the_draft_for_a_deployment_that_is_gone_is_shown(browser: Browser, tmp_path: Path) -> None:
    async with at_playground(browser, tmp_path, "alpha", "beta") as (team, page):
        await page.locator("#deployment").select_option("beta")
        await page.locator("#message").fill(DRAFT)
        await team.do("deployments.remove", "beta")
        await team.has_looked()
        await page.reload()
        await has(page, DRAFT)


async def test_nothing_typed_is_kept_of_who_signs_out(browser: Browser, tmp_path: Path) -> None:
    async with at_playground(browser, tmp_path) as (team, page):
        other = await page.context.new_page()
        await other.goto(f"{team.url}/playground")
        for one in (other, page):
            await one.locator("#message").fill(DRAFT)
            assert "A long thought" in await one.evaluate(STORED)
        await sign_out(page)
        assert await page.evaluate("sessionStorage.length") == 0
        await other.wait_for_function("sessionStorage.length === 0")


async def test_who_could_not_be_signed_out_keeps_their_draft(browser: Browser, tmp_path: Path) -> None:
    async with at_playground(browser, tmp_path) as (_team, page):
        await page.locator("#message").fill(DRAFT)
        refused = {"error": {"message": "The database fails."}}
        await page.route("**/sign-out", lambda route, _asked: route.fulfill(status=503, json=refused))
        await page.get_by_role("button", name="Sign out").press("Enter")
        await expect(page.get_by_role("alert").first).to_contain_text("The database fails.")
        await page.reload()
        await has(page, DRAFT)


async def test_a_draft_is_shown_to_nobody_else_in_the_same_tab(browser: Browser, tmp_path: Path) -> None:
    async with at_playground(browser, tmp_path) as (team, page):
        eve = await team.person("eve", "member", ["acme"])
        await page.locator("#message").fill(DRAFT)
        await page.get_by_label("Temperature").fill("0.5")
        await page.context.clear_cookies()  # the session ends by itself
        await page.get_by_role("link", name="Keys", exact=True).first.press("Enter")
        await expect(page.locator("h1")).to_have_text("Sign in")
        await becomes(page, team, eve)
        await page.go_back()
        await expect(page.locator(".who bdi")).to_have_text("eve")
        await has(page, "")
        await expect(page.get_by_label("Temperature")).to_have_value("")
        assert "A long thought" not in await page.evaluate(STORED)


async def test_who_signs_in_again_in_the_same_tab_goes_on(browser: Browser, tmp_path: Path) -> None:
    async with at_playground(browser, tmp_path) as (team, page):
        (bob,) = [one for one in await page.context.cookies() if one["name"] == COOKIE]
        await page.locator("#message").fill(DRAFT)
        await page.context.clear_cookies()
        await page.get_by_role("link", name="Keys", exact=True).first.press("Enter")
        await expect(page.locator("h1")).to_have_text("Sign in")
        await becomes(page, team, bob["value"])
        await page.goto(f"{team.url}/keys")
        await go(page, "Playground")
        await has(page, DRAFT)


async def test_on_a_port_of_its_own_it_is_kept_and_forgotten_too(browser: Browser, tmp_path: Path) -> None:
    settings = {"admin": {"port": 0}, "cors_origins": ["http://127.0.0.1:*"]}
    async with at_playground(browser, tmp_path, **settings) as (_team, page):
        await page.locator("#message").fill(DRAFT)
        await go(page, "Keys")
        await go(page, "Playground")
        await has(page, DRAFT)
        await sign_out(page)
        assert await page.evaluate("sessionStorage.length") == 0


async def test_a_page_kept_whole_by_the_browser_is_not_shown_after(browser: Browser, tmp_path: Path) -> None:
    async with at_playground(browser, tmp_path) as (team, page):
        come_back = "dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))"
        await page.locator("#message").fill(DRAFT)
        await page.evaluate(come_back)
        await has(page, DRAFT)
        other = await page.context.new_page()
        await other.goto(f"{team.url}/keys")
        await sign_out(other)
        await page.wait_for_function("sessionStorage.length === 0")
        await page.evaluate(come_back)
        await expect(page.locator("h1")).to_have_text("Sign in")


async def test_no_key_is_ever_in_the_storage_of_the_browser(browser: Browser, tmp_path: Path) -> None:
    async with at_playground(browser, tmp_path) as (_team, page):
        await page.locator("#message").fill("Hello")
        await page.locator("#message").press("Enter")
        await expect(page.locator("#ended")).to_have_text("stop")
        await page.locator("#message").fill(DRAFT)
        kept = await page.evaluate(STORED) + await page.evaluate("() => Object.values(localStorage).join()")
        assert "A long thought" in kept
        assert "gw_" not in kept
        assert "Hello" not in kept
