"""Limits as the admin API sets and lists them: on whom, with what is left, and gone with whom they were on."""

from datetime import UTC, datetime

import pytest
from aiohttp import ClientSession

from gateway.core.rate_limits import Measure, RateLimit, SubjectKind
from gateway.team.models.accounts import NewAccount
from gateway.team.models.keys import NewKey
from gateway.team.operations.traffic.limits import view_of
from gateway.usage.limits.arithmetic.counting import LimitStanding
from mockserver import MockLlamaServer
from tests.harness.pages.team_pages import Team
from tests.unit.gateway.team.admin_client import AdminClient, Reply

RPM = "requests_per_minute"


async def limit(client: AdminClient, kind: str, subject: str, amount: int = 3, **more: object) -> Reply:
    asked = {"kind": kind, "subject": subject, "measure": RPM, "amount": amount, **more}
    return await client.ask("POST", "/limits", asked)


async def listed(client: AdminClient, query: str = "") -> list[dict[str, object]]:
    reply = await client.ask("GET", f"/limits{query}")
    assert reply.status == 200, reply.body
    return list(reply.json["items"])


async def test_a_limit_is_set_once_and_then_gets_the_new_amount(team: Team, admin: AdminClient) -> None:
    first = await limit(admin, "account", "acme", 3)
    assert first.status == 200, first.body
    again = await limit(admin, "account", "acme", 5, shadow=True)
    assert (again.json["id"], again.json["version"]) == (first.json["id"], 2)
    [row] = await listed(admin)
    told = [row[name] for name in ("kind", "subject", "measure", "amount", "shadow", "used", "left", "deployment")]
    assert told == ["account", "acme", RPM, 5, True, 0, 5, None]


async def test_a_limit_counts_in_the_gateway_it_was_set_in(team: Team, admin: AdminClient) -> None:
    await admin.ask("POST", "/deployments", {"id": "demo", "account": "acme", "upstream": "http://127.0.0.1:9"})
    key = await team.do("keys.create", asked=NewKey(account="acme", name="laptop"))
    await limit(admin, "key", key.id, 1, deployment="demo")
    [row] = await listed(admin, f"?kind=key&subject={key.id}&deployment=demo")
    assert (row["subject_name"], row["deployment"], row["left"]) == ("laptop", "demo", 1)
    assert await listed(admin, "?kind=person") == []


async def test_who_is_not_there_cannot_be_limited(team: Team, admin: AdminClient) -> None:
    for kind in ("key", "person", "account"):
        reply = await limit(admin, kind, "nobody")
        assert (reply.status, reply.json["error"]["message"]) == (422, f"There is no {kind} of the id 'nobody'.")
    reply = await limit(admin, "account", "acme", deployment="elsewhere")
    assert (reply.status, reply.json["error"]["message"]) == (422, "Account acme has no deployment 'elsewhere'.")
    for amount in (0, -1, 1.5, True, 10**16):
        assert (await limit(admin, "account", "acme", amount)).status == 422  # type: ignore[arg-type]


async def test_a_change_names_the_version_that_it_saw(team: Team, admin: AdminClient) -> None:
    made = (await limit(admin, "account", "acme", 3)).json
    path = f"/limits/{made['id']}"
    changed = await admin.ask("PATCH", path, {"amount": 9}, If_Match='"1"')
    assert (changed.status, changed.json["amount"], changed.json["shadow"]) == (200, 9, False)
    assert (await admin.ask("PATCH", path, {"amount": 10}, If_Match='"1"')).status == 412
    assert (await admin.ask("PATCH", path, {"amount": None})).status == 422
    assert (await admin.ask("DELETE", path)).status == 200
    assert (await admin.ask("DELETE", path)).status == 404
    assert await listed(admin) == []


async def test_a_limit_is_gone_with_what_it_was_on(team: Team, admin: AdminClient) -> None:
    await team.do("accounts.create", asked=NewAccount(id="gone"))
    await admin.ask("POST", "/deployments", {"id": "lost", "account": "acme", "upstream": "http://127.0.0.1:9"})
    key = await team.do("keys.create", asked=NewKey(account="acme", name="laptop"))
    await team.person("bob", "member", ["acme"])
    bob = next(one.id for one in (await team.do("people.list")).items if one.name == "bob")
    for kind, subject in (("key", key.id), ("account", "gone"), ("person", bob)):
        assert (await limit(admin, kind, subject)).status == 200
    assert (await limit(admin, "account", "acme", deployment="lost")).status == 200
    assert len(await listed(admin)) == 4
    await admin.ask("POST", f"/keys/{key.id}/revoke")
    await admin.ask("DELETE", "/deployments/lost")
    await admin.ask("DELETE", "/accounts/gone")
    await admin.ask("DELETE", f"/people/{bob}")
    assert await listed(admin) == []


async def test_a_successor_is_limited_as_its_key_was(team: Team, admin: AdminClient) -> None:
    key = await team.do("keys.create", asked=NewKey(account="acme", name="laptop"))
    await limit(admin, "key", key.id, 7)
    successor = (await admin.ask("POST", f"/keys/{key.id}/rotate")).json["id"]
    assert {(row["subject"], row["amount"]) for row in await listed(admin)} == {(key.id, 7), (successor, 7)}


async def test_rotating_a_key_gives_nothing_anew(team: Team, admin: AdminClient) -> None:
    key = await team.do("keys.create", asked=NewKey(account="acme", name="laptop"))
    async with MockLlamaServer() as mock:
        demo = {"id": "demo", "account": "acme", "upstream": mock.url, "status": "ready"}
        await admin.ask("POST", "/deployments", demo)
        await limit(admin, "key", key.id, 2)
        await team.has_looked()
        assert await asked_with(team, key.key) == 200
        successor = (await admin.ask("POST", f"/keys/{key.id}/rotate")).json
        newest = (await admin.ask("POST", f"/keys/{successor['id']}/rotate")).json
        await team.has_looked()
        texts = [key.key, successor["key"], newest["key"]]
        assert await asked_with(team, texts[2]) == 200
        assert [await asked_with(team, text) for text in texts] == [429, 429, 429]
        assert {row["used"] for row in await listed(admin)} == {2}


async def asked_with(team: Team, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    async with ClientSession(headers=headers) as client, client.get(f"{team.url}/api/gguf/demo/v1/models") as answer:
        return answer.status


async def test_a_member_sees_what_limits_themselves_only(team: Team, admin: AdminClient) -> None:
    bob = admin.by_session(await team.person("bob", "member", ["acme"]))
    people = (await team.do("people.list")).items
    mine = (await bob.ask("POST", "/keys", {"account": "acme", "name": "laptop"})).json["id"]
    others = (await admin.ask("POST", "/keys", {"account": "acme", "name": "other"})).json["id"]
    subjects = [("key", mine), ("key", others), ("account", "acme"), ("account", "beta")]
    for kind, subject in [*subjects, *(("person", one.id) for one in people)]:
        assert (await limit(admin, kind, subject)).status == 200
    own = next(one.id for one in people if one.name == "bob")
    assert {(row["kind"], row["subject"]) for row in await listed(bob)} == {
        ("key", mine),
        ("account", "acme"),
        ("person", own),
    }
    assert (await limit(bob, "key", mine, 1000)).status == 403


async def test_the_audit_log_has_what_was_set_and_not_how_it_stood(team: Team, admin: AdminClient) -> None:
    made = (await limit(admin, "account", "acme", 3)).json
    await limit(admin, "account", "acme", 3)
    await limit(admin, "account", "acme", 4)
    rows = (await admin.ask("GET", f"/audit?target={made['id']}")).json["items"]
    assert [(row["action"], row["account"]) for row in rows] == [("limits.set", "acme")] * 2
    assert rows[0]["before"] == {"amount": 3, "version": 1}
    assert "used" not in rows[1]["after"]


@pytest.mark.parametrize("asked", [{"kind": "door"}, {"measure": "smiles"}, {"more": 1}])
async def test_what_is_no_limit_is_refused(team: Team, admin: AdminClient, asked: dict[str, object]) -> None:
    whole = {"kind": "account", "subject": "acme", "measure": RPM, "amount": 1, **asked}
    assert (await admin.ask("POST", "/limits", whole)).status == 422


async def test_a_day_is_said_to_end_where_the_next_begins(team: Team, admin: AdminClient) -> None:
    asked = {"kind": "account", "subject": "acme", "measure": "tokens_per_day", "amount": 5}
    ends = datetime.fromisoformat((await admin.ask("POST", "/limits", asked)).json["resets_at"])
    assert (ends.hour, ends.minute, ends.second) == (0, 0, 0)


def test_a_days_end_is_reckoned_from_the_moment_of_the_look() -> None:
    """Not from when the operation began, which may have waited; and in whole seconds, whatever floats sum to."""
    day = RateLimit("lim_1", SubjectKind.ACCOUNT, "acme", Measure.TOKENS_PER_DAY, 5)
    midnight = datetime(2026, 11, 30, tzinfo=UTC)
    for before in (0.1, 0.7, 3599.3, 86_399.9):
        seen_at = midnight.timestamp() - before
        assert view_of(day, None, LimitStanding(day, 0, 0, 0.0, before, seen_at)).resets_at == midnight
