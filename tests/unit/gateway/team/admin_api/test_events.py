"""The live event stream: every change and every change of readiness, for whoever may see it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import ClientResponse
from sqlalchemy import select, update

from gateway.registry.database.team_tables import sessions
from gateway.server.activity.watchers import WATCHERS
from gateway.team.models.deployments import NewDeployment
from gateway.team.models.keys import NewKey
from mockserver import MockLlamaServer
from tests.harness.pages.team_pages import Team
from tests.harness.patience import PATIENCE
from tests.unit.gateway.team.admin_client import PREFIX, AdminClient, a_token

Event = dict[str, Any]


@asynccontextmanager
async def watching(who: AdminClient, **headers: str) -> AsyncIterator[ClientResponse]:
    said = who.headers | {name.replace("_", "-"): text for name, text in headers.items()}
    async with who.session.get(f"{who.url}{PREFIX}/events", headers=said) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert await answer.content.readline() == b"retry: 1000\n"
        yield answer


async def next_event(answer: ClientResponse, *kinds: str) -> Event:
    """The data of the next event of these kinds, with its `id` as `sent_id`, and its `kind`."""
    async with asyncio.timeout(PATIENCE):
        while True:
            fields: dict[str, str] = {}
            while (line := (await answer.content.readline()).decode()) not in {"\n", ""}:
                name, _, value = line.rstrip("\n").partition(": ")
                fields[name] = value
            if fields.get("event") in kinds:
                return {**json.loads(fields["data"]), "sent_id": fields.get("id"), "kind": fields["event"]}


async def test_a_change_is_told_with_what_was_before_and_after(team: Team, admin: AdminClient) -> None:
    async with watching(admin) as answer:
        key = await team.do("keys.create", asked=NewKey(account="acme", name="laptop"))
        event = await next_event(answer, "change")
    assert (event["action"], event["target"], event["account"]) == ("keys.create", key.id, "acme")
    assert event["after"]["name"] == "laptop"
    assert key.key not in json.dumps(event)


async def test_who_only_follows_the_events_does_not_use_the_session(team: Team, admin: AdminClient) -> None:
    ada, before = admin.by_session(await team.person("ada")), datetime.now(UTC) - timedelta(hours=1)
    async with watching(ada) as answer:
        async with team.database.begin() as connection:
            await connection.execute(update(sessions).values(seen_at=before))
        await team.do("keys.create", asked=NewKey(account="acme", name="laptop"))
        await next_event(answer, "change")
    async with team.database.connect() as connection:
        assert (await connection.execute(select(sessions.c.seen_at))).scalars().all() == [before]


async def test_it_is_told_whether_the_answers_of_a_key_were_broken_off(admin: AdminClient) -> None:
    key = (await admin.ask("POST", "/keys", {"account": "acme", "name": "laptop"})).json["id"]
    for now in (False, True):
        await admin.ask("POST", f"/keys/{key}/revoke", {"now": now})
    late, first = (await admin.ask("GET", f"/audit?target={key}&action=keys.revoke")).json["items"]
    assert (late["before"]["cut"], late["after"]["cut"]) == (False, True)
    assert "cut" not in first["after"]


async def test_a_point_in_time_is_written_as_in_all_answers(admin: AdminClient, team: Team) -> None:
    key = (await admin.ask("POST", "/keys", {"account": "acme", "name": "laptop"})).json["id"]
    rotated = (await admin.ask("POST", f"/keys/{key}/rotate", {})).json
    await team.person("bob")
    bob = (await admin.ask("GET", "/people")).json["items"][0]["id"]
    link = (await admin.ask("POST", f"/people/{bob}/password-link")).json
    noted = (await admin.ask("GET", "/audit?limit=2")).json["items"]
    assert [row["after"]["expires_at"] for row in noted] == [link["expires_at"], rotated["old_expires_at"]]


async def test_who_may_not_read_the_audit_log_is_told_less(team: Team, admin: AdminClient) -> None:
    narrow = admin.by_token(await a_token(team, "events:read"))
    async with watching(narrow) as answer:
        await admin.ask("POST", "/keys", {"account": "acme", "name": "laptop"})
        event = await next_event(answer, "change")
    assert event["action"] == "keys.create"
    assert [event[name] for name in ("before", "after", "address")] == [None, None, None]


async def test_a_member_is_told_of_their_accounts_alone(team: Team, admin: AdminClient) -> None:
    bob = admin.by_session(await team.person("bob", "member", ["acme"]))
    async with watching(bob) as answer:
        for account in ("beta", "acme"):
            wanted = NewDeployment(id=f"in-{account}", account=account, upstream="http://127.0.0.1:9")
            await team.do("deployments.create", asked=wanted)
        told: dict[str, set[str]] = {}
        while len(told) < 2:  # what it is now may be known before who made it
            event = await next_event(answer, "change", "readiness")
            told.setdefault(event["kind"], set()).add(event.get("target") or event["deployment"])
        assert told == {"change": {"in-acme"}, "readiness": {"in-acme"}}


async def test_what_was_missed_is_told_to_who_comes_back(team: Team, admin: AdminClient) -> None:
    async with watching(admin) as answer:
        await team.do("keys.create", asked=NewKey(account="acme", name="first"))
        seen = (await next_event(answer, "change"))["sent_id"]
    missed = [f"missed {number}" for number in range(3)]
    for name in missed:
        await team.do("keys.create", asked=NewKey(account="acme", name=name))
    async with watching(admin, Last_Event_ID=seen) as answer:
        assert [(await next_event(answer, "change"))["after"]["name"] for _ in missed] == missed


@pytest.mark.slow
async def test_readiness_is_told_as_it_changes(team: Team, admin: AdminClient) -> None:
    async with MockLlamaServer() as mock, watching(admin) as answer:
        await team.do("deployments.create", asked=NewDeployment(id="one", account="acme", upstream=mock.url))
        while (event := await next_event(answer, "readiness"))["readiness"] != "ready":
            pass
        assert event["deployment"] == "one"
        await team.do("deployments.pause", "one")
        assert (await next_event(answer, "readiness"))["readiness"] == "paused"
        await team.do("deployments.remove", "one")
        assert (await next_event(answer, "readiness"))["readiness"] is None


@pytest.mark.slow
@pytest.mark.parametrize("ended", ["token", "session"])
async def test_a_stream_ends_with_what_opened_it(team: Team, admin: AdminClient, ended: str) -> None:
    made = (await admin.ask("POST", "/tokens", {"name": "ci", "scopes": ["events:read"]})).json
    session = await team.person("ada")
    who = admin.by_token(made["token"]) if ended == "token" else admin.by_session(session)
    async with watching(who) as answer:
        if ended == "token":
            await team.do("tokens.revoke", made["id"])
        else:
            await team.do("people.sign_out", (await team.do("people.list")).items[0].id)
        async with asyncio.timeout(PATIENCE):
            await answer.content.read()


@pytest.mark.slow
@pytest.mark.parametrize("number", ["", "x", "-1", "1.5", "9" * 19])
async def test_a_last_event_that_cannot_be_is_refused(admin: AdminClient, number: str) -> None:
    reply = await admin.ask("GET", "/events", Last_Event_ID=number)
    assert (reply.status, reply.json["errors"][0]["field"]) == (422, "Last-Event-ID")


async def test_the_stream_wants_its_scope(team: Team, admin: AdminClient) -> None:
    reply = await admin.by_token(await a_token(team, "keys:read")).ask("GET", "/events")
    assert reply.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="events:read"'
    assert (reply.status, (await admin.by().ask("GET", "/events")).status) == (403, 401)
    refused = await admin.ask("POST", "/events")
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD")


async def test_nobody_has_very_many_streams(team: Team, admin: AdminClient) -> None:
    other = admin.by_token(await a_token(team, "events:read"))
    async with AsyncExitStack() as streams:
        for _ in range(20):
            await streams.enter_async_context(watching(admin))
        assert (await admin.ask("GET", "/events")).status == 409
        async with watching(other):
            pass
    async with asyncio.timeout(PATIENCE):
        while team.app[WATCHERS]._watching:  # until it is noticed that they are closed
            await asyncio.sleep(0.01)
    async with watching(admin):
        pass


async def test_the_description_has_the_stream(admin: AdminClient) -> None:
    described = (await admin.ask("GET", "/openapi.json")).json["paths"]["/events"]["get"]
    assert described["x-required-scope"] == "events:read"
    assert "text/event-stream" in described["responses"]["200"]["content"]
