"""The page of requests under way, as a browser asks for it."""

import re
from pathlib import Path

import pytest
from aiohttp import ClientSession

from gateway.team.models.keys import NewKey
from mockserver import MockLlamaServer
from tests.harness.pages.plain_browser import following_browser, text_of
from tests.harness.pages.team_pages import COOKIE, team_serving
from tests.unit.gateway.activity.streams import key_for, streaming


async def test_an_admin_sees_and_ends_a_stream_and_ending_it_again_is_fine(tmp_path: Path) -> None:
    async with (
        MockLlamaServer(tokens_per_second=20) as mock,
        team_serving(tmp_path, "acme") as team,
        following_browser(team, await team.person("ada")) as client,
    ):
        key = await key_for(team, mock.url)
        assert "No request is under way" in await text_of(await client.get("/activity"))
        async with streaming(team.url, key.key) as answer:
            page = await text_of(await client.get("/activity?part=live"))
            assert "laptop" in page
            [path] = set(re.findall(r'action="(/activity/\w+/end)"', page))
            await text_of(await client.post(path))
            assert "An administrator has ended this request." in await answer.broken()
        assert "No request is under way" in await text_of(await client.post(path))


async def test_a_member_sees_no_other_account_and_ends_nothing(tmp_path: Path) -> None:
    async with (
        MockLlamaServer(tokens_per_second=20) as mock,
        team_serving(tmp_path, "acme", "other") as team,
        following_browser(team, await team.person("mia", "member", ["acme"])) as mia,
        following_browser(team, await team.person("eve", "member", ["other"])) as eve,
    ):
        key = await key_for(team, mock.url)
        async with streaming(team.url, key.key):
            page = await text_of(await mia.get("/activity"))
            assert "laptop" in page
            assert "/end" not in page
            assert "laptop" not in await text_of(await eve.get("/activity"))
            [one] = (await team.do("activity.list")).items
            await text_of(await mia.post(f"/activity/{one.id}/end"), 403)
            assert len((await team.do("activity.list")).items) == 1


async def test_a_name_that_is_markup_is_shown_as_text(tmp_path: Path) -> None:
    hostile = "<img src=x onerror=alert(1)>\"'"
    async with (
        MockLlamaServer(tokens_per_second=20) as mock,
        team_serving(tmp_path, "acme") as team,
        following_browser(team, await team.person("ada")) as client,
    ):
        await key_for(team, mock.url)
        key = await team.do("keys.create", asked=NewKey(account="acme", name=hostile))
        await team.has_looked()
        async with streaming(team.url, key.key):
            page = await text_of(await client.get("/activity"))
            assert "<img src=x" not in page
            assert "&lt;img src=x onerror=alert(1)&gt;&#34;&#39;" in page


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        "/deployments",
        "/deployments/demo",
        "/deployments/demo/pause",
        "/deployments/demo/remove",
        "/activity/act_0_1/end",
    ],
)
@pytest.mark.parametrize("sent", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.test"}, {}])
async def test_what_another_sites_page_asks_for_is_not_done(tmp_path: Path, path: str, sent: dict[str, str]) -> None:
    async with team_serving(tmp_path) as team, ClientSession(team.url) as client:
        own = {"Cookie": f"{COOKIE}={await team.person('ada')}"}
        assert (await client.post(path, headers=own | sent)).status == 403
