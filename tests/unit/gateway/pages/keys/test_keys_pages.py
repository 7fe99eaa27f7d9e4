"""Keys: changed in a form, searched among many, and hidden from whoever did not make them."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.core.endpoints import EndpointGroup
from gateway.team.models.deployments import NewDeployment
from gateway.team.models.keys import KeyChange, KeyRevocation, NewKey
from gateway.team.models.playground import NewPlaygroundKey
from tests.harness.pages.plain_browser import browsing, version_in
from tests.harness.pages.team_pages import Team, team_serving


async def made(team: Team, name: str, **values: Any) -> str:
    """The id of a new key of acme."""
    return str((await team.do("keys.create", asked=NewKey(account="acme", name=name, **values))).id)


def listed(html: str) -> list[str]:
    return re.findall(r'<a href="/keys/key_\w+"><b><bdi>([^<]+)', html)


async def test_every_limit_of_a_key_is_changed_and_taken_away(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, browsing(team, await team.person("ada")) as ada:
        for name in ("demo", "next"):
            await team.do("deployments.create", asked=NewDeployment(id=name, account="acme", upstream="http://x:1"))
        key = await made(team, "laptop")
        seen = version_in((await ada.get(f"/keys/{key}")).text)
        limits = {"deployments": "demo", "endpoints": "openai", "networks": "10.0.0.0/8, ::1", "ends": "2099-12-31"}
        saved = await ada.post(f"/keys/{key}", version=seen, name="desktop", **limits)
        assert "Saved." in (await ada.get(saved.location)).text
        now = await team.do("keys.get", key)
        assert (now.name, now.deployments, now.endpoints) == ("desktop", ("demo",), (EndpointGroup.OPENAI,))
        assert now.networks == ("10.0.0.0/8", "::1/128")
        assert now.expires_at == datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC)
        await ada.post(f"/keys/{key}", name="desktop", networks="", ends="")
        now = await team.do("keys.get", key)
        assert (now.deployments, now.endpoints, now.networks, now.expires_at) == (None, None, None, None)


async def test_a_form_with_a_mistake_keeps_all_that_was_chosen(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, browsing(team, await team.person("ada")) as ada:
        chosen = {"account": "acme", "networks": "10.0.0.0/8", "lifetime": "30", "priority": "batch"}
        again = (await ada.post("/keys", name="x" * 65, **chosen)).text
        assert '<option value="30" selected>in 30 days' in again
        assert "<option selected>batch" in again
        assert 'value="10.0.0.0/8"' in again


async def test_how_a_key_waits_in_line_is_changed_and_a_weight_by_admins_alone(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team:
        async with browsing(team, await team.person("ada")) as ada:
            key = await made(team, "laptop")
            await ada.post(f"/keys/{key}", name="laptop", priority="batch", weight="2.5")
            now = await team.do("keys.get", key)
            assert (now.priority, now.weight) == ("batch", 2.5)
            await ada.post(f"/keys/{key}", name="laptop")
            assert (await team.do("keys.get", key)).priority == "batch", "a form without the field leaves it"
            assert "weight" in (await ada.post(f"/keys/{key}", name="laptop", weight="0")).text
        async with browsing(team, await team.person("max", role="member", accounts=("acme",))) as member:
            own = await member.post("/keys", account="acme", name="own", priority="batch")
            assert own.status == 201
            assert (await member.post("/keys", account="acme", name="more", weight="9")).status == 422


async def test_saving_without_a_change_keeps_the_moment_at_which_it_ends(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, browsing(team, await team.person("ada")) as ada:
        end = datetime.now(UTC) + timedelta(days=3)
        key = await made(team, "laptop", expires_at=end)
        await ada.post(f"/keys/{key}", name="desktop", ends=end.date().isoformat())
        changed = await team.do("keys.get", key)
        assert (changed.name, changed.expires_at) == ("desktop", end)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"networks": "10.0.0.0/8, 10.0.0.0/33"}, "networks, number 2"),
        ({"deployments": "nowhere"}, "no deployment 'nowhere'"),
        ({"ends": "2020-01-01"}, "lies in the past"),
        ({"ends": "soon"}, "must be a day"),
        ({"name": "taken"}, "has a valid key 'taken' already"),
    ],
)
async def test_a_wrong_change_is_told_and_keeps_what_was_typed(
    tmp_path: Path, wrong: dict[str, str], said: str
) -> None:
    async with team_serving(tmp_path, "acme") as team, browsing(team, await team.person("ada")) as ada:
        await made(team, "taken")
        key = await made(team, "laptop")
        answer = await ada.post(f"/keys/{key}", **{"name": "desktop", "networks": "10.1.0.0/16", **wrong})
        assert (answer.status, said in answer.text) in {(422, True), (409, True)}
        assert f'value="{wrong.get("name", "desktop")}"' in answer.text
        assert f'value="{wrong.get("networks", "10.1.0.0/16")}"' in answer.text


async def test_a_lost_update_is_told(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, browsing(team, await team.person("ada")) as ada:
        key = await made(team, "laptop")
        seen = version_in((await ada.get(f"/keys/{key}")).text)
        await team.do("keys.change", key, asked=KeyChange(networks=("10.0.0.0/8",)))
        late = await ada.post(f"/keys/{key}", version=seen, name="desktop")
        assert (late.status, "Somebody else has changed this" in late.text, "Now: 10.0.0.0/8" in late.text) == (
            409,
            True,
            True,
        )
        assert 'value="desktop"' in late.text
        assert (await ada.post(f"/keys/{key}", version=version_in(late.text), name="desktop")).status == 303


@pytest.mark.slow
async def test_two_hundred_keys_are_paged_searched_and_told_apart(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, browsing(team, await team.person("ada")) as ada:
        keys = [await made(team, f"key {number:03}") for number in range(200)]
        await team.do("keys.change", keys[3], asked=KeyChange(enabled=False))
        await team.do("keys.revoke", keys[4], asked=KeyRevocation())
        first = await ada.get("/keys")
        more = re.search(r'href="(/keys\?cursor=[^"]+)"', first.text)
        assert more is not None
        second = await ada.get(more[1])
        assert listed(first.text) + listed(second.text) == [f"key {number:03}" for number in range(200)]
        assert "First page" in second.text
        assert listed((await ada.get("/keys?search=y%20042")).text) == ["key 042"]
        assert listed((await ada.get("/keys?state=off")).text) == ["key 003"]
        assert listed((await ada.get("/keys?state=revoked")).text) == ["key 004"]
        assert "No key is expired and has “x”" in (await ada.get("/keys?state=expired&search=x")).text
        assert (await ada.get("/keys?state=lost")).status == 422
        back = await ada.post(f"/keys/{keys[3]}/on?state=off&search=key")
        assert back.location == "/keys?search=key&state=off"


async def test_a_member_changes_their_own_keys_only(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme", "beta") as team:
        foreign = await made(team, "of the machine")
        async with browsing(team, await team.person("bob", "member", ["acme"])) as bob:
            await bob.post("/keys", account="acme", name="mine")
            mine = re.search(r'href="/keys/(key_\w+)"', (await bob.get("/keys")).text)
            assert mine is not None
            assert (await bob.post(f"/keys/{mine[1]}", name="still mine")).status == 303
            assert listed((await bob.get("/keys")).text) == ["still mine"]
            for path in (foreign, "key_nowhere"):
                asked = [await bob.get(f"/keys/{path}"), await bob.post(f"/keys/{path}", name="taken")]
                asked += [await bob.post(f"/keys/{path}/{deed}") for deed in ("off", "on", "rotate", "revoke")]
                assert [one.status for one in asked] == [404] * 6
                assert not [one for one in asked if "of the machine" in one.text]


async def test_the_playgrounds_keys_are_in_no_list(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, browsing(team, await team.person("ada")) as ada:
        await team.do("deployments.create", asked=NewDeployment(id="demo", account="acme", upstream="http://x:1"))
        key = await team.do("playground.key", asked=NewPlaygroundKey(deployment="demo"))
        assert key.id.startswith("play_")
        assert "play_" not in (await ada.get("/keys?search=play")).text
        assert (await ada.get(f"/keys/{key.id}")).status == 404


async def test_a_rotated_key_and_its_successor_have_buttons_of_their_own(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, browsing(team, await team.person("ada")) as ada:
        await ada.post(f"/keys/{await made(team, 'laptop')}/rotate")
        labels = re.findall(r'aria-label="(Revoke laptop [^"]+)"', (await ada.get("/keys")).text)
    assert len(set(labels)) == 2
