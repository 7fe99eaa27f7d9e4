"""The ledger of a gateway that serves: what is in the database of what was asked, once and all of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.core.deployment import Status
from gateway.core.exchange import Exchange
from gateway.server.completion import COMPLETION
from gateway.team.models.deployments import NewDeployment
from gateway.team.models.keys import CreatedKey, NewKey
from gateway.usage.ledger import sqlite_writer
from gateway.usage.ledger.ledger import LEDGER
from mockserver import MockLlamaServer
from tests.harness.pages.team_pages import Team, team_serving
from tests.harness.storage.databases import locked, rows

CHAT = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3}
TOTALS = "SELECT sum(requests), sum(tokens_in), sum(tokens_cached), sum(tokens_out) FROM "


def chat(mock: MockLlamaServer) -> NewDeployment:
    return NewDeployment(id="chat", account="acme", upstream=mock.url, status=Status.READY)


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with MockLlamaServer() as mock, team_serving(tmp_path, "acme") as team:
        await team.do("deployments.create", asked=chat(mock))
        yield team


@pytest.fixture
async def key(team: Team) -> CreatedKey:
    made: CreatedKey = await team.do("keys.create", asked=NewKey(account="acme", name="laptop"))
    await team.has_looked()
    return made


async def ask(team: Team, key: str, path: str = "/v1/chat/completions", **body: Any) -> int:
    url, headers = f"{team.url}/api/gguf/chat{path}", {"Authorization": f"Bearer {key}"}
    async with ClientSession() as session, session.post(url, json={**CHAT, **body}, headers=headers) as answer:
        await answer.read()
        return answer.status


async def written(team: Team) -> None:
    """All that was asked is in the database."""
    assert await team.app[LEDGER].write()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


async def test_what_was_asked_is_in_the_database_by_the_hour_and_by_the_day(
    team: Team, key: CreatedKey, file: Path
) -> None:
    for path in ("/v1/chat/completions", "/v1/messages"):
        assert await ask(team, key.key, path) == 200
    await written(team)
    for table in ("usage_hours", "usage_days"):
        found = rows(file, f"SELECT account, key, deployment, endpoint, ending, requests, tokens_out FROM {table}")
        assert sorted(found) == [
            ("acme", key.id, "chat", "/v1/chat/completions", "finished", 1, 3),
            ("acme", key.id, "chat", "/v1/messages", "finished", 1, 3),
        ]


async def test_what_is_asked_later_is_added(team: Team, key: CreatedKey, file: Path) -> None:
    for _ in range(3):
        await ask(team, key.key)
        await written(team)
    assert rows(file, TOTALS + "usage_hours") == rows(file, TOTALS + "usage_days")
    [(requests, tokens_in, _, tokens_out)] = rows(file, TOTALS + "usage_hours")
    assert (requests, tokens_out) == (3, 9)
    assert int(str(tokens_in)) > 3


async def test_what_is_refused_is_accounted_to_the_key(team: Team, key: CreatedKey, file: Path) -> None:
    await team.do("deployments.pause", "chat")
    await team.has_looked()
    assert await ask(team, key.key) == 503
    await written(team)
    query = "SELECT ending, requests, answered, tokens_out, slot_seconds FROM usage_hours"
    assert rows(file, query) == [("refused", 1, 0, 0, 0.0)]


async def test_what_has_no_good_key_is_nobodys(team: Team, key: CreatedKey, file: Path) -> None:
    assert await ask(team, "gw_unknown_key_0123456789") == 401
    await written(team)
    assert rows(file, "SELECT * FROM usage_hours") == []


async def test_usage_is_the_persons_whose_key_it_is(team: Team, file: Path) -> None:
    exchange = Exchange("x")
    exchange.account, exchange.key, exchange.person = "acme", "key_1", "per_1"
    exchange.deployment, exchange.endpoint = "chat", "/v1/messages"
    team.app[COMPLETION].complete(exchange)
    await written(team)
    assert rows(file, "SELECT key, person FROM usage_hours") == [("key_1", "per_1")]


async def test_a_batch_that_is_written_again_changes_nothing(team: Team, key: CreatedKey, file: Path) -> None:
    ledger = team.app[LEDGER]
    async with ledger._writing:  # so that the ledger does not write it by itself, a second later
        await ask(team, key.key)
        batch, writer = ledger._take(), ledger._writer
    assert batch is not None
    assert writer is not None
    for _ in range(3):
        await writer.write(batch)
    assert rows(file, "SELECT requests, tokens_out FROM usage_hours") == [(1, 3)]
    assert rows(file, "SELECT sum(number) FROM usage_latency WHERE measure = 'duration'") == [(1,)]


async def test_a_locked_database_loses_nothing(
    team: Team, key: CreatedKey, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_writer, "_PATIENCE", 0.05)
    ledger = team.app[LEDGER]
    async with locked(file):
        for _ in range(3):
            await ask(team, key.key)
            assert not await ledger.write()
        problem = ledger.problem
        assert problem == f"{file}: is locked by another program"
    while not await ledger.write():  # the batch that failed first, then what came since
        pass
    problem = ledger.problem
    assert problem is None
    assert rows(file, "SELECT requests, tokens_out FROM usage_hours") == [(3, 9)]


async def test_a_gateway_does_not_read_its_registry_again_for_usage(team: Team, key: CreatedKey, file: Path) -> None:
    before = rows(file, "SELECT number FROM revision")
    await ask(team, key.key)
    await written(team)
    assert rows(file, "SELECT number FROM revision") == before


async def test_a_gateway_that_stops_writes_what_is_left(tmp_path: Path, file: Path) -> None:
    async with MockLlamaServer() as mock, team_serving(tmp_path, "acme") as team:
        await team.do("deployments.create", asked=chat(mock))
        key = await team.do("keys.create", asked=NewKey(account="acme", name="laptop"))
        await team.has_looked()
        await ask(team, key.key)
    assert rows(file, "SELECT requests, tokens_out FROM usage_hours") == [(1, 3)]
