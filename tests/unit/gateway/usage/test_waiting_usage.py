"""What the database does not take is not shown, and a gateway says so to whoever asks for usage."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from gateway.cli.team.usage import notes
from gateway.core.exchange import Exchange
from gateway.registry.database import sqlite_file
from gateway.registry.database.team_tables import sessions
from gateway.server.completion import COMPLETION
from gateway.team.models.usage import UsageQuery, UsageReport
from gateway.usage.ledger import sqlite_writer
from gateway.usage.ledger.ledger import LEDGER
from tests.harness.pages.plain_browser import browsing
from tests.harness.pages.team_pages import Team, team_serving
from tests.harness.storage.databases import damage_table, locked

WAITS = "The database takes no usage at the moment"


@pytest.fixture
async def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Team]:
    monkeypatch.setattr(sqlite_writer, "_PATIENCE", 0.05)
    monkeypatch.setattr(sqlite_file, "WRITE_PATIENCE", 1.0)
    async with team_serving(tmp_path, "acme") as team:
        yield team


async def usage(team: Team, **query: object) -> UsageReport:
    found: UsageReport = await team.do("usage.get", asked=UsageQuery.model_validate(query))
    return found


async def scraped(client: ClientSession, team: Team, name: str) -> float:
    """The one sample of this name."""
    text = await (await client.get(f"{team.url}/metrics")).text()
    [value] = [
        one.value for family in text_string_to_metric_families(text) for one in family.samples if one.name == name
    ]
    return float(value)


def use(team: Team) -> None:
    exchange = Exchange("x")
    exchange.account, exchange.key, exchange.deployment, exchange.endpoint = "acme", "key_1", "chat", "/v1/messages"
    team.app[COMPLETION].complete(exchange)


async def test_a_reader_is_told_since_when_usage_waits_until_it_is_written(team: Team, tmp_path: Path) -> None:
    ledger, session, before = team.app[LEDGER], await team.person("ada"), datetime.now(UTC)
    async with locked(tmp_path / "gateway.db"), browsing(team, session) as ada:
        use(team)
        assert not await ledger.write()
        since = (await usage(team)).waiting_since
        assert since is not None
        assert before <= since <= datetime.now(UTC)
        assert not await ledger.write()
        assert (await usage(team)).waiting_since == since
        assert (await usage(team, until=(since - timedelta(days=2)).isoformat())).waiting_since is None
        for part in ("", "?part=live"):
            assert WAITS in (await ada.get(f"/usage{part}")).text
        [note] = notes(await usage(team))
        assert note.startswith(WAITS)
        assert f"{since:%H:%M}" in note
    while not await ledger.write():
        pass
    found = await usage(team)
    assert (found.waiting_since, found.total.requests, notes(found)) == (None, 1, [])
    async with browsing(team, session) as ada:
        assert WAITS not in (await ada.get("/usage")).text


async def test_metrics_say_for_how_long_the_database_has_taken_none(team: Team, tmp_path: Path) -> None:
    ledger, name = team.app[LEDGER], "gguf_unwritten_usage_seconds"
    async with ClientSession() as client:
        assert await scraped(client, team, name) == 0
        async with locked(tmp_path / "gateway.db"):
            use(team)
            assert not await ledger.write()
            first = await scraped(client, team, name)
            assert 0 < first < await scraped(client, team, name)
            assert await scraped(client, team, "gguf_usage_requests_total") == 1
        while not await ledger.write():
            pass
        assert await scraped(client, team, name) == 0


async def test_damaged_usage_is_said_and_what_is_counted_is_kept(
    team: Team, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = team.app[LEDGER]
    damage_table(tmp_path / "gateway.db", "usage_hours")
    async with ClientSession() as client:
        for _ in range(2):
            use(team)
            assert not await ledger.write()
        assert await scraped(client, team, "gguf_unwritten_usage_seconds") > 0
        assert await scraped(client, team, "gguf_usage_requests_total") == 2
    assert caplog.text.count("usage is not written yet, and kept") == 1
    assert "gateway.db: is damaged; restore it from a backup" in caplog.text


async def test_who_was_not_seen_for_a_while_may_read_all_the_same(team: Team, tmp_path: Path) -> None:
    session = await team.person("ada")
    async with team.database.begin() as connection:
        await connection.execute(update(sessions).values(seen_at=datetime.now(UTC) - timedelta(minutes=2)))
    async with locked(tmp_path / "gateway.db"), browsing(team, session) as ada:
        assert (await ada.get("/usage")).status == 200
