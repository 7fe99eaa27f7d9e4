"""Both writers of the ledger, through the driver of SQLite and through SQLAlchemy: the same rows, each batch once."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from gateway.config.document import SourceError
from gateway.core.answer.usage import Usage
from gateway.core.exchange import Exchange
from gateway.registry.database.engine import database_url
from gateway.registry.database.migrate import prepare
from gateway.usage.ledger.ledger import Writer
from gateway.usage.ledger.server_writer import ServerWriter
from gateway.usage.ledger.sqlite_writer import SqliteWriter
from gateway.usage.ledger.sums import AccountingPeriod, Batch, PeriodSums, Who
from tests.harness.storage.databases import rows

NOON = AccountingPeriod(datetime(2026, 11, 28, 12, tzinfo=UTC), "2026-11-28")
LATER = AccountingPeriod(datetime(2026, 11, 28, 13, tzinfo=UTC), "2026-11-28")
TOMORROW = AccountingPeriod(datetime(2026, 11, 28, 23, tzinfo=UTC), "2026-11-29")
ANN, BEN = (Who("acme", key, "chat", "/v1/messages", "finished") for key in ("key_ann", "key_ben"))
TABLES = ("usage_hours", "usage_days", "usage_latency", "key_uses")
USED_AT = 1_700_000_000.0


@pytest.fixture
async def file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.db"
    await prepare(database_url(path), create=True)
    return path


def a_writer(kind: str, file: Path) -> Writer:
    return SqliteWriter(file) if kind == "driver" else ServerWriter(f"sqlite+aiosqlite:///{file}")


@pytest.fixture(params=["driver", "SQLAlchemy"])
async def writer(request: pytest.FixtureRequest, file: Path) -> AsyncIterator[Writer]:
    writer = a_writer(request.param, file)
    yield writer
    await writer.close()


def batch(*uses: tuple[AccountingPeriod, Who], at: float = USED_AT, person: str = "") -> Batch:
    """One of these exchanges, of 3 tokens in and 5 out each."""
    periods: dict[AccountingPeriod, PeriodSums] = {}
    for period, who in uses:
        exchange = Exchange("x")
        exchange.account, exchange.key, exchange.deployment, exchange.endpoint, _ = who
        exchange.sent_at = exchange.first_byte_at = exchange.started
        exchange.person, exchange.usage = person, Usage(3, 5)
        periods.setdefault(period, PeriodSums()).add([exchange], at)
    return Batch(periods)


def totals(file: Path, table: str, period: str) -> list[tuple[object, ...]]:
    query = f"SELECT {period}, key, requests, tokens_in, tokens_out FROM {table} ORDER BY 1, 2"
    return rows(file, query)


async def test_batches_are_added_to_what_is_there(writer: Writer, file: Path) -> None:
    await writer.write(batch((NOON, ANN), (NOON, BEN), (NOON, ANN)))
    await writer.write(batch((NOON, ANN)))
    expected = [("key_ann", 3, 9, 15), ("key_ben", 1, 3, 5)]
    assert [row[1:] for row in totals(file, "usage_hours", "hour")] == expected
    assert [row[1:] for row in totals(file, "usage_days", "day")] == expected


async def test_hours_of_one_batch_are_added_up_by_the_day(writer: Writer, file: Path) -> None:
    await writer.write(batch((NOON, ANN), (LATER, ANN), (TOMORROW, ANN)))
    hours = [str(row[0])[11:13] for row in totals(file, "usage_hours", "hour")]
    assert hours == ["12", "13", "23"]
    assert totals(file, "usage_days", "day") == [
        ("2026-11-28", "key_ann", 2, 6, 10),
        ("2026-11-29", "key_ann", 1, 3, 5),
    ]


async def test_a_batch_is_written_once_however_often_it_is_tried(writer: Writer, file: Path) -> None:
    one = batch((NOON, ANN))
    await writer.write(one)
    before = [rows(file, f"SELECT * FROM {table}") for table in TABLES]
    await writer.write(one)
    assert [rows(file, f"SELECT * FROM {table}") for table in TABLES] == before
    assert rows(file, "SELECT id FROM usage_batches") == [(one.id,)]


async def test_a_key_was_used_when_it_was_used_last(writer: Writer, file: Path) -> None:
    for at in (USED_AT, USED_AT + 120, USED_AT - 600):
        await writer.write(batch((NOON, ANN), at=at))
    assert rows(file, "SELECT key, last_used_at FROM key_uses") == [("key_ann", "2023-11-14 22:15:00.000000")]


async def test_a_key_used_by_a_clock_that_was_ahead_was_used_when_it_is_next(writer: Writer, file: Path) -> None:
    ahead = datetime.now(UTC) + timedelta(days=400)
    for at in (ahead.timestamp(), USED_AT):
        await writer.write(batch((NOON, ANN), at=at))
    assert rows(file, "SELECT key, last_used_at FROM key_uses") == [("key_ann", "2023-11-14 22:13:00.000000")]


async def test_latency_is_added_up_in_buckets(writer: Writer, file: Path) -> None:
    await writer.write(batch((NOON, ANN), (NOON, BEN)))
    await writer.write(batch((NOON, ANN)))
    query = "SELECT measure, bucket, number FROM usage_latency ORDER BY measure"
    assert rows(file, query) == [("duration", 0, 3), ("first_byte", 0, 3), ("queue", 0, 3)]


async def test_both_writers_leave_the_same_rows(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    await prepare(database_url(other), create=True)
    for one in (batch((NOON, ANN), (TOMORROW, BEN), person="per_1"), batch((NOON, ANN), (LATER, ANN))):
        for writer in (SqliteWriter(file), ServerWriter(f"sqlite+aiosqlite:///{other}")):
            await writer.write(one)
            await writer.close()
    for table in TABLES:
        both = (sorted(rows(path, f"SELECT * FROM {table}")) for path in (file, other))
        for row, same in zip(*both, strict=True):
            assert row == pytest.approx(same)


async def is_taken(writer: Writer, one: Batch) -> bool:
    """Whether a batch is written: on a busy machine another may hold the lock for too long, and it is tried again."""
    try:
        await writer.write(one)
    except SourceError as error:
        if "is locked" not in str(error):
            raise
        return False
    return True


@pytest.mark.slow
async def test_writers_of_several_processes_add_to_the_same_rows(file: Path) -> None:
    async def write_ten(kind: str) -> None:
        writer = a_writer(kind, file)
        for _ in range(10):
            one = batch((NOON, ANN), (NOON, BEN))
            while not await is_taken(writer, one):
                pass
        await writer.close()

    await asyncio.gather(*(write_ten(kind) for kind in ("driver", "driver", "SQLAlchemy", "SQLAlchemy")))
    assert [row[1:] for row in totals(file, "usage_hours", "hour")] == [
        ("key_ann", 40, 120, 200),
        ("key_ben", 40, 120, 200),
    ]


async def test_old_hours_are_removed_one_by_one_and_days_stay(writer: Writer, file: Path) -> None:
    await writer.write(batch((NOON, ANN), (NOON, BEN), (LATER, ANN), (TOMORROW, ANN)))
    before, long_ago = TOMORROW.hour, datetime(2020, 1, 1, tzinfo=UTC)
    for left in (["13", "23"], ["23"]):
        assert await writer.forget(before, long_ago)
        for table in ("usage_hours", "usage_latency"):
            hours = rows(file, f"SELECT DISTINCT hour FROM {table} ORDER BY hour")
            assert [str(hour)[11:13] for (hour,) in hours] == left
    assert not await writer.forget(before, long_ago)
    assert [row[1:3] for row in totals(file, "usage_days", "day")] == [("key_ann", 2), ("key_ben", 1), ("key_ann", 1)]
    assert len(rows(file, "SELECT id FROM usage_batches")) == 1


async def test_the_ids_of_old_batches_are_removed(writer: Writer, file: Path) -> None:
    await writer.write(batch((NOON, ANN)))
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert not await writer.forget(datetime(2020, 1, 1, tzinfo=UTC), tomorrow)
    assert rows(file, "SELECT id FROM usage_batches") == []


async def test_a_server_reads_no_more_than_the_rows_that_it_writes(file: Path) -> None:
    crowd = [Who("acme", f"key_{number}", "chat", "/v1/messages", "finished") for number in range(1_000)]
    writer = ServerWriter(f"sqlite+aiosqlite:///{file}")
    asked: list[tuple[str, tuple[str, ...]]] = []
    await writer.write(batch(*((NOON, who) for who in crowd)))

    @event.listens_for(writer._engine.sync_engine, "before_cursor_execute")
    def executing(_: object, _cursor: object, statement: str, parameters: tuple[str, ...], *_more: object) -> None:
        asked.append((statement, parameters))

    await writer.write(batch(*((NOON, who) for who in crowd[:10])))
    await writer.close()
    with closing(sqlite3.connect(file)) as database:
        read = [len(database.execute(*one).fetchall()) for one in asked if one[0].startswith("SELECT")]
    assert max(read) == 10
    assert len(asked) < 15  # and no more statements for more keys
