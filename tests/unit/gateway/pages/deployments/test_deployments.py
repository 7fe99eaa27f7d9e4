"""The pages about deployments, as a browser asks for them."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest
from aiohttp import ClientSession
from sqlalchemy import select, update

from gateway.registry.database.team_tables import sessions
from gateway.team.models.deployments import DeploymentChange, NewDeployment
from gateway.team.models.keys import NewKey
from tests.harness.pages.plain_browser import following_browser, text_of, version_in
from tests.harness.pages.team_pages import Team, team_serving

NOWHERE = "http://127.0.0.1:9"  # nothing listens on the discard port


async def add(team: Team, name: str, account: str = "acme", **settings: object) -> None:
    given = {"id": name, "account": account, "upstream": NOWHERE, **settings}
    await team.do("deployments.create", asked=NewDeployment.model_validate(given))
    await team.has_looked()


def began_in(page: str) -> str:
    found = re.search(r'name="began" value="(.*?)"', page)
    assert found is not None
    return unescape(found[1])


async def test_an_admin_adds_a_deployment_and_its_account(tmp_path: Path) -> None:
    async with team_serving(tmp_path) as team, following_browser(team, await team.person("ada")) as client:
        assert "gives a llama-server its own base URL" in await text_of(await client.get("/deployments"))
        form = {"id": "demo", "account": "acme", "upstream": NOWHERE, "connections": "4", "ping": "2.5"}
        refused = await text_of(await client.post("/deployments", data=form), 422)
        assert "acme" in refused  # there is no such account yet, and what was typed is kept
        shown = await text_of(await client.post("/deployments", data={**form, "new_account": "yes"}))
        assert "/api/gguf/demo/v1" in shown
        made = await team.do("deployments.get", "demo")
        assert (made.limits.connections, made.ping, made.account) == (4, 2.5, "acme")


async def test_what_cannot_be_is_said_beside_what_was_typed(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, following_browser(team, await team.person("ada")) as client:
        form = {"id": "no spaces", "account": "acme", "upstream": "ftp://x", "connections": "many", "silence": "-1"}
        page = await text_of(await client.post("/deployments", data=form), 422)
        for field in ("id", "upstream", "limits.connections", "timeouts.silence"):
            assert f"<b>{field}</b>" in page
        assert 'value="many"' in page


async def test_pausing_shows_at_once_and_resuming_too(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, following_browser(team, await team.person("ada")) as client:
        await add(team, "demo")
        version = version_in(await text_of(await client.get("/deployments")))
        paused = await text_of(await client.post("/deployments/demo/pause", data={"version": version}))
        assert 'data-says="Paused"' in paused
        assert "Resume demo" in paused
        stale = await text_of(await client.post("/deployments/demo/resume", data={"version": version}), 409)
        assert "changed by somebody else" in stale
        resumed = await client.post("/deployments/demo/resume", data={"version": version_in(paused)})
        assert 'data-says="Deploying"' in await text_of(resumed)
        gone = await text_of(await client.post("/deployments/demo/remove"))
        assert "d-demo" not in gone


async def test_a_member_sees_their_accounts_and_no_button(tmp_path: Path) -> None:
    async with (
        team_serving(tmp_path, "acme", "other") as team,
        following_browser(team, await team.person("mia", "member", ["acme"])) as client,
    ):
        await add(team, "mine")
        await add(team, "theirs", "other")
        page = await text_of(await client.get("/deployments"))
        assert "d-mine" in page
        assert not any(words in page for words in ("theirs", "Pause", "Remove", "Add a deployment", NOWHERE))
        await text_of(await client.get("/deployments/theirs"), 404)
        detail = await text_of(await client.get("/deployments/mine"))
        assert not any(words in detail for words in ("Change them", "Remove", NOWHERE))
        for path in ("/deployments/mine/pause", "/deployments/mine", "/deployments"):
            form = {"id": "new", "account": "acme", "upstream": NOWHERE}
            answer = await client.post(path, data=form)
            assert answer.status in {403, 422}, path
        assert (await team.do("deployments.get", "mine")).version == 1


async def test_the_second_of_two_admins_is_told_and_loses_nothing(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, following_browser(team, await team.person("ada")) as client:
        await add(team, "demo")
        page = await text_of(await client.get("/deployments/demo"))
        before, began = version_in(page.partition('id="change"')[2]), began_in(page)
        await team.do("deployments.change", "demo", asked=DeploymentChange.model_validate({"limits": {"waiting": 7}}))
        form = {"account": "acme", "upstream": NOWHERE, "connections": "3", "waiting": "9", "endpoints": "openai"}
        form["began"] = began
        told = await text_of(await client.post("/deployments/demo", data={**form, "version": before}), 409)
        assert "Somebody else has changed this deployment" in told
        assert re.findall(r"Theirs: <bdi>(.*?)</bdi>", told) == ["7"]
        assert all(f'value="{typed}"' in told for typed in ("3", "9"))
        assert (await team.do("deployments.get", "demo")).limits.connections is None
        again = version_in(told.partition('id="change"')[2])
        await text_of(await client.post("/deployments/demo", data={**form, "version": again}))
        stored = await team.do("deployments.get", "demo")
        assert (stored.limits.connections, stored.limits.waiting, stored.endpoints) == (3, 9, ("openai",))


async def test_a_change_keeps_the_servers_own_key_unless_told(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, following_browser(team, await team.person("ada")) as client:
        await add(team, "demo", upstream_key="upstream-canary")
        form = {"account": "acme", "upstream": NOWHERE}
        page = await text_of(await client.post("/deployments/demo", data=form))
        assert "upstream-canary" not in page
        assert (await team.do("deployments.get", "demo")).has_upstream_key
        await text_of(await client.post("/deployments/demo", data={**form, "without_key": "yes"}))
        assert not (await team.do("deployments.get", "demo")).has_upstream_key


async def test_the_live_part_is_sent_only_where_it_is_news(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, following_browser(team, await team.person("ada")) as client:
        await add(team, "demo", status="paused")
        first = await client.get("/deployments?part=live")
        assert "<html" not in await text_of(first)
        known = {"If-None-Match": first.headers["ETag"]}
        assert (await client.get("/deployments?part=live", headers=known)).status == 304
        await team.do("deployments.resume", "demo")
        assert (await client.get("/deployments?part=live", headers=known)).status == 200
        await add(team, "second")
        found = await text_of(await client.get("/deployments?part=live&search=SEC"))
        assert "d-second" in found
        assert "d-demo" not in found


@pytest.mark.parametrize("path", ["/deployments", "/deployments/demo", "/activity"])
async def test_who_is_not_signed_in_is_led_to_the_sign_in(tmp_path: Path, path: str) -> None:
    async with team_serving(tmp_path, "acme") as team, ClientSession(team.url) as client:
        answer = await client.get(path, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, f"/sign-in?next={path}")


async def test_its_last_refusals_are_on_its_page(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, following_browser(team, await team.person("ada")) as client:
        await add(team, "demo", status="paused")
        await add(team, "other", status="paused")
        key = await team.do("keys.create", asked=NewKey(account="acme", name="laptop"))
        await team.has_looked()
        called = await client.get("/api/gguf/demo/v1/models", headers={"Authorization": f"Bearer {key.key}"})
        assert called.status == 503
        assert '<span class="reason">paused</span>' in await text_of(await client.get("/deployments/demo"))
        assert "Nothing was refused here" in await text_of(await client.get("/deployments/other"))


async def test_a_page_that_asks_by_itself_does_not_keep_a_session_alive(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, following_browser(team, await team.person("ada")) as client:
        long_ago = datetime.now(UTC) - timedelta(hours=11)
        async with team.database.begin() as connection:
            await connection.execute(update(sessions).values(seen_at=long_ago))

        async def seen_at() -> datetime:
            async with team.database.connect() as connection:
                seen: datetime = (await connection.execute(select(sessions.c.seen_at))).scalar_one()
                return seen

        for path in ("/deployments?part=live", "/activity?part=live"):
            assert (await client.get(path)).status == 200
        assert await seen_at() == long_ago
        await client.get("/deployments")
        assert await seen_at() > long_ago


async def test_a_status_is_pinned_by_the_form_and_kept_where_it_is_not_in_it(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, following_browser(team, await team.person("ada")) as client:
        await add(team, "demo", status="paused")
        form = {"account": "acme", "upstream": NOWHERE}
        await text_of(await client.post("/deployments/demo", data=form))
        assert (await team.do("deployments.get", "demo")).status == "paused"
        page = await text_of(await client.post("/deployments/demo", data={**form, "status": "ready"}))
        assert "<option selected>ready</option>" in page
        assert (await team.do("deployments.get", "demo")).status == "ready"
