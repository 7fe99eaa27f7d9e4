"""What a key is limited to: deployments, groups of endpoints, networks; switched off; and when it was last used."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession

from gateway.core.endpoints import EndpointGroup
from gateway.registry.database.tables import keys
from gateway.server.admission import REGISTRY
from gateway.team.actor import machine_actor
from gateway.team.models.deployments import NewDeployment
from gateway.team.models.keys import CreatedKey, KeyChange, NewKey
from gateway.telemetry.access_log import ACCESS
from gateway.usage.ledger.ledger import LEDGER
from mockserver import MockLlamaServer
from tests.harness.pages.team_pages import Team, team_serving
from tests.harness.patience import PATIENCE
from tests.harness.storage.databases import locked

CHAT = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with MockLlamaServer() as mock, team_serving(tmp_path, "acme", trusted_proxies=["127.0.0.1"]) as team:
        for name in ("one", "two"):
            wanted = NewDeployment(id=name, account="acme", upstream=mock.url, endpoints=tuple(EndpointGroup))
            await team.do("deployments.create", asked=wanted)
        await team.has_looked()
        yield team


async def a_key(team: Team, **limits: Any) -> CreatedKey:
    made: CreatedKey = await team.do("keys.create", asked=NewKey(account="acme", name="laptop", **limits))
    await team.has_looked()
    return made


@asynccontextmanager
async def asked(
    team: Team, key: str, deployment: str = "one", path: str = "/v1/chat/completions", **headers: str
) -> AsyncIterator[ClientResponse]:
    body = CHAT if path != "/tokenize" else {"content": "Hello"}
    url = f"{team.url}/api/gguf/{deployment}{path}"
    async with ClientSession() as session:
        for _ in range(2):  # the second finds a connection, and what was remembered
            async with session.post(url, json=body, headers={"Authorization": f"Bearer {key}", **headers}) as answer:
                await answer.read()
        yield answer


async def status(team: Team, key: str, *where: str, **headers: str) -> int:
    async with asked(team, key, *where, **headers) as answer:
        return int(answer.status)


async def test_a_key_without_limits_opens_all_of_its_account(team: Team) -> None:
    key = (await a_key(team)).key
    assert [await status(team, key, name) for name in ("one", "two")] == [200, 200]
    assert await status(team, key, "one", "/tokenize") == 200


async def test_a_deployment_beyond_a_key_looks_like_one_that_is_not_there(team: Team) -> None:
    key = (await a_key(team, deployments=("one",))).key
    assert await status(team, key) == 200
    async with asked(team, key, "two") as beyond, asked(team, key, "nowhere") as missing:
        assert (beyond.status, await beyond.text()) == (404, await missing.text())
        assert set(beyond.headers) == set(missing.headers)


async def test_an_endpoint_beyond_a_key_looks_like_nothing_there(team: Team) -> None:
    key = (await a_key(team, endpoints=(EndpointGroup.OPENAI,))).key
    assert await status(team, key) == 200
    async with asked(team, key, "one", "/tokenize") as beyond, asked(team, key, "nowhere", "/tokenize") as missing:
        assert (beyond.status, await beyond.text()) == (404, await missing.text())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "forwarded", "expected"),
    [
        ("127.0.0.0/8", "", 200),
        ("10.0.0.0/8", "", 404),
        ("10.0.0.0/8", "10.1.2.3", 200),
        ("10.0.0.0/8", "10.1.2.3, 192.0.2.1", 404),
        ("2001:db8::/32", "2001:db8::7", 200),
    ],
)
async def test_a_key_works_from_its_networks_alone(team: Team, network: str, forwarded: str, expected: int) -> None:
    key = (await a_key(team, networks=(network,))).key
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    assert await status(team, key, **headers) == expected


async def test_the_log_says_why_a_limited_key_got_a_404(team: Team) -> None:
    key = await a_key(team, deployments=("one",))
    await status(team, key.key, "two")
    said = team.app[ACCESS].refused[-1].cause
    assert said == f"the key {key.id} is limited to other deployments or endpoints"


async def test_a_key_is_off_and_on_again(team: Team) -> None:
    key = await a_key(team)
    assert await status(team, key.key) == 200
    for enabled, expected in ((False, 401), (True, 200)):
        await team.do("keys.change", key.id, asked=KeyChange(enabled=enabled))
        await team.has_looked()
        assert await status(team, key.key) == expected


async def test_when_a_key_was_used_is_kept_to_the_minute(team: Team, tmp_path: Path) -> None:
    key, unused = await a_key(team), await team.do("keys.create", asked=NewKey(account="acme", name="other"))
    await status(team, key.key)
    await team.app[LEDGER].write()
    shown = await team.do("keys.get", key.id)
    assert shown.last_used_at is not None
    assert (shown.last_used_at.second, shown.last_used_at.microsecond) == (0, 0)
    assert (await team.do("keys.get", unused.id)).last_used_at is None


@pytest.mark.slow
async def test_a_locked_database_loses_no_use_of_a_key(team: Team, tmp_path: Path) -> None:
    key = await a_key(team)
    async with locked(tmp_path / "gateway.db"):
        await status(team, key.key)
        assert not await team.app[LEDGER].write()
    assert await team.app[LEDGER].write()
    assert (await team.do("keys.get", key.id)).last_used_at is not None


async def test_a_database_that_is_gone_for_a_while_loses_no_use_of_a_key(team: Team, tmp_path: Path) -> None:
    key = await a_key(team)
    path, elsewhere = tmp_path / "gateway.db", tmp_path / "elsewhere.db"
    path.rename(elsewhere)
    await status(team, key.key)
    assert not await team.app[LEDGER].write()
    elsewhere.rename(path)
    async with asyncio.timeout(PATIENCE):
        while not await team.app[LEDGER].write():  # the gateway's own try may have begun before
            await asyncio.sleep(0)
    assert (await team.do("keys.get", key.id)).last_used_at is not None


async def test_a_key_of_somebody_who_was_removed_is_nobodys_at_once(team: Team) -> None:
    await team.person("ada")
    await team.person("ben")
    ben = next(str(one.id) for one in (await team.do("people.list")).items if one.name == "ben")
    made = await a_key(team)
    async with team.database.change(machine_actor("root")) as unit:
        await unit.registry.update(keys, made.id, {"created_by": ben})
    await team.has_looked()
    assert [key.person for key in team.app[REGISTRY].snapshot.keys.values()] == [ben]
    await team.do("people.remove", ben)
    await team.has_looked()
    assert [key.person for key in team.app[REGISTRY].snapshot.keys.values()] == [None]
