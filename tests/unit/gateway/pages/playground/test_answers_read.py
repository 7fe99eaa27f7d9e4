"""An answer that is read while it comes, and one that is asked for anew because it broke off."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from gateway.core.deployment import Status
from gateway.team.models.deployments import NewDeployment
from mockserver import MockLlamaServer
from tests.harness.pages.chromium import require_chromium, running_chromium
from tests.harness.pages.team_pages import Team, team_serving, window
from tests.harness.patience import PATIENCE

require_chromium("how an answer is read")

pytestmark = pytest.mark.slow

LONG = "\n".join(f"line {number}" for number in range(200))


@asynccontextmanager
async def playground(folder: Path, tokens_per_second: float) -> AsyncIterator[tuple[MockLlamaServer, Team, Page]]:
    """The page of bob, who may call demo, before a mock of this speed."""
    async with (
        MockLlamaServer(tokens_per_second=tokens_per_second) as mock,
        team_serving(folder, "acme") as team,
        running_chromium() as chromium,
    ):
        new = NewDeployment(id="demo", account="acme", upstream=mock.url, status=Status.READY)
        await team.do("deployments.create", asked=new)
        await team.has_looked()
        bob = await team.person("bob", "member", ["acme"])
        async with window(chromium, team, bob, "/playground") as page:
            yield mock, team, page


async def send(page: Page, text: str) -> None:
    await page.locator("#message").fill(text)
    await page.locator("#message").press("Enter")


async def test_who_has_scrolled_up_reads_on_while_an_answer_comes(tmp_path: Path) -> None:
    async with playground(tmp_path, 5.0) as (_mock, _team, page):
        await send(page, LONG)
        for box in ("messages", "events"):
            end = f"() => {{ const {{scrollTop: top, scrollHeight: all, clientHeight: seen}} = {box}; "
            await page.wait_for_function(end + "return all > seen && all - top - seen < 2; }")
        await page.evaluate("() => { messages.scrollTop = events.scrollTop = 0; }")
        for box in ("said", "events"):
            last = page.locator(f"#messages .assistant .{box}" if box == "said" else f"#{box}")
            before = await last.inner_text()
            await expect(last).not_to_have_text(before, use_inner_text=True)
        assert await page.evaluate("[messages.scrollTop, events.scrollTop]") == [0, 0]
        await page.evaluate("() => { events.scrollTop = events.scrollHeight; }")
        height = await page.evaluate("events.scrollHeight")
        await page.wait_for_function(
            "height => events.scrollHeight > height && "
            "events.scrollHeight - events.scrollTop - events.clientHeight < 2",
            arg=height,
        )


async def test_a_question_is_put_anew_without_the_half_of_an_answer(tmp_path: Path) -> None:
    async with playground(tmp_path, 2.0) as (mock, team, page):
        await send(page, "Hello")
        await expect(page.locator("#tokens-out")).to_contain_text("about")
        (act,) = (await team.do("activity.list")).items
        await team.do("activity.end", act.id)
        await expect(page.get_by_role("alert").last).to_contain_text("The answer broke off")
        await page.get_by_role("button", name="Try again").press("Enter")
        first, second = await mock.wait_for_requests(2, path="/v1/chat/completions", timeout=PATIENCE)
        assert json.loads(second.body)["messages"] == json.loads(first.body)["messages"]
        await expect(page.locator(".bubble")).to_have_count(2)


async def test_of_a_deployment_that_is_gone_it_is_said_what_to_do(tmp_path: Path) -> None:
    async with playground(tmp_path, 100.0) as (_mock, team, page):
        await team.do("deployments.remove", "demo")
        await send(page, "Hello")
        await expect(page.get_by_role("alert").last).to_contain_text("Load this page anew to see which there are.")


async def test_of_an_answer_whose_connection_is_cut_it_is_said_that_it_broke_off(tmp_path: Path) -> None:
    async with playground(tmp_path, 2.0) as (_mock, team, page):
        await send(page, "Hello")
        await expect(page.locator("#tokens-out")).to_contain_text("about")
        assert team.runner.server is not None
        for connection in list(team.runner.server.connections):
            connection.transport.abort()  # type: ignore[union-attr]  # each has one
        await expect(page.get_by_role("alert").last).to_contain_text("The answer broke off before its end.")
