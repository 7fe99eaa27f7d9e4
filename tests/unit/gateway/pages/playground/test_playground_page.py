"""The playground's keys: for minutes, for one deployment, for whoever may see it; and where the page may not call."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import ClientSession

from gateway.core.deployment import Status
from gateway.core.secret_text import digest_of
from gateway.server.admission import REGISTRY
from gateway.server.handlers.dashboard import PAGE
from gateway.team.models.deployments import NewDeployment
from gateway.team.models.people import PersonChange
from mockserver import MockLlamaServer
from tests.harness.pages.plain_browser import browsing
from tests.harness.pages.team_pages import Team, team_serving
from tests.harness.storage.databases import rows


@asynccontextmanager
async def two_deployments(folder: Path, **settings: object) -> AsyncIterator[Team]:
    async with MockLlamaServer() as mock, team_serving(folder, "acme", "beta", **settings) as team:
        for name, account in (("demo", "acme"), ("other", "acme"), ("foreign", "beta")):
            new = NewDeployment(id=name, account=account, upstream=mock.url, status=Status.READY)
            await team.do("deployments.create", asked=new)
        await team.has_looked()
        yield team


async def status_of(team: Team, deployment: str, key: str) -> int:
    url = f"{team.url}/api/gguf/{deployment}/v1/models"
    async with ClientSession() as client, client.get(url, headers={"Authorization": f"Bearer {key}"}) as answer:
        return answer.status


async def test_a_key_opens_its_deployment_at_once_and_nothing_else(tmp_path: Path) -> None:
    async with two_deployments(tmp_path) as team:
        session = await team.person("bob", "member", ["acme"])
        async with browsing(team, session) as bob:
            made = json.loads((await bob.post("/playground/keys", deployment="demo")).text)
            statuses = [await status_of(team, name, made["key"]) for name in ("demo", "other", "foreign")]
            assert statuses == [200, 404, 404]
            assert (await bob.post(f"/playground/keys/{made['id']}/end")).status == 204
            await team.has_looked()
            assert await status_of(team, "demo", made["key"]) == 401
            assert digest_of(made["key"]) not in team.app[REGISTRY].snapshot.keys
            (row,) = [one for one in (await team.do("audit.list")).items if one.action.startswith("playground")]
            assert (row.action, row.actor_name, row.target) == ("playground.key", "bob", made["id"])
            assert made["key"] not in row.model_dump_json()


async def ends_with(team: Team, session: str, path: str, **fields: str) -> None:
    """What somebody does on that page ends the key of their playground, and nobody else's."""
    async with browsing(team, session) as bob, browsing(team, await team.person("ada")) as ada:
        his, hers = [json.loads((await one.post("/playground/keys", deployment="demo")).text) for one in (bob, ada)]
        assert (await bob.post(path, **fields)).status == 303
        await team.has_looked()
        assert [await status_of(team, "demo", one["key"]) for one in (his, hers)] == [401, 200]


async def test_who_signs_out_leaves_no_key_of_the_playground(tmp_path: Path) -> None:
    async with two_deployments(tmp_path) as team:
        await ends_with(team, await team.person("bob", "member", ["acme"]), "/sign-out")


async def test_another_password_ends_the_keys_of_the_playground_too(tmp_path: Path) -> None:
    async with two_deployments(tmp_path) as team:
        session, chosen = await team.person("bob", "member", ["acme"]), "a few good words"
        await ends_with(team, session, "/me/password", password=chosen, again=chosen)


async def test_who_loses_an_account_or_a_role_loses_the_key_too(tmp_path: Path) -> None:
    async with two_deployments(tmp_path) as team:
        kim, _ = await team.person("kim", "admin", ["acme"]), await team.person("ada")  # who stays an admin
        person = next(one for one in (await team.do("people.list")).items if one.name == "kim")
        async with browsing(team, kim) as browser:
            for name, change in (("other", {"role": "member"}), ("demo", {"accounts": ["beta"]})):
                made = json.loads((await browser.post("/playground/keys", deployment=name)).text)
                assert await status_of(team, name, made["key"]) == 200
                await team.do("people.change", person.id, asked=PersonChange.model_validate(change))
                await team.has_looked()
                assert await status_of(team, name, made["key"]) == 401


async def test_who_may_not_see_a_deployment_gets_no_key_for_it(tmp_path: Path) -> None:
    async with two_deployments(tmp_path) as team, browsing(team, await team.person("ada")) as ada:
        session = await team.person("bob", "member", ["acme"])
        async with browsing(team, session) as bob:
            page = (await bob.get("/playground")).text
            assert 'value="demo"' in page
            assert "foreign" not in page
            foreign, missing = [await bob.post("/playground/keys", deployment=name) for name in ("foreign", "nowhere")]
            assert (foreign.status, foreign.text) == (missing.status, missing.text) == (404, missing.text)
            hers = json.loads((await ada.post("/playground/keys", deployment="foreign")).text)
            assert (await bob.post(f"/playground/keys/{hers['id']}/end")).status == 404
            assert await status_of(team, "foreign", hers["key"]) == 200
            for site in ("cross-site", "same-site"):
                assert (await bob.post("/playground/keys", site=site, deployment="demo")).status == 403


async def test_keys_that_are_over_are_forgotten_with_the_next(tmp_path: Path) -> None:
    async with two_deployments(tmp_path) as team, browsing(team, await team.person("ada")) as ada:
        first = json.loads((await ada.post("/playground/keys", deployment="demo")).text)
        async with team.database.begin() as connection:
            await connection.exec_driver_sql("UPDATE keys SET expires_at = '2020-01-01 00:00:00.000000'")
        second = json.loads((await ada.post("/playground/keys", deployment="demo")).text)
        assert first["id"] != second["id"]
        assert rows(tmp_path / "gateway.db", "SELECT id FROM keys") == [(second["id"],)]


async def test_a_page_on_another_port_says_what_to_allow(tmp_path: Path) -> None:
    async with two_deployments(tmp_path) as team, browsing(team, await team.person("ada")) as ada:
        team.app[PAGE].clients_port = 9
        assert f'cors_origins: ["{team.url}"]' in (await ada.get("/playground")).text
    async with team_serving(tmp_path, cors_origins=["http://127.0.0.1:*"]) as team:
        team.app[PAGE].clients_port = 9
        async with browsing(team, await team.person("eve")) as eve:
            async with eve.raw("/playground") as answer:
                html = await answer.text()
                assert 'data-relay="http://127.0.0.1:9"' in html
                assert 'hx-boost="false"' in html.partition("<body")[2][:20]
                assert "connect-src 'self' http://127.0.0.1:9;" in answer.headers["Content-Security-Policy"]
            # Its policy is no other document's, so it does not come in place of another page.
            async with eve.raw("/playground?deployment=demo", **{"HX-Request": "true"}) as answer:
                assert answer.headers["HX-Redirect"] == "/playground?deployment=demo"
