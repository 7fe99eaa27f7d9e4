"""Deployments and activity in a real browser: by keyboard, live, on a phone, in both colour schemes."""

import re
from pathlib import Path

import pytest
from aiohttp import ClientSession
from playwright.async_api import Browser, Page, expect

from gateway.team.models.deployments import DeploymentChange, NewDeployment
from gateway.team.models.keys import NewKey
from mockserver import MockLlamaServer
from tests.harness.pages.axe import photograph, violations
from tests.harness.pages.chromium import require_chromium
from tests.harness.pages.team_pages import Team, has_shifted, is_wider_than_its_window, team_serving, window
from tests.unit.gateway.activity.streams import key_for, streaming

require_chromium("the team's pages")

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

NOWHERE = "http://127.0.0.1:9"  # nothing listens on the discard port


async def add(team: Team, name: str, **settings: object) -> None:
    given = {"id": name, "account": "acme", "upstream": NOWHERE, **settings}
    await team.do("deployments.create", asked=NewDeployment.model_validate(given))
    await team.has_looked()


async def refuse(team: Team, key: str) -> None:
    """Call the deployment that is paused, three times."""
    async with ClientSession(team.url, headers={"Authorization": f"Bearer {key}"}) as client:
        for _ in range(3):
            assert (await client.get("/api/gguf/resting/v1/models")).status == 503


async def tab_to(page: Page, name: str) -> None:
    """Press Tab until what is called so has the focus."""
    for _ in range(120):
        await page.keyboard.press("Tab")
        focused = await page.evaluate(
            "(e => (e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText || '').trim())"
            "(document.activeElement)"
        )
        if focused.startswith(name):
            return
    raise AssertionError(f"{name} is never reached by Tab")


async def is_fit_to_be_seen(page: Page, name: str) -> None:
    await photograph(page, name)
    assert not await is_wider_than_its_window(page)
    assert await violations(page) == []


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("dark", [False, True])
async def test_each_page_is_fit_to_be_seen(browser: Browser, tmp_path: Path, width: int, dark: bool) -> None:
    look = f"{width}-{'dark' if dark else 'light'}"
    async with MockLlamaServer(tokens_per_second=20) as mock, team_serving(tmp_path, "acme", "labs") as team:
        key = await key_for(team, mock.url)
        ada = await team.person("ada")
        async with window(browser, team, ada, "/activity", width=width, dark=dark) as page:
            await expect(page.locator("#link-text")).to_have_text("Live")
            await is_fit_to_be_seen(page, f"activity-empty-{look}")
        await add(team, "resting", status="paused")
        await add(team, "coming")
        await add(team, "a-model-with-quite-a-long-name.q4_k_m", status="ready", account="labs")
        async with (
            streaming(team.url, key.key),
            streaming(team.url, key.key),
            window(browser, team, ada, "/deployments", width=width, dark=dark) as page,
        ):
            await expect(page.locator("#d-demo")).to_contain_text("Ready")
            await expect(page.locator("#link-text")).to_have_text("Live")
            await is_fit_to_be_seen(page, f"deployments-{look}")
            await page.get_by_text("Add a deployment").click()
            await page.get_by_text("Limits and other settings").click()
            await is_fit_to_be_seen(page, f"deployments-add-{look}")
            await page.goto(f"{team.url}/deployments/demo")
            await page.get_by_text("Claude Code", exact=True).last.click()
            await page.get_by_text("Change them").click()
            await is_fit_to_be_seen(page, f"deployment-{look}")
            await refuse(team, key.key)
            await page.goto(f"{team.url}/deployments/resting")
            await expect(page.locator("#live .row")).to_have_count(1)
            await is_fit_to_be_seen(page, f"deployment-refusals-{look}")
            await page.goto(f"{team.url}/activity")
            await expect(page.locator("tbody tr")).to_have_count(2)
            await is_fit_to_be_seen(page, f"activity-{look}")
            await page.get_by_role("button", name="End").first.click()
            await is_fit_to_be_seen(page, f"activity-asks-{look}")


async def test_a_deployment_is_added_paused_and_removed_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    async with (
        MockLlamaServer() as mock,
        team_serving(tmp_path, "acme") as team,
        window(browser, team, await team.person("ada"), "/deployments") as page,
    ):
        await photograph(page, "deployments-empty-1440-light")
        await tab_to(page, "Id")
        await page.keyboard.type("demo")
        await tab_to(page, "Upstream")
        await page.keyboard.type(mock.url)
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text("demo")
        await expect(page.locator("#d-demo .state")).to_contain_text("Ready")
        await tab_to(page, "Pause demo")
        await page.keyboard.press("Enter")
        await expect(page.locator("#pause-demo")).to_be_visible()
        await tab_to(page, "Pause")
        await page.keyboard.press("Enter")
        await expect(page.locator("#d-demo .state")).to_contain_text("Paused")
        await tab_to(page, "Resume demo")
        await page.keyboard.press("Enter")
        await expect(page.locator("#d-demo .state")).to_contain_text("Ready")
        await tab_to(page, "Remove demo")
        await page.keyboard.press("Enter")
        await page.keyboard.press("Escape")
        await expect(page.locator("#remove-demo")).to_be_hidden()
        await tab_to(page, "Remove demo")
        await page.keyboard.press("Enter")
        await tab_to(page, "Remove")
        await page.keyboard.press("Enter")
        await expect(page.locator("#live .empty")).to_be_visible()


async def test_settings_are_changed_by_keyboard_and_a_race_is_told(browser: Browser, tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team:
        await add(team, "demo", status="paused")
        async with window(browser, team, await team.person("ada"), "/deployments/demo") as page:
            await tab_to(page, "Change them")
            await page.keyboard.press("Enter")
            await tab_to(page, "Connections")
            await page.keyboard.type("3")
            await team.do("deployments.change", "demo", asked=DeploymentChange.model_validate({"ping": 5}))
            await page.keyboard.press("Enter")
            await expect(page.locator(".problem-line")).to_contain_text("Somebody else has changed this deployment")
            await expect(page.locator(".theirs")).to_have_text("Theirs: 5")
            await expect(page.get_by_role("textbox", name="Connections")).to_have_value("3")
            await is_fit_to_be_seen(page, "deployment-overtaken-1440-light")
            await page.get_by_role("textbox", name="Ping").fill("5")
            await page.keyboard.press("Enter")
            await expect(page.locator(".problem-line")).to_have_count(0)
            await expect(page.locator(".settings")).to_contain_text("after 5 s of silence")
        changed = await team.do("deployments.get", "demo")
        assert (changed.limits.connections, changed.ping) == (3, 5.0)


async def test_changes_show_by_themselves_and_keep_the_focus(browser: Browser, tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team:
        await add(team, "demo", status="paused")
        await add(team, "other", status="paused")
        async with window(browser, team, await team.person("ada"), "/deployments") as page:
            await page.get_by_role("button", name="Remove other").focus()
            await page.get_by_role("button", name="Remove other").press("Enter")
            await team.do("deployments.resume", "demo")
            await expect(page.locator("#d-demo .state")).to_contain_text("Deploying")
            await expect(page.locator("#said")).to_have_text("demo: Deploying")
            await expect(page.locator("#remove-other")).to_be_visible()
            await add(team, "late", status="paused")
            await expect(page.locator("#d-late")).to_be_visible()
            await team.do("deployments.remove", "late")
            await expect(page.locator("#d-late")).to_have_count(0)


async def test_a_lost_connection_is_said_and_caught_up_with(browser: Browser, tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team:
        await add(team, "demo", status="paused")
        async with window(browser, team, await team.person("ada"), "/deployments") as page:
            await page.get_by_text("Add a deployment").click()
            await page.get_by_role("textbox", name=re.compile("^Id")).fill("typed-before")
            await expect(page.locator("#link-text")).to_have_text("Live")
            await page.context.set_offline(True)
            await expect(page.get_by_role("alert")).to_contain_text(
                "The gateway cannot be reached. This page tries again"
            )
            await expect(page.locator("#link-text")).to_have_text("Connection lost, trying again")
            await photograph(page, "deployments-lost-1440-light")
            await team.do("deployments.resume", "demo")
            await page.context.set_offline(False)
            await expect(page.locator("#d-demo .state")).to_contain_text("Deploying")
            await expect(page.locator("#lost")).to_be_hidden()
            await expect(page.get_by_role("status")).to_have_text("The gateway is there again. demo: Deploying")
            await expect(page.get_by_role("textbox", name=re.compile("^Id"))).to_have_value("typed-before")


async def test_why_something_was_not_done_stays_while_the_page_is_live(browser: Browser, tmp_path: Path) -> None:
    refused = {"error": {"type": "api_error", "message": "Not now."}}
    async with team_serving(tmp_path, "acme") as team:
        await add(team, "demo", status="paused")
        async with window(browser, team, await team.person("ada"), "/deployments") as page:
            await page.route("**/deployments/demo/resume", lambda route: route.fulfill(status=503, json=refused))
            await page.get_by_role("button", name="Resume demo").click()
            await expect(page.get_by_role("alert")).to_contain_text("Not now. Nothing that you have written is lost")
            await team.do("deployments.resume", "demo")
            await expect(page.locator("#d-demo .state")).to_contain_text("Deploying")
            await expect(page.get_by_role("alert")).to_contain_text("Not now.")


async def test_an_answer_is_ended_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    async with MockLlamaServer(tokens_per_second=20) as mock, team_serving(tmp_path, "acme") as team:
        key = await key_for(team, mock.url)
        async with window(browser, team, await team.person("ada"), "/activity") as page:
            await expect(page.locator("#live .empty")).to_be_visible()
            async with streaming(team.url, key.key) as answer:
                await expect(page.locator("tbody tr")).to_contain_text("laptop")
                await tab_to(page, "End the request")
                await page.keyboard.press("Enter")
                await tab_to(page, "End it")
                await page.keyboard.press("Enter")
                assert "An administrator has ended this request." in await answer.broken()
            await expect(page.locator("#live .empty")).to_be_visible()


async def test_a_member_has_nothing_to_press(browser: Browser, tmp_path: Path) -> None:
    async with MockLlamaServer(tokens_per_second=20) as mock, team_serving(tmp_path, "acme") as team:
        key = await key_for(team, mock.url)
        await team.do("keys.create", asked=NewKey(account="acme", name="mias"))
        mia = await team.person("mia", "member", ["acme"])
        async with streaming(team.url, key.key), window(browser, team, mia, "/deployments") as page:
            await expect(page.locator("#d-demo")).to_be_visible()
            assert await page.locator("main button:visible").all_inner_texts() == ["Show"]
            await is_fit_to_be_seen(page, "deployments-member-1440-light")
            await page.goto(f"{team.url}/activity")
            await expect(page.locator("tbody tr")).to_have_count(1)
            assert await page.locator("main button").count() == 0


async def test_who_is_signed_out_elsewhere_is_led_to_the_sign_in(browser: Browser, tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team:
        await add(team, "demo", status="paused")
        async with window(browser, team, await team.person("ada"), "/deployments") as page:
            await expect(page.locator("#link-text")).to_have_text("Live")
            [ada] = (await team.do("people.list")).items
            await team.do("people.sign_out", ada.id)
            await expect(page.locator("h1")).to_have_text("Sign in")


async def test_nothing_moves_while_a_page_comes_and_keeps_itself_current(browser: Browser, tmp_path: Path) -> None:
    async with MockLlamaServer(tokens_per_second=20) as mock, team_serving(tmp_path, "acme") as team:
        key = await key_for(team, mock.url)
        ada = await team.person("ada")
        async with streaming(team.url, key.key), window(browser, team, ada, "/deployments") as page:
            await expect(page.locator("#link-text")).to_have_text("Live")
            before = await page.locator("#d-demo .figures dd").first.inner_text()
            async with streaming(team.url, key.key):
                await expect(page.locator("#d-demo .figures dd").first).not_to_have_text(before)
            assert await has_shifted(page) < 0.01
