"""What somebody was writing when their session ended is still there, and they are told how to go on."""

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from gateway.team.models.keys import NewKey
from tests.harness.pages.axe import photograph, violations
from tests.harness.pages.chromium import require_chromium, running_chromium
from tests.harness.pages.team_pages import COOKIE, Team, team_serving, window

require_chromium("what is said to who is signed out")

pytestmark = pytest.mark.slow

SIGNED_OUT = "You are signed out. Sign in again in another tab, then go on here: nothing that you have written is lost."


async def comes_back(page: Page, team: Team, session: str) -> None:
    """Sign in again, as in another tab: to there the page leads."""
    way = page.get_by_role("link", name="Sign in again in another tab")
    assert await way.get_attribute("href") == "/sign-in"
    assert await way.get_attribute("target") == "_blank"
    await page.context.add_cookies([{"name": COOKIE, "value": session, "url": team.url}])


async def test_a_form_sent_after_the_session_ended_is_kept_and_sent_again(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, running_chromium() as chromium:
        ada = await team.person("ada")
        async with window(chromium, team, ada, "/keys", width=390) as page:
            await page.get_by_role("textbox", name="Name").fill("my laptop")
            await page.context.clear_cookies()
            await page.get_by_role("button", name="Make the key").click()
            await expect(page.get_by_role("alert").filter(has_text="signed out")).to_have_text(SIGNED_OUT)
            await photograph(page, "keys-signed-out-390-light")
            assert await violations(page) == []
            await expect(page.get_by_role("textbox", name="Name")).to_have_value("my laptop")
            await comes_back(page, team, ada)
            await page.get_by_role("button", name="Make the key").click()
            await expect(page.get_by_role("heading", name="Key my laptop is made.")).to_be_visible()
            await expect(page.get_by_role("alert")).to_have_count(0)


async def test_a_question_does_not_cover_what_is_said_of_its_answer(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, running_chromium() as chromium:
        await team.do("keys.create", asked=NewKey(account="acme", name="laptop"))
        ada = await team.person("ada")
        async with window(chromium, team, ada, "/keys") as page:
            await page.get_by_role("button", name="Revoke laptop").click()
            await page.context.clear_cookies()
            await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
            await expect(page.get_by_role("dialog")).to_have_count(0)
            await expect(page.get_by_role("alert")).to_have_text(SIGNED_OUT)
            await expect(page.get_by_role("button", name="Revoke laptop")).to_be_focused()


async def test_a_live_page_waits_for_who_is_writing_and_hides_the_rest(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, running_chromium() as chromium:
        ada = await team.person("ada")
        async with window(chromium, team, ada, "/deployments") as page:
            await page.get_by_label("Upstream").fill("http://10.0.0.7:9931")
            await page.context.clear_cookies()
            await expect(page.get_by_role("alert")).to_have_text(SIGNED_OUT)
            await expect(page.get_by_text("Start a llama-server, say above")).to_have_count(0)
            await comes_back(page, team, ada)
            await expect(page.get_by_text("Start a llama-server, say above")).to_be_visible()
            await expect(page.get_by_role("alert")).to_have_count(0)
            await expect(page.get_by_label("Upstream")).to_have_value("http://10.0.0.7:9931")
