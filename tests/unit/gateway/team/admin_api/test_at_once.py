"""Changes at once, and changes while the database cannot be used."""

import asyncio
from pathlib import Path

import pytest

from gateway.registry.database import sqlite_file
from tests.harness.pages.team_pages import Team
from tests.harness.storage.databases import locked
from tests.unit.gateway.team.admin_client import AdminClient


async def two_admins(team: Team, admin: AdminClient) -> list[tuple[str, AdminClient]]:
    """Each other's ids, and them."""
    sessions = [await team.person(name) for name in ("ada", "bea")]
    ids = [one.id for one in (await team.do("people.list")).items]
    return [(other, admin.by_session(session)) for other, session in zip(reversed(ids), sessions, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("by", ["removing", "demoting", "disabling"])
async def test_of_two_admins_one_is_left(team: Team, admin: AdminClient, by: str) -> None:
    asked = []
    for other, who in await two_admins(team, admin):
        if by == "removing":
            asked.append(who.ask("DELETE", f"/people/{other}"))
        else:
            asked.append(
                who.ask("PATCH", f"/people/{other}", {"role": "member"} if by == "demoting" else {"enabled": False})
            )
    statuses = sorted(reply.status for reply in await asyncio.gather(*asked))
    assert statuses[0] == 200
    assert statuses[1] in {401, 403, 409}
    left = (await team.do("people.list")).items
    assert sum(one.role == "admin" and one.enabled for one in left) == 1


async def test_the_last_admin_stays_and_says_so(team: Team, admin: AdminClient) -> None:
    await team.person("ada")
    [ada] = (await team.do("people.list")).items
    replies = [
        await admin.ask("DELETE", f"/people/{ada.id}"),
        await admin.ask("PATCH", f"/people/{ada.id}", {"role": "member"}),
        await admin.ask("PATCH", f"/people/{ada.id}", {"enabled": False}),
    ]
    assert {reply.status for reply in replies} == {409}
    assert "last admin" in replies[0].json["error"]["message"]


@pytest.mark.slow
async def test_twenty_of_one_name_at_once_are_one(admin: AdminClient) -> None:
    for path, body in (("/keys", {"account": "acme", "name": "laptop"}), ("/accounts", {"id": "new"})):
        replies = await asyncio.gather(*(admin.ask("POST", path, body) for _ in range(20)))
        assert sorted(reply.status for reply in replies) == [201] + [409] * 19


async def test_changes_are_made_in_the_order_in_which_they_came(team: Team) -> None:
    made: list[int] = []

    async def change(number: int) -> None:
        async with team.database.begin():
            made.append(number)

    async with team.database.begin():
        waiting = [asyncio.create_task(change(number)) for number in range(20)]
        await asyncio.sleep(0)  # all of them wait for this one now
    await asyncio.gather(*waiting)
    assert made == list(range(20))


@pytest.mark.slow
async def test_a_locked_database_is_a_503_and_nothing_is_half_done(
    admin: AdminClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "WRITE_PATIENCE", 1.0)
    async with locked(tmp_path / "gateway.db"):
        for headers in ({}, {"Idempotency_Key": "one"}):
            reply = await admin.ask("POST", "/keys", {"account": "acme", "name": "laptop"}, **headers)
            assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
            assert reply.json["error"]["message"].startswith("The database cannot be used right now")
    assert (await admin.ask("GET", "/keys")).json["items"] == []
    assert (await admin.ask("GET", "/audit?action=keys.create")).json["items"] == []
    made = await admin.ask("POST", "/keys", {"account": "acme", "name": "laptop"}, Idempotency_Key="one")
    assert made.status == 201


async def test_a_database_that_is_gone_is_a_503(admin: AdminClient, tmp_path: Path) -> None:
    (tmp_path / "gateway.db").rename(tmp_path / "elsewhere.db")
    for method, path, body in (("GET", "/keys", None), ("POST", "/accounts", {"id": "new"})):
        reply = await admin.ask(method, path, body)
        assert (reply.status, set(reply.json)) == (503, {"error"})
    assert not (tmp_path / "gateway.db").exists()
    (tmp_path / "elsewhere.db").rename(tmp_path / "gateway.db")
    assert (await admin.ask("GET", "/keys")).status == 200
