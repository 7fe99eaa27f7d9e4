"""Reads an SQLite database of the newest schema directly through the driver, as a gateway does all day.

SQLAlchemy changes the tables, migrates them, and reads those of database servers. To a process that only polls
this one file for changes, its import would add 21 MB and 0.2 s (docs/develop/decisions/0015).
"""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import aiosqlite

from gateway.registry.base import Snapshot
from gateway.registry.database import sqlite_file
from gateway.registry.database.rows import HEAD, PORTION, VERSION_TABLE, Defaults, account_of, deployment_of, key_of
from gateway.registry.database.sqlite_file import check_file, in_sentences, uri_of

_ACCOUNTS = "SELECT id, created_at FROM accounts ORDER BY id"
_KEYS = """
    SELECT id, name, account, digest, created_at, expires_at, revoked_at, successor_of FROM keys ORDER BY created_at, id
"""
_DEPLOYMENTS = """
    SELECT id, account, upstream, upstream_key, status, connect, first_byte, silence, queue, connections, waiting, ping,
           ca_file, endpoints
    FROM deployments ORDER BY id
"""
# The answers of a file that can be read as it is.
_READY = {
    "PRAGMA integrity_check(1)": "ok",
    "PRAGMA journal_mode": "wal",
    f"SELECT version_num FROM {VERSION_TABLE}": HEAD,  # noqa: S608  a constant
}


class SqliteReader:
    """An open connection that never writes. `open` and `read` raise SourceError."""

    def __init__(
        self, path: Path, file: tuple[int, int] | None, connection: aiosqlite.Connection, defaults: Defaults
    ) -> None:
        self._path = path
        self._file = file
        self._connection = connection
        self._defaults = defaults

    @classmethod
    async def open(cls, path: Path, defaults: Defaults) -> "SqliteReader":
        """Read what is at `path`, which is migrated first where it has to be."""
        file = _identity(path)  # first, so that a file that replaces it meanwhile is noticed
        await asyncio.to_thread(check_file, path, create=False)
        logging.getLogger("aiosqlite").setLevel(logging.WARNING)  # below, it logs rows, and so upstream keys
        connection = await _connect_if_ready(path)
        if connection is None:
            from gateway.registry.database.engine import database_url
            from gateway.registry.database.migrate import prepare

            await prepare(database_url(path), create=False)
            with in_sentences(str(path)):
                connection = await _connect(path)
        return cls(path, file, connection, defaults)

    @property
    def is_outdated(self) -> bool:
        """Whether the file was replaced or removed: an open connection would go on reading the old one."""
        return self._file != _identity(self._path)

    async def read(self, known: int | None) -> tuple[int, Snapshot] | None:
        """The revision and all that holds; None if the revision is the `known` one."""
        with in_sentences(str(self._path)):
            if await self._revision() == known:
                return None
            await self._connection.execute("BEGIN")
            try:
                return await self._revision(), await self._snapshot()
            finally:
                await self._connection.rollback()

    async def close(self) -> None:
        """Leave the file."""
        with contextlib.suppress(sqlite3.Error):
            await self._connection.close()

    async def _revision(self) -> int:
        [row] = await self._connection.execute_fetchall("SELECT number FROM revision")
        return int(row["number"])

    async def _snapshot(self) -> Snapshot:
        keys = [key_of(row) async for row in self._rows(_KEYS)]
        deployments = [deployment_of(row, self._defaults) async for row in self._rows(_DEPLOYMENTS)]
        accounts = [account_of(row) async for row in self._rows(_ACCOUNTS)]
        return Snapshot.of(keys, deployments, accounts)

    async def _rows(self, query: str) -> AsyncIterator[sqlite3.Row]:
        async with self._connection.execute(query) as cursor:
            while portion := await cursor.fetchmany(PORTION):
                for row in portion:
                    yield row


async def _connect(path: Path) -> aiosqlite.Connection:
    connection = await aiosqlite.connect(
        uri_of(path), uri=True, timeout=sqlite_file.READ_PATIENCE, isolation_level=None
    )
    connection.row_factory = sqlite3.Row
    try:
        await connection.execute("PRAGMA query_only = ON")
    except BaseException:
        await connection.close()
        raise
    return connection


async def _connect_if_ready(path: Path) -> aiosqlite.Connection | None:
    """A connection, if the file is whole and as this version wants it; else `prepare` says or does what it needs."""
    try:
        connection = await _connect(path)
    except sqlite3.Error:
        return None
    if await _is_ready(connection):
        return connection
    await connection.close()
    return None


async def _is_ready(connection: aiosqlite.Connection) -> bool:
    try:
        for question, answer in _READY.items():
            if [tuple(row) for row in await connection.execute_fetchall(question)] != [(answer,)]:
                return False
    except sqlite3.Error:
        return False
    return True


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_dev, seen.st_ino
