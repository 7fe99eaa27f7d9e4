"""The playground in a real browser: an answer streams through the relay, in both protocols, and is stopped."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Route, expect

from gateway.core.deployment import Status
from gateway.server.admission import REGISTRY
from gateway.team.actor import Face, Way
from gateway.team.models.deployments import DeploymentChange, NewDeployment
from gateway.team.models.people import PersonQuery
from gateway.team.signing_in.session_limits import SessionLimits
from gateway.team.signing_in.sessions import begin_session
from mockserver import MockLlamaServer
from tests.harness.pages.axe import photograph, violations
from tests.harness.pages.chromium import require_chromium
from tests.harness.pages.team_pages import COOKIE, Team, is_wider_than_its_window, team_serving, window
from tests.harness.patience import PATIENCE, wait_until

require_chromium("the team's pages")

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

LOOKS = [(390, False), (1440, False), (390, True), (1440, True)]
HOSTILE = '<img src=x onerror=alert(1)> it\'s "quoted" </script>'


@asynccontextmanager
async def serving(folder: Path, tokens_per_second: float = 0.0) -> AsyncIterator[tuple[Team, MockLlamaServer, str]]:
    """A gateway with the deployment demo before a mock, and the session of bob, a member of its account."""
    async with MockLlamaServer(tokens_per_second=tokens_per_second) as mock, team_serving(folder, "acme") as team:
        new = NewDeployment(id="demo", account="acme", upstream=mock.url, status=Status.READY)
        await team.do("deployments.create", asked=new)
        await team.has_looked()
        yield team, mock, await team.person("bob", "member", ["acme"])


async def send(page: Page, text: str) -> None:
    """Say something by keyboard."""
    await page.locator("#message").focus()
    await page.keyboard.type(text)
    await page.keyboard.press("Enter")


async def answered(page: Page, how: str = "stop") -> None:
    """The answer is over, and its figures are there."""
    await expect(page.locator("#ended")).to_have_text(how)
    await expect(page.locator("#send")).to_be_enabled()


def keys_of_pages(team: Team) -> list[str]:
    """The ids of the playground's keys that are in force."""
    return [key.id for key in team.app[REGISTRY].snapshot.keys.values() if key.id.startswith("play_")]


@pytest.mark.parametrize(("width", "dark"), LOOKS)
async def test_a_chat_by_keyboard_alone(browser: Browser, tmp_path: Path, width: int, dark: bool) -> None:
    async with (
        serving(tmp_path) as (team, _mock, bob),
        window(browser, team, bob, "/playground", width=width, dark=dark) as page,
    ):
        await send(page, HOSTILE)
        await answered(page)
        await send(page, "And again")
        await expect(page.locator(".bubble.assistant .said")).to_have_count(2)
        await answered(page)
        assert await page.locator(".bubble.user .said").first.inner_text() == HOSTILE
        assert await page.locator("#messages img, #code img, #events img").count() == 0
        for figure in ("first-token", "speed", "tokens-in", "tokens-out"):
            await expect(page.locator(f"#{figure}")).not_to_have_text("–")
        await expect(page.locator("#events")).to_contain_text("data: [DONE]")
        await photograph(page, f"playground-{width}-{'dark' if dark else 'light'}")
        assert await violations(page) == []
        assert not await is_wider_than_its_window(page)


async def test_both_protocols_and_all_settings_reach_the_model_server(browser: Browser, tmp_path: Path) -> None:
    async with serving(tmp_path) as (team, mock, bob), window(browser, team, bob, "/playground") as page:
        await page.get_by_label("Protocol").select_option("anthropic")
        await page.get_by_label("Temperature").fill("0.5")
        await page.get_by_label("Tokens at most").fill("7")
        await page.get_by_text("System prompt", exact=True).first.click()
        await page.locator("#system").fill("Be brief.")
        await send(page, "Hello")
        await answered(page, "max_tokens")
        await expect(page.locator("#tokens-out")).to_have_text("7")
        (asked,) = await mock.wait_for_requests(path="/v1/messages")
        sent = json.loads(asked.body)
        assert (sent["temperature"], sent["system"], sent["max_tokens"]) == (0.5, "Be brief.", 7)
        assert sent["messages"] == [{"role": "user", "content": "Hello"}]
        for language, word in (("curl", "$GGUF_KEY"), ("Python", 'os.environ["GGUF_KEY"]'), ("TypeScript", "GGUF_KEY")):
            await page.get_by_label(language).check()
            await expect(page.locator("#code")).to_contain_text(word)
            await expect(page.locator("#code")).to_contain_text("Be brief.")
            assert "gw_" not in await page.locator("#code").inner_text()


async def test_stopping_frees_the_slot_and_leaving_ends_the_key(browser: Browser, tmp_path: Path) -> None:
    async with serving(tmp_path, 2.0) as (team, mock, bob), window(browser, team, bob, "/playground") as page:
        await send(page, "Hello")
        await expect(page.locator("#tokens-out")).to_contain_text("about")
        await page.keyboard.press("Escape")
        await answered(page, "stopped")
        (left,) = await mock.wait_for_requests(path="/v1/chat/completions", ended="aborted", timeout=PATIENCE)
        assert left.status == 200
        assert len(keys_of_pages(team)) == 1
        await page.get_by_role("link", name="Keys", exact=True).first.press("Enter")
        await expect(page.locator("h1")).to_have_text("Keys")
        # The page that is left says so when it likes, and perhaps after the next one is there.
        await asyncio.to_thread(wait_until, lambda: not keys_of_pages(team), "the key goes on")


async def test_it_is_entered_and_left_within_one_document(browser: Browser, tmp_path: Path) -> None:
    async with serving(tmp_path, 20.0) as (team, mock, bob), window(browser, team, bob, "/keys") as page:
        faults: list[str] = []
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        await page.evaluate("window.sameDocument = true")
        for left in (1, 2):
            await page.get_by_role("link", name="Playground", exact=True).first.press("Enter")
            await expect(page.locator("#code")).to_contain_text("Say hello.")
            await expect(page.locator("#nothing")).to_be_visible()
            await send(page, "Hello")
            await expect(page.locator("#tokens-out")).to_contain_text("about")
            await page.get_by_role("link", name="Keys", exact=True).first.press("Enter")
            await expect(page.locator("h1")).to_have_text("Keys")
            await mock.wait_for_requests(left, path="/v1/chat/completions", ended="aborted", timeout=PATIENCE)
            await asyncio.to_thread(wait_until, lambda: not keys_of_pages(team), "the key goes on")
        assert await page.evaluate("window.sameDocument")
        assert faults == []


async def test_its_own_link_leaves_no_chat_and_no_draft(browser: Browser, tmp_path: Path) -> None:
    async with serving(tmp_path) as (team, _mock, bob), window(browser, team, bob, "/playground") as page:
        own, message = page.get_by_role("link", name="Playground", exact=True), page.locator("#message")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await send(page, "Hello")
        await answered(page)
        await message.fill("A long thought")
        await own.press("Enter")
        await expect(message).to_be_focused()
        await expect(message).to_have_value("A long thought")
        await expect(page.locator(".bubble")).to_have_count(2)
        await message.fill("")
        await page.get_by_role("button", name="Begin anew").press("Enter")
        async with page.expect_response(f"{team.url}/playground"):  # there is nothing to lose: it is loaded anew
            await own.press("Enter")
        assert asked.count(f"{team.url}/playground") == 1


async def test_a_key_that_comes_to_a_page_that_was_left_ends(browser: Browser, tmp_path: Path) -> None:
    async with serving(tmp_path) as (team, _mock, bob), window(browser, team, bob, "/playground") as page:
        held: asyncio.Future[Route] = asyncio.get_running_loop().create_future()
        await page.route("**/playground/keys", lambda route, _asked: held.set_result(route))
        await send(page, "Hello")
        late = await held
        await page.get_by_role("link", name="Keys", exact=True).first.press("Enter")
        await expect(page.locator("h1")).to_have_text("Keys")
        async with page.expect_request(lambda asked: asked.url.endswith("/end")):
            await late.continue_()
        await asyncio.to_thread(wait_until, lambda: not keys_of_pages(team), "the key goes on")


async def test_who_is_signed_out_elsewhere_is_told_and_goes_on(browser: Browser, tmp_path: Path) -> None:
    async with serving(tmp_path) as (team, _mock, bob), window(browser, team, bob, "/playground") as page:
        await send(page, "Hello")
        await answered(page)
        (person,) = (await team.do("people.list", asked=PersonQuery(search="bob"))).items
        await team.do("people.sign_out", person.id)
        await team.has_looked()
        await send(page, "And again")
        await expect(page.locator("#problem-text")).to_contain_text("You are signed out. Sign in again in another tab")
        async with team.database.begin() as connection:
            again = await begin_session(connection, person.id, Way(Face.PAGE), SessionLimits())
        await page.context.add_cookies([{"name": COOKIE, "value": again, "url": team.url}])
        await page.get_by_role("button", name="Try again").press("Enter")
        await answered(page)
        await expect(page.locator(".bubble")).to_have_count(4)


async def test_an_answer_takes_the_focus_from_nobody(browser: Browser, tmp_path: Path) -> None:
    async with serving(tmp_path, 2.0) as (team, _mock, bob), window(browser, team, bob, "/playground") as page:
        await page.locator("#message").fill("Hello")
        await page.get_by_role("button", name="Send").press("Enter")
        await expect(page.locator("#message")).to_be_focused()  # for the button is disabled now
        await expect(page.locator("#tokens-out")).to_contain_text("about")
        await page.get_by_label("Temperature").focus()
        await page.keyboard.press("Escape")
        await answered(page, "stopped")
        await expect(page.get_by_label("Temperature")).to_be_focused()


async def test_a_refusal_is_told_with_what_to_do_and_tried_again(browser: Browser, tmp_path: Path) -> None:
    async with serving(tmp_path) as (team, _mock, bob), window(browser, team, bob, "/playground") as page:
        await team.do("deployments.pause", "demo")
        await team.has_looked()
        await send(page, "Hello")
        await expect(page.get_by_role("alert").last).to_contain_text("503: Endpoint is not ready (status: paused).")
        await expect(page.get_by_role("alert").last).to_contain_text("an admin can resume it")
        await photograph(page, "playground-paused")
        assert await violations(page) == []
        await team.do("deployments.change", "demo", asked=DeploymentChange(status=Status.READY))
        await team.has_looked()
        await page.get_by_role("button", name="Try again").press("Enter")
        await answered(page)
        await expect(page.get_by_role("alert").last).to_be_hidden()
        await expect(page.locator(".bubble")).to_have_count(2)


async def test_a_browser_without_scripts_is_told_what_it_lacks(browser: Browser, tmp_path: Path) -> None:
    async with serving(tmp_path) as (team, _mock, bob):
        async with window(browser, team, bob, "/playground", java_script_enabled=False) as page:
            await expect(page.locator("noscript .problem-line")).to_be_visible()
            await page.locator("noscript a").press("Enter")
            await expect(page.locator("h1")).to_have_text("Deployments")
        async with window(browser, team, bob, "/playground") as page:
            await expect(page.locator("noscript .problem-line")).to_have_count(0)
