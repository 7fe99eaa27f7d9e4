"""Who used how much, as the admin API tells it: of rows that are there, and of whom they are shown."""

from asyncio import to_thread  # the database may be written to by the gateway, which needs the loop
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.team.models.keys import NewKey
from tests.harness.pages.team_pages import Team, team_serving
from tests.harness.storage.usage_rows import took, used
from tests.unit.gateway.team.admin_client import AdminClient, admin_client, nobody

NOW = datetime.now(UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


async def report(client: AdminClient, query: str = "") -> Any:
    reply = await client.ask("GET", f"/usage{query}")
    assert reply.status == 200, reply.body
    return reply.json


async def test_sums_are_by_key_with_its_name_and_the_most_stands_first(
    team: Team, admin: AdminClient, place: Path
) -> None:
    key = await team.do("keys.create", asked=NewKey(account="acme", name="laptop"))
    await to_thread(used, place, NOW, key=key.id, requests=2, tokens=(100, 40, 20), seconds=(1.0, 6.0, 3.0, 8.0))
    await to_thread(
        used, place, NOW, key=key.id, requests=2, ending="client_left", counted=7, seconds=(0.0, 2.0, 1.0, 4.0)
    )
    await to_thread(used, place, NOW, key="gone", tokens=(1000, 0, 1))
    found = await report(admin)
    gone, row = found["rows"]
    assert (gone["key"], gone["key_name"], gone["requests"]) == ("gone", None, 1)
    assert (row["key"], row["key_name"], row["account"], row["person"]) == (key.id, "laptop", "acme", None)
    assert [row[f"tokens_{name}"] for name in ("in", "cached", "out", "counted")] == [110, 44, 25, 7]
    assert (row["requests"], row["endings"]) == (4, {"client_left": 2, "finished": 2})
    assert (row["queue_seconds"], row["slot_seconds"]) == (1.0, 8.0)
    assert (row["first_byte_mean_seconds"], row["duration_mean_seconds"]) == (1.0, 3.0)
    assert (row["cost"], found["currency"]) == (None, None)
    assert (found["total"]["requests"], found["total"]["tokens_in"]) == (5, 1110)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("deployment", [("demo", 3), ("other", 1)]),
        ("endpoint", [("POST /v1/chat/completions", 4)]),
        ("account", [("acme", 3), ("beta", 1)]),
        ("person", [("per_a", 3), (None, 1)]),
    ],
)
async def test_each_subject_has_rows(
    admin: AdminClient, place: Path, by: str, expected: list[tuple[str | None, int]]
) -> None:
    await to_thread(used, place, NOW, requests=2, person="per_a", tokens=(100, 0, 0))
    await to_thread(used, place, NOW - 2 * HOUR, person="per_a")
    await to_thread(used, place, NOW, account="beta", deployment="other", key="key_b")
    assert [(row[by], row["requests"]) for row in (await report(admin, f"?by={by}"))["rows"]] == expected


async def test_hours_and_days_have_rows_in_their_order_also_of_each_key(admin: AdminClient, place: Path) -> None:
    for ago in (DAY, 2 * HOUR, timedelta()):
        await to_thread(used, place, NOW - ago, key="key_a")
    await to_thread(used, place, NOW - DAY, key="key_b", tokens=(1000, 0, 0))
    hours = (await report(admin, "?by=hour"))["rows"]
    assert [row["requests"] for row in hours] == [2, 1, 1]
    assert [row["hour"] for row in hours] == sorted(row["hour"] for row in hours)
    days = (await report(admin, "?by=day,key"))["rows"]
    first = (NOW - DAY).date().isoformat()
    assert [(row["day"], row["key"]) for row in days][:2] == [(first, "key_b"), (first, "key_a")]


async def test_all_but_the_most_are_one_row_and_nothing_is_lost(admin: AdminClient, place: Path) -> None:
    for number in range(1, 6):
        await to_thread(used, place, NOW, key=f"key_{number}", person="per_a", tokens=(number, 0, 0))
        await to_thread(used, place, NOW, key="key_1", person="per_a", deployment="other", tokens=(0, 0, 1))
    found = await report(admin, "?by=hour,key&top=2")
    assert [(row["key"], row["tokens_in"], row["is_others"]) for row in found["rows"]] == [
        ("key_1", 1, False),
        ("key_5", 5, False),
        (None, 9, True),
    ]
    assert (found["rows"][2]["account"], found["rows"][2]["person"]) == (None, None)
    assert found["total"]["tokens_in"] == sum(row["tokens_in"] for row in found["rows"])
    everybody = await report(admin, "?by=person&top=2")
    assert [(row["person"], row["is_others"]) for row in everybody["rows"]] == [("per_a", False)]


async def test_filters_let_through_what_they_name(admin: AdminClient, place: Path) -> None:
    await to_thread(used, place, NOW, key="key_a", person="per_a")
    await to_thread(used, place, NOW, key="key_b", deployment="other", requests=3)
    for query, number in (
        ("?key=key_a", 1),
        ("?deployment=other", 3),
        ("?person=per_a", 1),
        ("?account=acme", 4),
        ("?account=beta", 0),
        (f"?until={(NOW - DAY).strftime('%Y-%m-%dT%H:%M:%SZ')}", 0),
    ):
        assert (await report(admin, query))["total"]["requests"] == number


@pytest.mark.parametrize("path", ["/usage", "/usage/latency"])
@pytest.mark.parametrize("since", ["9999-01-01T00:00:00Z", "2026-01-01T01:00:00%2B01:00"])
async def test_a_span_that_is_over_before_it_begins_is_refused(admin: AdminClient, path: str, since: str) -> None:
    refused = await admin.ask("GET", f"{path}?since={since}&until=2026-01-01T00:00:00Z")
    assert (refused.status, refused.json["error"]["type"]) == (422, "invalid_request_error")
    assert refused.json["errors"] == [{"field": "until", "message": "must be later than `since`"}]


async def test_beyond_what_hours_hold_days_are_read_in_the_time_zone(tmp_path: Path, place: Path) -> None:
    settings = {"time_zone": "Pacific/Auckland", "usage": {"hours_days": 2}}
    async with team_serving(tmp_path, "acme", **settings) as team, admin_client(team) as admin:
        await to_thread(used, place, NOW - 10 * DAY, zone="Pacific/Auckland")
        await to_thread(used, place, NOW, zone="Pacific/Auckland")
        since = (NOW - 11 * DAY).strftime("%Y-%m-%dT%H:%M:%SZ")
        found = await report(admin, f"?since={since}")
        assert (found["source"], found["time_zone"]) == ("days", "Pacific/Auckland")
        assert found["total"]["requests"] == 2
        recent = await report(admin, f"?since={(NOW - DAY).strftime('%Y-%m-%dT%H:%M:%SZ')}")
        assert (recent["source"], recent["total"]["requests"]) == ("hours", 1)


async def test_costs_are_by_the_prices_of_each_deployment(tmp_path: Path, place: Path) -> None:
    prices = {"tokens_out": 2.0, "currency": "USD", "deployments": {"other": {"tokens_out": 4.0}}}
    async with team_serving(tmp_path, "acme", usage={"prices": prices}) as team, admin_client(team) as admin:
        await to_thread(used, place, NOW, tokens=(0, 0, 1_000_000))
        await to_thread(used, place, NOW, deployment="other", tokens=(0, 0, 1_000_000))
        found = await report(admin, "?by=account")
        assert (found["rows"][0]["cost"], found["total"]["cost"], found["currency"]) == (6.0, 6.0, "USD")


async def test_hours_of_which_the_keys_are_unknown_are_named(admin: AdminClient, place: Path) -> None:
    await to_thread(used, place, NOW, key="", ending="", endpoint="")
    await to_thread(used, place, NOW)
    found = await report(admin)
    assert [row["endings"] for row in found["rows"]] == [{"unknown": 1}, {"finished": 1}]
    assert found["merged_hours"] == [NOW.replace(minute=0, second=0, microsecond=0).isoformat()[:19] + "Z"]
    assert [row["key"] for row in found["rows"]] == [None, "key_a"]


async def test_a_member_sees_what_their_own_keys_used_and_nothing_else(team: Team, place: Path) -> None:
    mia = await team.person("mia", "member", ["acme"])
    person = (await team.do("people.list")).items[0].id
    await to_thread(used, place, NOW, person=person, requests=2)
    await to_thread(used, place, NOW, key="key_b", requests=4)
    await to_thread(used, place, NOW, key="", requests=8)
    await to_thread(used, place, NOW, key="key_c", person=person, account="beta", requests=16)
    await to_thread(took, place, NOW, "queue", {3: 10})
    async with nobody(team) as client:
        own = await report(client.by_session(mia), "?by=deployment")
        assert [(row["deployment"], row["requests"]) for row in own["rows"]] == [("demo", 2)]
        assert (own["total"]["requests"], own["merged_hours"]) == (2, [])
        assert (await report(client.by_session(mia), "?key=key_b"))["rows"] == []
        waits = (await client.by_session(mia).ask("GET", "/usage/latency")).json["rows"]
        assert [one["number"] for one in waits] == [10]
        stranger = client.by_session(await team.person("eve", "member", ["beta"]))
        assert (await stranger.ask("GET", "/usage/latency")).json["rows"] == []
        assert (await client.ask("GET", "/usage")).status == 401


async def test_percentiles_are_by_deployment_and_by_time(admin: AdminClient, place: Path) -> None:
    await to_thread(took, place, NOW, "queue", {0: 90, 6: 10})
    await to_thread(took, place, NOW - DAY, "queue", {0: 100})
    await to_thread(took, place, NOW, "first_byte", {4: 1}, deployment="other")
    rows = (await admin.ask("GET", "/usage/latency")).json["rows"]
    assert [(one["measure"], one["deployment"], one["number"]) for one in rows] == [
        ("first_byte", "other", 1),
        ("queue", "demo", 200),
    ]
    assert rows[1]["p50"] < 0.005
    assert 0.5 < rows[1]["p99"] <= 1.0
    for by in ("hour", "day"):
        timed = (await admin.ask("GET", f"/usage/latency?by={by}&deployment=demo")).json["rows"]
        assert [one["number"] for one in timed] == [100, 100]
        assert timed[0][by] < timed[1][by]


@pytest.mark.slow
@pytest.mark.parametrize("by", ["", "nobody", "key,day", "day,hour", "key,key", "day,", "KEY"])
async def test_rows_that_cannot_be_told_apart_are_refused(admin: AdminClient, by: str) -> None:
    reply = await admin.ask("GET", f"/usage?by={by}")
    assert reply.status == 422
    assert reply.json["errors"][0]["field"] == "by"
