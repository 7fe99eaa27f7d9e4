"""The line on real sockets, before the mock: no more is sent to it than it has slots, and in a just order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import ClientSession

from gateway.core.account import Key, Priority
from gateway.core.deployment import Deployment, Limits, Status, Timeouts
from gateway.core.rate_limits import Measure, RateLimit, SubjectKind
from gateway.core.secret_text import digest_of
from gateway.proxy.queue.arbiter import UNKNOWN_SLOTS
from gateway.proxy.upstream.connection_pool import ConnectionPool
from gateway.proxy.upstream.connection_pools import POOLS
from gateway.proxy.upstream.health.readiness import READINESS
from gateway.registry.base import Snapshot
from gateway.server.admission import REGISTRY
from mockserver import MockLlamaServer
from tests.harness.pages.status_pages import Gateway, serving
from tests.harness.patience import PATIENCE

PERSON = Key("key_person", "person", "acme", digest_of("person"))
JOBS = Key("key_jobs", "jobs", "acme", digest_of("jobs"), priority=Priority.BATCH)
OTHER = Key("key_other", "other", "acme", digest_of("other"))
DEMO = Deployment("demo", "acme", "")


@asynccontextmanager
async def line_before(mock: MockLlamaServer, demo: Deployment = DEMO) -> AsyncIterator[tuple[Gateway, ConnectionPool]]:
    """A gateway with these keys, once it knows how many slots the mock has."""
    demo = replace(demo, upstream=mock.url)
    async with serving([demo]) as gateway:
        registry = gateway.app[REGISTRY]
        registry.replace(Snapshot.of([PERSON, JOBS, OTHER], [demo]))
        pool = gateway.app[POOLS].of(registry.snapshot.deployments["demo"])
        async with asyncio.timeout(PATIENCE):
            while pool.line.places == UNKNOWN_SLOTS:  # a start waits for the first probe, but not for ever
                await asyncio.sleep(0.005)
        yield gateway, pool


async def ask(gateway: Gateway, client: ClientSession, key: str, tokens: int, **more: object) -> dict[str, str]:
    """One answer. Returns its headers, and its status as `status`."""
    body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": tokens, "ignore_eos": True, **more}
    url, headers = f"{gateway.url}/api/gguf/demo/v1/chat/completions", {"Authorization": f"Bearer {key}"}
    async with client.post(url, json=body, headers=headers) as answer:
        await answer.read()
        return {"status": str(answer.status), **answer.headers}


async def until_begun(mock: MockLlamaServer, number: int = 1) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(begun(mock)) < number:
            await asyncio.sleep(0.005)


async def until_in_line(pool: ConnectionPool, number: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while pool.line.waiting < number:
            await asyncio.sleep(0.005)


def begun(mock: MockLlamaServer) -> list[str]:
    """Whose requests have come to the mock, in their order."""
    return [seen.json()["user"] for seen in mock.requests if seen.path == "/v1/chat/completions"]


@pytest.mark.slow
@pytest.mark.parametrize("slots", [1, 2])
async def test_a_person_waits_for_one_answer_beside_many_jobs(slots: int) -> None:
    async with (
        MockLlamaServer(slots=slots, tokens_per_second=400) as mock,
        line_before(mock) as (gateway, pool),
        ClientSession() as client,
    ):
        assert pool.line.places == slots
        jobs = [asyncio.ensure_future(ask(gateway, client, "jobs", 20, user="jobs")) for _ in range(20)]
        await until_in_line(pool, 20 - slots)
        for _ in range(3):
            before = len(begun(mock))
            assert pool.connections["in_use"] <= slots
            answer = await ask(gateway, client, "person", 5, user="person")
            assert answer["status"] == "200"
            after = begun(mock)[before:]
            assert after.index("person") <= slots, "a job may have had its place before, and be on its way"
        assert {one["status"] for one in await asyncio.gather(*jobs)} == {"200"}
        assert any("x-queue-wait" in one for one in map(dict, await asyncio.gather(*jobs)))


async def test_two_keys_take_turns_by_what_they_take() -> None:
    async with (
        MockLlamaServer(slots=1, tokens_per_second=2000, context=1_000_000) as mock,
        line_before(mock) as (gateway, pool),
        ClientSession() as client,
    ):
        for key in ("person", "other"):  # so that it is known what they take
            await ask(gateway, client, key, 100 if key == "person" else 20, user="first")
        before_all = asyncio.ensure_future(ask(gateway, client, "jobs", 900_000, user="first", stream=True))
        await until_begun(mock, 3)
        asked = [("person", 100)] * 6 + [("other", 20)] * 24
        answers = [asyncio.ensure_future(ask(gateway, client, key, size, user=key)) for key, size in asked]
        await until_in_line(pool, len(asked))
        before_all.cancel()
        await asyncio.gather(*answers)
        half = begun(mock)[3:18]
    assert half.count("person") * 100 == pytest.approx(half.count("other") * 20, rel=0.5)


@pytest.mark.slow
async def test_the_last_of_a_full_line_is_told_where_it_would_have_stood() -> None:
    full = replace(DEMO, limits=Limits(waiting=2))
    async with (
        MockLlamaServer(slots=1, tokens_per_second=20) as mock,
        line_before(mock, full) as (gateway, pool),
        ClientSession() as client,
    ):
        await ask(gateway, client, "jobs", 20, user="first")
        jobs = [asyncio.ensure_future(ask(gateway, client, "jobs", 20, user="jobs")) for _ in range(3)]
        await until_in_line(pool, 2)
        late = await ask(gateway, client, "jobs", 20, user="late")
        assert (late["status"], late["x-queue-position"]) == ("503", "3")
        assert 1 <= int(late["x-queue-wait"]) <= 4
        assert late["Retry-After"] == late["x-queue-wait"]
        person = await ask(gateway, client, "person", 5, user="person")
        assert person["status"] == "200"
        answers = sorted(await asyncio.gather(*jobs), key=lambda one: one["status"])
        assert [one["status"] for one in answers] == ["200", "200", "503"]
        assert answers[2]["x-queue-position"] == "3"
        assert begun(mock)[:3] == ["first", "jobs", "person"]


async def test_what_takes_no_slot_waits_for_nobody_and_who_leaves_is_out_at_once() -> None:
    patient = replace(DEMO, timeouts=Timeouts(queue=600), status=Status.AUTO)
    async with (
        MockLlamaServer(slots=1, tokens_per_second=1) as mock,
        line_before(mock, patient) as (gateway, pool),
        ClientSession() as client,
    ):
        running = asyncio.ensure_future(ask(gateway, client, "jobs", 1000, user="jobs"))
        waiting = asyncio.ensure_future(ask(gateway, client, "person", 5, user="person"))
        await until_in_line(pool, 1)
        url, headers = f"{gateway.url}/api/gguf/demo/v1/models", {"Authorization": "Bearer person"}
        async with client.get(url, headers=headers) as answer:
            assert answer.status == 200
        assert pool.line.waiting == 1
        waiting.cancel()
        async with asyncio.timeout(PATIENCE):
            while pool.line.waiting:
                await asyncio.sleep(0.005)
        running.cancel()
        await asyncio.wait([running, waiting])


async def test_a_deployment_that_is_added_again_has_its_slots_in_use() -> None:
    async with (
        MockLlamaServer(slots=1, tokens_per_second=20) as mock,
        line_before(mock) as (gateway, _),
        ClientSession() as client,
    ):
        registry = gateway.app[REGISTRY]
        running = asyncio.ensure_future(ask(gateway, client, "jobs", 2000, user="jobs"))
        await until_begun(mock)
        there = registry.snapshot
        registry.replace(replace(there, deployments={}))
        registry.replace(there)
        again = gateway.app[POOLS].of(there.deployments["demo"])
        await gateway.app[READINESS].first_look(PATIENCE)
        waiting = asyncio.ensure_future(ask(gateway, client, "person", 2, user="person"))
        await until_in_line(again, 1)
        assert again.connections["in_use"] == 1
        running.cancel()
        assert (await waiting)["status"] == "200"
        registry.replace(replace(there, deployments={}))
        assert not gateway.app[POOLS].known()


async def test_who_is_limited_is_told_of_the_line_as_well() -> None:
    one_at_a_time = RateLimit("lim_1", SubjectKind.KEY, PERSON.id, Measure.CONCURRENT_REQUESTS, 1)
    async with (
        MockLlamaServer(slots=1, tokens_per_second=20) as mock,
        line_before(mock) as (gateway, pool),
        ClientSession() as client,
    ):
        registry = gateway.app[REGISTRY]
        registry.replace(replace(registry.snapshot, limits={"lim_1": one_at_a_time}))
        running = asyncio.ensure_future(ask(gateway, client, "jobs", 2000, user="jobs"))
        await until_begun(mock)
        waiting = asyncio.ensure_future(ask(gateway, client, "person", 2, user="person"))
        await until_in_line(pool, 1)
        refused = await ask(gateway, client, "person", 2, user="person")
        assert (refused["status"], refused["x-queue-position"]) == ("429", "2")
        running.cancel()
        assert (await waiting)["status"] == "200"
        await ask(gateway, client, "person", 2, user="person")
