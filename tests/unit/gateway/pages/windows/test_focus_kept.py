"""Where the focus is when what had it is gone, and where somebody stands who has done something in a long list."""

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Route, expect

from gateway.team.models.deployments import NewDeployment
from gateway.team.models.people import PersonChange
from mockserver import MockLlamaServer
from tests.harness.pages.chromium import require_chromium
from tests.unit.gateway.activity.streams import key_for, streaming
from tests.unit.gateway.pages.windows.admins_window import NOWHERE, at

require_chromium("where the focus is")

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


async def test_a_button_under_the_focus_never_becomes_another(browser: Browser, tmp_path: Path) -> None:
    async with at(browser, tmp_path, "/deployments", "demo", "other") as (team, page):
        await page.get_by_role("button", name="Resume demo").focus()
        await team.do("deployments.resume", "demo")
        await expect(page.locator("#said")).to_have_text("demo: Deploying")
        await expect(page.locator("#d-demo")).to_be_focused()
        await page.get_by_role("button", name="Pause demo").focus()
        await team.do("deployments.pause", "demo")
        await expect(page.locator("#said")).to_have_text("demo: Paused")
        await expect(page.locator("#d-demo")).to_be_focused()
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="demo", exact=True)).to_be_focused()
        await page.get_by_role("button", name="Remove demo").focus()
        await team.do("deployments.resume", "demo")
        await expect(page.locator("#said")).to_have_text("demo: Deploying")
        await expect(page.get_by_role("button", name="Remove demo")).to_be_focused()
        await team.do("deployments.remove", "demo")
        await expect(page.locator("#d-other")).to_be_focused()


async def test_a_question_about_what_is_over_is_taken_back(browser: Browser, tmp_path: Path) -> None:
    async with MockLlamaServer(tokens_per_second=20) as mock, at(browser, tmp_path, "/activity") as (team, page):
        key = await key_for(team, mock.url)
        async with streaming(team.url, key.key):
            async with streaming(team.url, key.key):
                await expect(page.locator("tbody tr")).to_have_count(2)
                await page.get_by_role("button", name="End").last.press("Enter")
                asks = page.get_by_role("dialog", name="End the request of laptop to demo?")
                await expect(asks).to_have_accessible_description(re.compile("^Its client is shown"))
            await expect(page.locator("tbody tr")).to_have_count(1)
            await expect(page.locator("tbody tr")).to_be_focused()
            told = "End the request of laptop to demo? It is no longer there"
            await expect(page.locator("#said")).to_have_text(told)
        await expect(page.get_by_role("region", name="Requests under way")).to_be_focused()


async def test_a_question_is_not_answered_by_the_same_enter(browser: Browser, tmp_path: Path) -> None:
    async with at(browser, tmp_path, "/deployments", "demo") as (_team, page):
        await page.get_by_role("button", name="Remove demo").focus()
        await page.keyboard.down("Enter")
        await expect(page.get_by_role("dialog").get_by_role("button", name="Cancel")).to_be_focused()
        await page.keyboard.down("Enter")  # as of a key that is held down
        await page.keyboard.up("Enter")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await expect(page.get_by_role("button", name="Remove demo")).to_be_focused()


async def test_who_switches_a_key_off_stays_at_it(browser: Browser, tmp_path: Path) -> None:
    async with at(browser, tmp_path, "/keys", keys=40) as (_team, page):
        row = page.get_by_role("row", name="key 30")
        button = row.get_by_role("button", name="Switch key 30")
        await button.scroll_into_view_if_needed()
        top = await page.evaluate("scrollY")
        await button.press("Enter")
        await expect(row.get_by_text("off", exact=True)).to_be_visible()
        await expect(row).to_be_focused()
        assert await page.evaluate("scrollY") == top
        await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        await expect(row.get_by_role("button", name="Switch key 30")).to_be_focused()


async def test_what_was_done_to_a_deployment_is_said(browser: Browser, tmp_path: Path) -> None:
    async with at(browser, tmp_path, "/deployments", "demo", "other") as (_team, page):
        await page.get_by_role("button", name="Resume other").press("Enter")
        await expect(page.locator("#d-other")).to_be_focused()
        await expect(page.locator("#said")).to_have_text("other: Deploying")
        await page.get_by_role("button", name="Remove other").press("Enter")
        await page.get_by_role("dialog").get_by_role("button", name="Remove").press("Enter")
        await expect(page.locator("#d-demo")).to_be_focused()
        await expect(page.locator("#said")).to_have_text("other: no longer there")


async def test_what_comes_to_a_live_page_works_within_its_document(browser: Browser, tmp_path: Path) -> None:
    async with at(browser, tmp_path, "/deployments", "demo") as (team, page):
        await page.evaluate("window.sameDocument = true")
        given = {"id": "late", "account": "acme", "upstream": NOWHERE, "status": "paused"}
        await team.do("deployments.create", asked=NewDeployment.model_validate(given))
        await page.get_by_role("button", name="Resume late").press("Enter")
        await expect(page.locator("#d-late .state")).to_contain_text("Deploying")
        assert await page.evaluate("window.sameDocument")
        await expect(page.locator("#d-late")).to_be_focused()


async def test_a_saved_deployment_says_so(browser: Browser, tmp_path: Path) -> None:
    async with at(browser, tmp_path, "/deployments/demo", "demo") as (_team, page):
        await page.get_by_text("Change them").click()
        await page.get_by_label("Ping").fill("5")
        await page.keyboard.press("Enter")
        await expect(page.locator("#said")).to_have_text("Saved. It is in force within a second.")


async def test_who_switches_a_key_off_at_its_own_page_stays_there(browser: Browser, tmp_path: Path) -> None:
    async with at(browser, tmp_path, "/keys", keys=2) as (_team, page):
        await page.get_by_role("link", name="key 00").press("Enter")
        for button, state in (("Switch off", "off"), ("Switch on", "valid")):
            await page.get_by_role("button", name=button).press("Enter")
            await expect(page.locator(".page-head")).to_contain_text(f"key 00\n{state}", use_inner_text=True)
            await expect(page.locator("#said")).to_have_text("Saved. It is in force within a second.")
        await page.get_by_role("button", name="Revoke").press("Enter")
        await page.get_by_role("dialog").get_by_role("button", name="Revoke").press("Enter")
        await expect(page.locator(".page-head")).to_contain_text("key 00\nrevoked", use_inner_text=True)


async def test_the_page_asked_for_last_comes_and_no_other(browser: Browser, tmp_path: Path) -> None:
    async with at(browser, tmp_path, "/deployments") as (team, page):
        held: asyncio.Future[Route] = asyncio.get_running_loop().create_future()
        await page.route("**/keys", lambda route, _asked: held.set_result(route))
        async with page.expect_request(f"{team.url}/keys"):
            await page.get_by_role("link", name="Keys", exact=True).press("Enter")
        await expect(page.get_by_role("link", name="Keys", exact=True)).to_have_css("opacity", "0.5")  # on its way
        await page.get_by_role("link", name="Limits").press("Enter")
        await expect(page.locator("h1")).to_have_text("Limits")
        async with page.expect_event("requestfinished", lambda late: late.url == f"{team.url}/keys"):
            await (await held).continue_()
        await page.evaluate("new Promise(requestAnimationFrame)")
        await expect(page.locator("h1")).to_have_text("Limits")
        await expect(page).to_have_url(f"{team.url}/limits")
        await expect(page).to_have_title("Limits · gguf-gateway")


async def go_back(page: Page) -> None:
    """Go back to another document, and wait until it is whole: htmx may load anew what the browser goes back to."""
    await page.evaluate("window.isLeft = true; history.back()")
    await page.wait_for_function("() => !window.isLeft && document.readyState === 'complete'")


async def test_from_a_page_that_says_why_not_one_comes_back_to_the_form(browser: Browser, tmp_path: Path) -> None:
    async with at(browser, tmp_path, "/people") as (team, page):
        await team.person("bob", "member")
        (bob,) = [one for one in (await team.do("people.list")).items if one.name == "bob"]
        await team.do("people.change", bob.id, asked=PersonChange(enabled=False))
        await page.reload()
        await page.get_by_role("link", name="bob").press("Enter")
        await page.get_by_role("button", name="A link for a new password").press("Enter")
        await page.get_by_role("dialog").get_by_role("button", name="Make the link").press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("switch them on first")
        await page.reload()
        await expect(page.locator("h1")).to_have_text("bob")
        await go_back(page)
        await expect(page.locator("h1")).to_have_text("bob")
        await go_back(page)
        await expect(page.locator("h1")).to_have_text("People")
