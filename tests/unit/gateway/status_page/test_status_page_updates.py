"""The live status page: what is sent to those who watch it, and that they never hold up a shutdown."""

import re
from time import monotonic

from aiohttp import ClientSession

from gateway.core.deployment import Deployment, Status
from gateway.registry.base import SourceProblem
from mockserver import MockLlamaServer
from tests.harness.pages.status_pages import KEY, NOWHERE, serving
from tests.harness.patience import AT_ONCE
from tests.unit.gateway.status_page.page_reading import Parts


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
