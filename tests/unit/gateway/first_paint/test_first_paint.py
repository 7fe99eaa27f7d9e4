"""What a browser waits for until it paints a page: its HTML and one file of styles."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import expect

from gateway.registry.database.tables import keys
from gateway.registry.database.team_tables import key_uses, people
from gateway.server.pages.assets import assets_version
from gateway.server.relative_times import told
from gateway.team.models.deployments import NewDeployment
from gateway.team.models.keys import NewKey
from tests.harness.pages.chromium import require_chromium, running_chromium
from tests.harness.pages.team_pages import has_shifted, team_serving, window

require_chromium("the first paint of the team's pages")

pytestmark = pytest.mark.slow

OF_THE_SIGNED_IN = ("deployments", "deployments/demo", "activity", "usage", "keys", "limits", "people", "audit", "me")
PAGES = ("", "sign-in", *OF_THE_SIGNED_IN, "playground")
NOWHERE = "http://127.0.0.1:9"  # nothing listens on the discard port
_BLOCKING = """() => performance.getEntriesByType("resource")
    .filter((one) => one.renderBlockingStatus === "blocking").map((one) => one.name.split("/").at(-1))"""

_SPAN = re.compile("from 2[45] h ago until now")  # 25 where the hour ends in just this moment
_PAINTED = "time => getComputedStyle(time, '::before').content"


async def test_each_page_waits_for_one_file_of_styles(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, running_chromium() as chromium:
        given = {"id": "demo", "account": "acme", "upstream": NOWHERE, "status": "paused"}
        await team.do("deployments.create", asked=NewDeployment.model_validate(given))
        await team.has_looked()
        ada = await team.person("ada")
        for path in PAGES:
            session = ada if path not in {"", "sign-in"} else "nobody"
            async with window(chromium, team, session, f"/{path}") as page:
                styles = "style.css" if path else "status.css"
                assert (path, await page.evaluate(_BLOCKING)) == (path, [styles])


@pytest.mark.parametrize("width", [390, 1440])
async def test_nothing_moves_where_a_page_says_that_it_is_live(tmp_path: Path, width: int) -> None:
    async with team_serving(tmp_path, "acme") as team, running_chromium() as chromium:
        given = {"id": "demo", "account": "acme", "upstream": NOWHERE, "status": "paused"}
        await team.do("deployments.create", asked=NewDeployment.model_validate(given))
        await team.has_looked()
        ada = await team.person("ada")
        for path in ("deployments", "deployments/demo", "activity"):
            async with window(chromium, team, ada, f"/{path}", width=width) as page:
                await expect(page.locator("#link-text")).to_have_text("Live")
                assert (path, await has_shifted(page)) == (path, 0)


@pytest.mark.parametrize("width", [390, 720, 1440])
async def test_nothing_moves_where_times_become_relative(tmp_path: Path, width: int) -> None:
    async with team_serving(tmp_path, "acme") as team, running_chromium() as chromium:
        key = await team.do("keys.create", asked=NewKey(account="acme", name="laptop"))
        ada, long_ago = await team.person("ada"), datetime.now(UTC) - timedelta(hours=3.5)
        async with team.database.begin() as connection:
            await connection.execute(key_uses.insert().values(key=key.id, last_used_at=long_ago))
            await connection.execute(people.update().values(created_at=long_ago))
            # Not from 9 to 10 s while it looks.
            await connection.execute(keys.update().values(created_at=long_ago - timedelta(days=5)))
        for path, says in (("people", "3 h ago"), ("keys", "3 h ago"), ("usage", _SPAN)):
            async with window(chromium, team, ada, f"/{path}", width=width) as page:
                await expect(page.get_by_text(says)).to_be_visible()
                await expect(page.locator("time[data-told]")).to_have_count(0)
                assert (path, await has_shifted(page)) == (path, 0)


@pytest.mark.parametrize("width", [390, 720])
async def test_nothing_moves_while_a_slow_browser_reads_a_page(tmp_path: Path, width: int) -> None:
    async with team_serving(tmp_path, "acme") as team, running_chromium() as chromium:
        ada = await team.person("ada")
        for path in ("keys", ""):
            async with window(chromium, team, ada, f"/{path}", width=width) as page:
                browser = await page.context.new_cdp_session(page)
                await browser.send("Emulation.setCPUThrottlingRate", {"rate": 20})
                for _ in range(2):
                    await page.reload()
                    assert (path, await has_shifted(page)) == (path, 0)


async def test_a_time_is_relative_before_a_script_runs_and_absolute_without(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, running_chromium() as chromium:
        ada = await team.person("ada")
        for scripts in (True, False):
            async with window(chromium, team, ada, "/me", java_script_enabled=scripts) as page:
                await page.route("**/*.js", lambda route: route.abort())
                await page.reload()
                ends = page.locator("td[data-label=Ends] time")
                assert await ends.evaluate(_PAINTED) == ('"in 29 days"' if scripts else "none")
                await expect(ends.locator("span")).to_be_visible(visible=not scripts)


_SAID = """async ([path, moments]) => {
    const {tellTimes} = await import(path);
    const section = document.createElement("section");
    const times = moments.map(([dateTime, since]) => {
        const time = section.appendChild(document.createElement("time"));
        time.dateTime = dateTime;
        if (since) time.dataset.since = "";
        return time;
    });
    tellTimes(section);
    return times.map((time) => time.textContent);
}"""


async def test_the_script_says_times_as_they_are_painted(tmp_path: Path) -> None:
    ages = [one + sign * 0.5 for one in (0, 1, 59, 60, 3600, 172800, 864000) for sign in (-1, 1)]
    async with (
        team_serving(tmp_path) as team,
        running_chromium() as chromium,
        window(chromium, team, "nobody", "/sign-in") as page,
    ):
        await page.clock.set_fixed_time(datetime.now(UTC))
        await page.reload()
        now = datetime.fromisoformat(str(await page.evaluate("document.documentElement.dataset.now")))
        moments = [
            (now - timedelta(seconds=age), since) for age in (*ages, *(-age for age in ages)) for since in (0, 1)
        ]
        path = f"/assets/{assets_version()}/relative_times.js"
        said = await page.evaluate(_SAID, [path, [[at.isoformat(), since] for at, since in moments]])
    assert said == [told(at, now, since=bool(since)) for at, since in moments]
