"""Writes batches of usage to an SQLite database, directly through the driver.

As in reading (docs/develop/decisions/0015): SQLAlchemy would cost a process that only serves 21 MB.
"""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from gateway.config.document import SourceError
from gateway.core.usage_sums import SUMS
from gateway.registry.database.sqlite_file import in_sentences, uri_of
from gateway.usage.ledger.sums import Batch, Who

_PATIENCE = 1.0  # seconds in which another writer may finish; else the batch waits for the next time
_BATCH = "INSERT INTO usage_batches (id, written_at) VALUES (?, ?) ON CONFLICT (id) DO NOTHING"
_LATENCY = (
    "INSERT INTO usage_latency (hour, account, deployment, measure, bucket, number) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET number = number + excluded.number"
)
_OLDEST = [
    f"DELETE FROM {table} WHERE hour = (SELECT min(hour) FROM {table} WHERE hour < ?)"  # noqa: S608  constants
    for table in ("usage_hours", "usage_latency")
]
# Batches may come late. What lies in the future, a clock has said that was ahead: any other time is better.
_KEY_USE = (
    "INSERT INTO key_uses (key, last_used_at) VALUES (?, ?) ON CONFLICT (key) DO UPDATE "
    "SET last_used_at = excluded.last_used_at WHERE last_used_at < excluded.last_used_at OR last_used_at > ?"
)


class SqliteWriter:
    """Writes in a thread, over a connection for each batch: the file may be another one by then."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def write(self, batch: Batch) -> None:
        """Add the batch to what is there, unless it is there already. Raises SourceError."""
        await asyncio.to_thread(self._write, batch)

    async def forget(self, before: datetime, batches_before: datetime) -> bool:
        """Remove the oldest hour, if it is before a moment, and the ids of old batches. True if there may be more.

        Raises SourceError. One hour at a time: whoever else writes waits for a few milliseconds at most.
        """
        return await asyncio.to_thread(self._forget, before, batches_before)

    async def close(self) -> None:
        """Nothing is open."""

    def _write(self, batch: Batch) -> None:
        with in_sentences(str(self._path)), closing(self._connected()) as database, database:
            database.execute("BEGIN IMMEDIATE")
            now = _text(datetime.now(UTC))
            if database.execute(_BATCH, (batch.id, now)).rowcount:
                database.executemany(_HOUR, _hours(batch))
                database.executemany(_DAY, _days(batch))
                database.executemany(_LATENCY, ((_text(row.hour), *row[1:]) for row in batch.latency()))
                database.executemany(_KEY_USE, _key_uses(batch, now))

    def _forget(self, before: datetime, batches_before: datetime) -> bool:
        with in_sentences(str(self._path)), closing(self._connected()) as database:
            database.execute("DELETE FROM usage_batches WHERE written_at < ?", (_text(batches_before),))
            removed = [database.execute(oldest, (_text(before),)).rowcount for oldest in _OLDEST]
            return any(removed)

    def _connected(self) -> sqlite3.Connection:
        # SQLite would open it for reading, and keep that descriptor when it is closed: the registry's own connection
        # holds a lock on the file (sqlite.org/howtocorrupt, 2.2).
        if self._path.exists() and not os.access(self._path, os.W_OK):
            raise SourceError(f"{self._path}: cannot be written by this user")
        return sqlite3.connect(uri_of(self._path), uri=True, timeout=_PATIENCE, isolation_level=None)


def _upsert(table: str, period: str) -> str:
    names = (period, *Who._fields, "person", *SUMS)
    added = ", ".join(f"{name} = {name} + excluded.{name}" for name in SUMS)
    places = ", ".join("?" * len(names))
    return (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places}) "  # noqa: S608  constants
        f"ON CONFLICT DO UPDATE SET person = excluded.person, {added}"
    )


_HOUR, _DAY = _upsert("usage_hours", "hour"), _upsert("usage_days", "day")


def _hours(batch: Batch) -> Iterator[tuple[object, ...]]:
    return ((_text(row.period.hour), *row.who, row.person, *row.values) for row in batch.usage())


def _days(batch: Batch) -> Iterator[tuple[object, ...]]:
    return ((row.period.day, *row.who, row.person, *row.values) for row in batch.usage())


def _key_uses(batch: Batch, now: str) -> Iterator[tuple[str, str, str]]:
    return ((key, _text(minute), now) for key, minute in batch.key_uses().items())


def _text(moment: datetime) -> str:
    """As SQLAlchemy stores it."""
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")
