"""The team's pages in a small window, and in one that is magnified: 200 % of 1440 by 900 leave 720 by 450."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from gateway.team.models.deployments import NewDeployment
from gateway.team.models.keys import NewKey
from gateway.team.models.limits import NewLimit
from tests.harness.pages.chromium import require_chromium, running_chromium
from tests.harness.pages.team_pages import is_wider_than_its_window, team_serving, window

require_chromium("the team's pages in a small window")

pytestmark = pytest.mark.slow

PAGES = ("deployments", "activity", "usage", "keys", "limits", "playground", "people", "audit", "me")
NOWHERE = "http://127.0.0.1:9"  # nothing listens on the discard port
# Whether what has the focus can be seen where its first line begins.
_IS_SEEN = """() => {
    const one = document.activeElement, {left, top, height} = one.getClientRects()[0];
    const there = document.elementFromPoint(left + 2, top + height / 2);
    return one.contains(there) || there?.contains(one) && !there.closest(".bar");
}"""
_WIDTHS_OF_NAMES = """() => [...document.querySelectorAll("td bdi")].filter(one => one.textContent.length > 20)
    .map(one => one.getBoundingClientRect().width)"""
_BROKEN_WORDS = """() => [...document.querySelectorAll("main button")].flatMap(button => {
    const texts = [...button.childNodes].filter(one => one.nodeType === Node.TEXT_NODE && button.checkVisibility());
    return texts.flatMap(text => [...text.data.matchAll(/\\S+/g)].filter(({0: word, index}) => {
        const range = document.createRange();
        range.setStart(text, index);
        range.setEnd(text, index + word.length);
        return new Set([...range.getClientRects()].map(line => line.top)).size > 1;
    }).map(([word]) => word));
})"""


@pytest.mark.parametrize(("width", "height"), [(720, 450), (1024, 600), (320, 640)])
async def test_the_bar_covers_nothing_that_has_the_focus(tmp_path: Path, width: int, height: int) -> None:
    async with team_serving(tmp_path, "acme") as team, running_chromium() as chromium:
        for number in range(12):
            await team.do("keys.create", asked=NewKey(account="acme", name=f"key {number}"))
        ada, size = await team.person("ada"), {"width": width, "height": height}
        async with window(chromium, team, ada, "/keys", viewport=size) as page:
            await page.get_by_role("button", name="Revoke").last.focus()
            for _ in range(30):
                await page.keyboard.press("Shift+Tab")
                assert await page.evaluate(_IS_SEEN), await page.evaluate("document.activeElement.outerHTML")


async def test_no_word_on_a_button_is_broken_in_the_smallest_window(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, running_chromium() as chromium:
        given = {"id": "demo", "account": "acme", "upstream": NOWHERE, "status": "paused"}
        await team.do("deployments.create", asked=NewDeployment.model_validate(given))
        await team.do("keys.create", asked=NewKey(account="acme", name="laptop"))
        ada = await team.person("ada")
        for path in PAGES:
            async with window(chromium, team, ada, f"/{path}", width=320) as page:
                assert (path, await page.evaluate(_BROKEN_WORDS)) == (path, [])
                assert not await is_wider_than_its_window(page), path


@pytest.mark.parametrize("width", [600, 720])
async def test_long_names_make_no_page_wider_and_no_column_a_letter_wide(tmp_path: Path, width: int) -> None:
    longest = "research-and-development-" + 39 * "w"
    async with team_serving(tmp_path, "acme", longest) as team, running_chromium() as chromium:
        key = await team.do("keys.create", asked=NewKey(account=longest, name=64 * "W"))
        given = {"kind": "key", "subject": key.id, "measure": "tokens_per_month", "amount": 3 * 10**12}
        await team.do("limits.set", asked=NewLimit.model_validate(given))
        ada = await team.person("ada")
        for path in PAGES:
            async with window(chromium, team, ada, f"/{path}", width=width) as page:
                assert not await is_wider_than_its_window(page), path
                assert [w for w in await page.evaluate(_WIDTHS_OF_NAMES) if w < 45] == [], path


@pytest.mark.parametrize("width", [390, 1440])
async def test_a_screen_reader_is_told_the_column_of_a_cell_once(tmp_path: Path, width: int) -> None:
    async with team_serving(tmp_path, "acme") as team, running_chromium() as chromium:
        await team.do("keys.create", asked=NewKey(account="acme", name="laptop"))
        async with window(chromium, team, await team.person("ada"), "/keys", width=width) as page:
            session = await page.context.new_cdp_session(page)
            nodes = (await session.send("Accessibility.getFullAXTree"))["nodes"]
            told = [
                one["name"]["value"] for one in nodes if not one["ignored"] and one["role"]["value"] == "StaticText"
            ]
            assert [told.count(column) for column in ("Last used", "May call", "laptop")] == [1, 1, 1]


async def test_a_question_about_a_long_name_is_read_whole(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, running_chromium() as chromium:
        await team.do("keys.create", asked=NewKey(account="acme", name=64 * "W"))
        async with window(chromium, team, await team.person("ada"), "/keys") as page:
            await page.get_by_role("button", name="Revoke").press("Enter")
            asks = page.get_by_role("dialog")
            await expect(asks).to_be_visible()
            assert await asks.evaluate("asks => asks.scrollWidth <= asks.clientWidth")


async def test_limits_need_no_scrolling_in_a_window_of_1024_pixels(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, running_chromium() as chromium:
        given = {"id": "qwen3-coder-30b", "account": "acme", "upstream": NOWHERE}
        await team.do("deployments.create", asked=NewDeployment.model_validate(given))
        key = await team.do("keys.create", asked=NewKey(account="acme", name="ben's workstation"))
        limit = {"kind": "key", "subject": key.id, "measure": "tokens_per_day", "amount": 2_000_000}
        await team.do("limits.set", asked=NewLimit.model_validate({**limit, "deployment": given["id"]}))
        async with window(chromium, team, await team.person("ada"), "/limits", width=1024) as page:
            assert await page.locator(".table").first.evaluate("table => table.scrollWidth <= table.clientWidth")
