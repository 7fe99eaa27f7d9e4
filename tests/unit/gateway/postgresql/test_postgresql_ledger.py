"""Usage in PostgreSQL: the rows are those of SQLite, each batch is there once, and so are the answers of the API."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Table, func, select

from gateway.core.answer.usage import Usage
from gateway.core.exchange import Exchange
from gateway.registry.database.engine import database_url, engine_for
from gateway.registry.database.migrate import prepare
from gateway.registry.database.team_tables import audit, key_uses
from gateway.registry.database.usage_tables import usage_batches, usage_days, usage_hours, usage_latency
from gateway.team.audit import forget
from gateway.usage.ledger.server_writer import ServerWriter
from gateway.usage.ledger.sqlite_writer import SqliteWriter
from gateway.usage.ledger.sums import Batch, PeriodSums, period_at
from tests.harness.pages.team_pages import Team, team_serving
from tests.unit.gateway.team.admin_client import AdminClient, admin_client

pytestmark = pytest.mark.slow

HOUR = timedelta(hours=1)
NOW = datetime.now(UTC)
TABLES = (usage_hours, usage_days, usage_latency, key_uses)
KEYS = ("key_ann", "key_ben", "key_cat")


def batch(*moments: datetime, keys: tuple[str, ...] = KEYS) -> Batch:
    """An exchange of each key at each moment."""
    periods: dict[Any, PeriodSums] = {}
    for moment in moments:
        for tokens, key in enumerate(keys, 3):
            made = Exchange("x")
            made.account, made.key, made.person = "acme", key, "per_1" if key == "key_ann" else None
            made.deployment, made.endpoint, made.usage = "chat", "/v1/messages", Usage(tokens, 5, 1)
            made.sent_at = made.first_byte_at = made.ended_at = made.started
            sums = periods.setdefault(period_at(moment.timestamp(), ZoneInfo("UTC")), PeriodSums())
            sums.add([made], moment.timestamp())
    return Batch(periods)


async def content(place: str | Path, table: Table) -> list[tuple[Any, ...]]:
    """All of its rows, in an order of their own."""
    engine = engine_for(database_url(place), writing=False)
    async with engine.connect() as connection:
        found = [tuple(row) for row in await connection.execute(select(table))]
    await engine.dispose()
    return sorted(found, key=lambda row: str(row[:6]))


@pytest.fixture
async def file(tmp_path: Path) -> Path:
    await prepare(database_url(tmp_path / "gateway.db"), create=True)
    return tmp_path / "gateway.db"


@pytest.fixture
async def writer(url: str) -> AsyncIterator[ServerWriter]:
    writer = ServerWriter(url)
    yield writer
    await writer.close()


async def test_the_rows_are_those_of_sqlite(url: str, file: Path, writer: ServerWriter) -> None:
    for moments in ((NOW, NOW - HOUR), (NOW,), (NOW - 30 * HOUR, NOW)):
        one = batch(*moments)
        for each in (writer, SqliteWriter(file)):
            await each.write(one)
            await each.write(one)
    for table in TABLES:
        rows, same = await content(url, table), await content(file, table)
        assert len(rows) == len(same) > 0
        for row, other in zip(rows, same, strict=True):
            assert row[1:] == pytest.approx(other[1:]) if table is not key_uses else row == other
            assert row[0] == other[0]
    assert len(await content(url, usage_batches)) == 3


async def test_many_writers_at_once_add_each_batch_once(url: str) -> None:
    async def write_ten() -> None:
        writer = ServerWriter(url)
        for _ in range(10):
            one = batch(NOW)
            await asyncio.gather(writer.write(one), writer.write(one))  # as one that seemed to have failed
        await writer.close()

    await asyncio.gather(*(write_ten() for _ in range(6)))
    requests = {row[2]: row[7] for row in await content(url, usage_hours)}
    assert requests == dict.fromkeys(KEYS, 60)
    assert len(await content(url, usage_batches)) == 60


async def test_old_hours_and_old_batches_are_removed_and_days_stay(url: str, writer: ServerWriter) -> None:
    old, older = NOW - 100 * 24 * HOUR, NOW - 100 * 24 * HOUR - HOUR
    await writer.write(batch(older, old, NOW))
    before = NOW - 90 * 24 * HOUR
    removed = 0
    while await writer.forget(before, NOW - HOUR):
        removed += 1
    assert removed == 2
    for table in (usage_hours, usage_latency):
        assert {row[0] for row in await content(url, table)} == {NOW.replace(minute=0, second=0, microsecond=0)}
    assert sum(row[7] for row in await content(url, usage_days)) == 3 * len(KEYS)
    assert len(await content(url, usage_batches)) == 1
    assert not await writer.forget(before, NOW + HOUR)
    assert await content(url, usage_batches) == []


async def test_the_api_answers_as_with_sqlite(url: str, tmp_path: Path) -> None:
    one = batch(NOW, NOW - HOUR, NOW - 30 * HOUR)
    since = f"since={NOW - 5 * 24 * HOUR:%Y-%m-%dT%H:%M:%SZ}"
    told_apart = ("key", "person", "deployment", "endpoint", "day", "hour,key", "day,person", "key&top=1")
    paths = [*(f"/usage?{since}&by={by}" for by in told_apart), f"/usage/latency?{since}"]
    answers: list[list[Any]] = []
    for place in (url, tmp_path):
        async with team_serving(place, "acme") as team, admin_client(team) as client:
            writer = ServerWriter(url) if isinstance(place, str) else SqliteWriter(tmp_path / "gateway.db")
            await writer.write(one)
            await writer.close()
            answers.append([await told(client, path) for path in paths])
    assert answers[0] == answers[1]


async def told(client: AdminClient, path: str) -> Any:
    """The rows of an answer."""
    reply = await client.ask("GET", path)
    assert reply.status == 200, reply.body
    assert reply.json["rows"]
    return reply.json["rows"]


async def test_the_audit_log_is_kept_for_as_long_as_the_setting_says(team: Team) -> None:
    async with team.database.begin() as connection:
        assert await forget(connection, timedelta(days=365)) == 0
        noted = (await connection.execute(select(func.count()).select_from(audit))).scalar_one()
        assert await forget(connection, timedelta(seconds=-5)) == noted - 1 > 0  # the newest stays
