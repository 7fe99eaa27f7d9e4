"""A request sent again under one `Idempotency-Key`."""

import asyncio
from pathlib import Path

import pytest

from tests.harness.pages.team_pages import Team
from tests.unit.gateway.team.admin_client import AdminClient, a_token

NEW = {"account": "acme", "name": "laptop"}


async def keys_of(admin: AdminClient) -> list[str]:
    return [one["name"] for one in (await admin.ask("GET", "/keys")).json["items"]]


async def test_the_same_request_again_is_done_once_and_answered_alike(admin: AdminClient) -> None:
    first = await admin.ask("POST", "/keys", NEW, Idempotency_Key="one")
    again = await admin.ask("POST", "/keys", NEW, Idempotency_Key="one")
    assert (first.status, again.status) == (201, 201)
    assert again.body == first.body
    assert again.headers["ETag"] == first.headers["ETag"]
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert await keys_of(admin) == ["laptop"]


async def test_the_answer_is_what_it_is_without_such_a_key(admin: AdminClient, team: Team) -> None:
    await admin.ask("POST", "/deployments", {"id": "demo", "account": "acme", "upstream": "http://127.0.0.1:9"})
    await team.has_looked()
    plain = await admin.ask("POST", "/deployments/demo/resume")
    assert plain.json["readiness"] == "deploying"
    for _ in range(2):
        assert (await admin.ask("POST", "/deployments/demo/resume", Idempotency_Key="one")).body == plain.body


async def test_another_request_under_the_same_key_is_a_conflict(admin: AdminClient) -> None:
    await admin.ask("POST", "/keys", NEW, Idempotency_Key="one")
    for path, body in (("/keys", {**NEW, "name": "other"}), ("/accounts", {"id": "new"})):
        assert (await admin.ask("POST", path, body, Idempotency_Key="one")).status == 409
    assert await keys_of(admin) == ["laptop"]


@pytest.mark.slow
async def test_of_twenty_at_once_one_is_made(admin: AdminClient) -> None:
    asked = [admin.ask("POST", "/keys", NEW, Idempotency_Key="one") for _ in range(20)]
    replies = await asyncio.gather(*asked)
    assert {reply.status for reply in replies} == {201}
    assert len({reply.body for reply in replies}) == 1
    assert await keys_of(admin) == ["laptop"]


async def test_another_callers_key_is_its_own(admin: AdminClient, team: Team) -> None:
    other = admin.by_token(await a_token(team))
    first = await admin.ask("POST", "/keys", NEW, Idempotency_Key="one")
    second = await other.ask("POST", "/keys", {**NEW, "name": "other"}, Idempotency_Key="one")
    assert (first.status, second.status) == (201, 201)
    assert first.json["key"] != second.json["key"]


async def test_a_request_that_failed_may_be_mended_under_its_key(admin: AdminClient) -> None:
    assert (await admin.ask("POST", "/keys", {"account": "nobody", "name": "x"}, Idempotency_Key="one")).status == 422
    assert (await admin.ask("POST", "/keys", NEW, Idempotency_Key="one")).status == 201


async def test_an_answer_is_closed_to_who_has_lost_the_scope(admin: AdminClient, team: Team) -> None:
    narrow = admin.by_token(await a_token(team, "keys:read"))
    assert (await narrow.ask("POST", "/keys", NEW, Idempotency_Key="one")).status == 403


async def test_no_secret_of_an_answer_is_in_the_database(admin: AdminClient, tmp_path: Path) -> None:
    made = [
        (await admin.ask("POST", "/keys", NEW, Idempotency_Key="one")).json["key"],
        (await admin.ask("POST", "/tokens", {"name": "ci", "scopes": ["*"]}, Idempotency_Key="two")).json["token"],
        (await admin.ask("POST", "/invitations", {"name": "ada"}, Idempotency_Key="three")).json["url"],
        admin.headers["Authorization"].partition(" ")[2],
    ]
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert not [text for text in made if text.rpartition("/")[2].encode()[8:] in stored]


@pytest.mark.slow
@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\N{SNOWMAN}"])
async def test_a_key_that_cannot_be_is_refused(admin: AdminClient, key: str) -> None:
    assert (await admin.ask("POST", "/keys", NEW, Idempotency_Key=key)).status == 422
    assert await keys_of(admin) == []


async def test_what_changes_nothing_is_not_noted(admin: AdminClient) -> None:
    for kind, new in (("keys", NEW), ("tokens", {"name": "ci", "scopes": ["*"]})):
        made = (await admin.ask("POST", f"/{kind}", new)).json
        replies = [await admin.ask("POST", f"/{kind}/{made['id']}/revoke") for _ in range(2)]
        assert replies[0].body == replies[1].body
        noted = (await admin.ask("GET", f"/audit?target={made['id']}&action={kind}.revoke")).json
        assert len(noted["items"]) == 1
