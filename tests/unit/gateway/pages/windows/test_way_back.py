"""Where somebody is led by what they did, or tried to do: to where they were."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from gateway.team.models.keys import NewKey
from gateway.team.models.people import PersonChange, PersonQuery
from tests.harness.pages.chromium import require_chromium
from tests.harness.pages.team_pages import team_serving, window
from tests.unit.gateway.pages.windows.admins_window import at

require_chromium("where one is led")

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


async def test_who_does_something_among_what_was_searched_stays_there(browser: Browser, tmp_path: Path) -> None:
    names = ("big-1", "big-2", "small")
    async with at(browser, tmp_path, "/deployments?account=acme&search=big", *names) as (team, page):
        await page.evaluate("document.addEventListener('htmx:afterSettle', () => { window.isAnew = true; })")
        await page.get_by_role("button", name="Resume big-1").press("Enter")
        await page.wait_for_function("() => window.isAnew")  # the whole page may come after its live part
        await expect(page.locator("#d-big-1")).to_contain_text("Deploying")
        await page.get_by_role("button", name="Remove big-2").press("Enter")
        await page.get_by_role("dialog").get_by_role("button", name="Remove").press("Enter")
        await expect(page.locator(".card")).to_have_count(1)
        await expect(page).to_have_url(f"{team.url}/deployments?account=acme&search=big")
        await page.get_by_role("link", name="big-1").press("Enter")
        await expect(page.locator("h1")).to_have_text("big-1")
        await page.get_by_role("button", name="Remove big-1").press("Enter")
        await page.get_by_role("dialog").get_by_role("button", name="Remove").press("Enter")
        await expect(page).to_have_url(f"{team.url}/deployments")


async def test_from_what_was_not_done_one_is_led_back_to_it(browser: Browser, tmp_path: Path) -> None:
    async with at(browser, tmp_path, "/keys") as (team, page):
        made = await team.do("keys.create", asked=NewKey(account="acme", name="laptop"))
        await page.goto(f"{team.url}/keys?search=lap&state=valid")
        await team.do("keys.revoke", made.id)
        await page.get_by_role("button", name="Switch laptop").press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("read it again")
        await page.get_by_role("link", name="Back to where you were").press("Enter")
        await expect(page.locator("h1")).to_have_text("Keys")
        await expect(page).to_have_url(f"{team.url}/keys?search=lap&state=valid")


async def test_who_has_mistyped_their_password_types_it_again(browser: Browser, tmp_path: Path) -> None:
    async with team_serving(tmp_path) as team, window(browser, team, "", "/sign-in") as page:
        await expect(page.get_by_label("Name")).to_be_focused()
        await page.keyboard.type("ada")
        await page.get_by_label("Password").fill("not my password")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text("The name or the password is not right.")
        await expect(page.get_by_label("Name")).to_have_value("ada")
        await expect(page.get_by_label("Password")).to_be_focused()


async def test_of_many_changes_at_once_the_first_are_said(browser: Browser, tmp_path: Path) -> None:
    async with at(browser, tmp_path, "/deployments", *(f"model-{number}" for number in range(9))) as (team, _page):
        bob = await team.person("bob", "member", ["acme"])
        (person,) = (await team.do("people.list", asked=PersonQuery(search="bob"))).items
        async with window(browser, team, bob, "/deployments") as page:
            await expect(page.locator(".card")).to_have_count(9)
            await team.do("people.change", person.id, asked=PersonChange(accounts=()))
            told = ". ".join([*(f"model-{number}: no longer there" for number in range(5)), "4 more have changed"])
            await expect(page.locator("#said")).to_have_text(told)


async def test_a_form_that_has_just_come_is_sent_by_script(browser: Browser, tmp_path: Path) -> None:
    async with at(browser, tmp_path, "/deployments", "demo") as (_team, page):
        await page.evaluate("""() => {
            window.isSame = true;
            const send = () => document.querySelector("form[action$='/demo/resume']").requestSubmit();
            document.addEventListener("htmx:afterSwap", send, { once: true });
        }""")
        await page.get_by_role("link", name="demo", exact=True).press("Enter")
        await expect(page.locator("h1")).to_have_text("demo")
        await expect(page.locator("main .state")).to_contain_text("Deploying")
        assert await page.evaluate("window.isSame"), "a plain form would have led to another document"
