"""Changes that name the version they are based on, and lists whose rows change while they are read."""

import asyncio
from itertools import count

import pytest
from sqlalchemy import insert

from gateway.registry.database.tables import keys
from gateway.team.actor import machine_actor
from tests.harness.pages.team_pages import Team
from tests.unit.gateway.team.admin_client import AdminClient, a_key


@pytest.fixture
async def key(admin: AdminClient) -> str:
    return await a_key(admin)


async def test_an_update_of_what_was_changed_since_is_refused(admin: AdminClient, key: str) -> None:
    seen = (await admin.ask("GET", key)).headers["ETag"]
    assert (await admin.ask("PATCH", key, {"name": "first"}, If_Match=seen)).status == 200
    before = await admin.ask("GET", key)
    late = await admin.ask("PATCH", key, {"name": "late", "enabled": False}, If_Match=seen)
    assert (late.status, late.json["error"]["type"]) == (412, "invalid_request_error")
    assert (await admin.ask("GET", key)).body == before.body
    assert before.headers["ETag"] != seen


async def test_of_two_updates_at_once_one_is_lost_and_says_so(admin: AdminClient, key: str) -> None:
    seen = (await admin.ask("GET", key)).headers["ETag"]
    asked = [admin.ask("PATCH", key, {"name": f"name {number}"}, If_Match=seen) for number in range(10)]
    assert sorted(reply.status for reply in await asyncio.gather(*asked)) == [200] + [412] * 9


@pytest.mark.parametrize("asked", ["*", " * "])
async def test_any_version_will_do(admin: AdminClient, key: str, asked: str) -> None:
    assert (await admin.ask("PATCH", key, {"name": "other"}, If_Match=asked)).status == 200


@pytest.mark.slow
@pytest.mark.parametrize("asked", ["", "1", "abc", '"0"', '"1', 'W/"1"', '"1", "2"', '"99999999999"', '"1"x'])
async def test_a_version_that_cannot_be_is_refused(admin: AdminClient, key: str, asked: str) -> None:
    reply = await admin.ask("PATCH", key, {"name": "other"}, If_Match=asked)
    assert (reply.status, reply.json["errors"][0]["field"]) == (422, "If-Match")
    assert (await admin.ask("GET", key)).json["name"] == "laptop"


async def test_a_missing_thing_is_missing_whatever_its_version(admin: AdminClient) -> None:
    assert (await admin.ask("PATCH", "/keys/key_0", {"name": "other"}, If_Match='"7"')).status == 404
    assert (await admin.ask("DELETE", "/deployments/none", If_Match='"7"')).status == 404


@pytest.mark.slow
async def test_pages_show_each_that_stays_once_while_rows_come_and_go(admin: AdminClient, team: Team) -> None:
    await many_keys(team, 10_000)
    seen: list[str] = []
    cursor: str | None = ""
    numbers = count()
    while cursor is not None:
        page = (await admin.ask("GET", f"/keys?limit=1000&account=acme{cursor and '&cursor=' + cursor}")).json
        seen += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"]
        await remove_key(team, f"key_{next(numbers):05}")  # one that was seen, and one that may be to come
        await remove_key(team, f"key_{9_999 - next(numbers):05}")
        await admin.ask("POST", "/keys", {"account": "acme", "name": f"new {next(numbers)}"})
    assert len(set(seen)) == len(seen)
    stayed = {f"key_{number:05}" for number in range(50, 9_950)}
    assert stayed <= set(seen)


async def many_keys(team: Team, number: int) -> None:
    """Keys made within one moment: what tells them apart is their id."""
    async with team.database.change(machine_actor("root")) as unit:
        rows = [
            {
                "id": f"key_{one:05}",
                "name": f"key {one}",
                "account": "acme",
                "digest": f"{one:064}",
                "created_at": unit.now,
            }
            for one in range(number)
        ]
        await unit.connection.execute(insert(keys), rows)


async def remove_key(team: Team, key_id: str) -> None:
    async with team.database.change(machine_actor("root")) as unit:
        await unit.registry.delete(keys, key_id)
