"""The live status page: what is sent to those who watch it, and that they never hold up a shutdown."""

import re
from dataclasses import asdict, replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.core.deployment import Deployment, Status
from gateway.core.notifier import Notifier
from gateway.proxy.upstream.health.readiness import Health
from gateway.registry.base import SourceProblem
from gateway.server.handlers import dashboard_view
from gateway.server.handlers.dashboard_drawing import Facts
from gateway.server.handlers.dashboard_feed import Feed
from mockserver import MockLlamaServer
from tests.harness.pages.status_pages import KEY, NOWHERE, serving
from tests.harness.patience import AT_ONCE
from tests.unit.gateway.status_page.page_reading import Parts, read_page

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


async def test_what_changes_is_sent_and_what_does_not_is_not(client: ClientSession) -> None:
    deployment = Deployment("demo", "acme", NOWHERE, status=Status.PAUSED)
    async with serving([deployment]) as gateway, client.get(f"{gateway.url}/events") as events:
        parts = Parts(events)
        assert events.content_type == "text/event-stream"
        first = [re.findall(r'<section id="(\w+)"', await parts.next()) for _ in range(4)]
        assert first == [["summary"], ["problem"], ["deployments"], ["refusals"]]
        gateway.registry.say(deployment, problem=SourceProblem(("one line",)))
        assert "one line" in await parts.next()


async def test_many_changes_are_one_update(client: ClientSession) -> None:
    async with serving() as gateway, client.get(f"{gateway.url}/events") as events:
        parts = Parts(events)
        await parts.until('id="refusals"')
        for number in range(50):
            gateway.registry.say(Deployment(f"d{number}", "acme", NOWHERE, status=Status.PAUSED))
        updates = [await parts.next(), await parts.next()]
        assert ["d49" in update for update in updates] == [False, True]


async def test_only_the_card_that_has_changed_is_sent(client: ClientSession) -> None:
    some = [Deployment(name, "acme", NOWHERE, status=Status.PAUSED) for name in ("a", "b", "c")]
    async with serving(some[:2]) as gateway, client.get(f"{gateway.url}/events") as events:
        parts = Parts(events)
        await parts.until('id="refusals"')
        gateway.registry.say(some[0], replace(some[1], status=Status.DEPLOYING))
        changed = await parts.until('<li class="card tone-deploying" id="d-b"')
        assert "d-a" not in changed
        gateway.registry.say(*some)
        assert "d-b" not in await parts.until('<li class="card tone-paused" id="d-c"')
        gateway.registry.say(*some[1:])
        assert await parts.until("d-a") == "['d-a']"
        gateway.registry.say()
        assert await parts.until("Nothing is deployed yet")
        assert "gguf-gateway deployments add" in await parts.until('id="deployments"')


async def test_what_many_look_at_is_drawn_once(client: ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    some = [Deployment(f"d{number}", "acme", NOWHERE, status=Status.PAUSED) for number in range(20)]
    drawn: list[str] = []

    def card(deployment: Deployment, *given: Any, **named: Any) -> dashboard_view.Card:
        drawn.append(deployment.id)
        return dashboard_view.Card(**asdict(made(deployment, *given, **named)))

    made = dashboard_view.card
    monkeypatch.setattr(dashboard_view, "card", card)
    async with serving(some) as gateway:
        viewers = [Parts(await client.get(f"{gateway.url}/events")) for _ in range(5)]
        for viewer in viewers:
            await viewer.until('id="refusals"')
        assert await read_page(client, gateway)
        assert sorted(drawn) == sorted(one.id for one in some)
        gateway.registry.say(replace(some[0], status=Status.READY), *some[1:])
        for viewer in viewers:
            await viewer.until('id="d-d0"')
        assert drawn[20:] == ["d0"]


async def test_a_viewer_who_missed_a_lot_is_sent_all_of_it() -> None:
    notifier, registry = Notifier(), [Deployment("d", "acme", NOWHERE, status=Status.PAUSED)]
    feed = Feed(lambda: facts(registry), notifier)
    versions = []
    for number in range(40):
        registry[0] = replace(registry[0], account=f"account-{number}")
        versions.append((await feed.draw()).version)
    assert versions == list(range(1, 41))
    newest, missed = await feed.news(39)
    assert newest == 40
    assert b"account-39" in b"".join(missed)
    few, all_of_it = [b"".join((await feed.news(seen))[1]) for seen in (20, 1)]
    assert few.count(b"event: part") == 20
    assert all_of_it.count(b"event: part") == 4
    assert b"account-39" in all_of_it


def facts(deployments: list[Deployment]) -> Facts:
    return Facts(
        {one.id: one for one in deployments},
        lambda one: (one.status, Health("", NOON)),
        lambda cards: dashboard_view.summary(cards, under_way=0, refused=0, started=NOON),
        None,
        (),
        "http://gateway",
        show_upstream=True,
    )


@pytest.mark.slow
async def test_requests_under_way_are_counted(client: ClientSession) -> None:
    async with (
        MockLlamaServer(tokens_per_second=20) as mock,
        serving([Deployment("demo", "acme", mock.url)]) as gateway,
        client.get(f"{gateway.url}/events") as events,
    ):
        parts = Parts(events)
        await parts.until('"under-way">0<')
        body = {"stream": True, "max_tokens": 200, "messages": [{"role": "user", "content": "Hello"}]}
        url = f"{gateway.url}/api/gguf/demo/v1/chat/completions"
        async with client.post(url, json=body, headers={"x-api-key": KEY}):
            await parts.until('"under-way">1<')
        await parts.until('"under-way">0<')


async def test_watchers_do_not_hold_up_a_shutdown(client: ClientSession) -> None:
    async with serving() as gateway:
        watching = [await client.get(f"{gateway.url}/events") for _ in range(3)]
        for events in watching:
            await Parts(events).next()
        begun = monotonic()
        await gateway.stop()
        assert monotonic() - begun < AT_ONCE
        for events in watching:
            assert b"data: " in await events.read()  # a proper end, not a cut
