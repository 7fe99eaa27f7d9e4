"""Reads an SQLite database of the newest schema directly through the driver, as a gateway does all day.

SQLAlchemy changes the tables, migrates them, and reads those of database servers. To a process that only polls
this one file for changes, its import would add 21 MB and 0.2 s (docs/develop/decisions/0015).
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from gateway.core.file_signature import FileIdentity, file_identity
from gateway.registry.database import sqlite_file
from gateway.registry.database.rows import (
    HEAD,
    KEY_COLUMNS,
    TABLES,
    VERSION_TABLE,
    Defaults,
    Read,
    everything,
    followed,
)
from gateway.registry.database.sqlite_file import check_file, in_sentences, uri_of

_COLUMNS = {
    "accounts": "id, weight",
    "keys": ", ".join(KEY_COLUMNS),
    "deployments": "id, account, upstream, upstream_key, status, connect, first_byte, silence, queue, connections, "
    "waiting, ping, ca_file, endpoints",
    "limits": "id, subject_kind, subject, measure, amount, deployment, shadow, counts_as",
}
_CONCERNED = "SELECT row_id FROM changes WHERE kind = ? AND revision > ?"
# The answers of a file that can be read as it is. Only what is read here is looked through: with indexes it would take
# ten times as long, and with usage 0.4 s more for a million rows.
_READY = {
    **dict.fromkeys((f"PRAGMA quick_check({name})" for name in (*TABLES, "changes", "revision")), "ok"),
    "PRAGMA journal_mode": "wal",
    f"SELECT version_num FROM {VERSION_TABLE}": HEAD,  # noqa: S608  a constant
}


class SqliteReader:
    """An open connection that never writes, used in threads. `open` and `read` raise SourceError."""

    def __init__(
        self, path: Path, file: FileIdentity | None, connection: sqlite3.Connection, defaults: Defaults
    ) -> None:
        self._path = path
        self._file = file
        self._connection = connection
        self._defaults = defaults

    @classmethod
    async def open(cls, path: Path, defaults: Defaults) -> "SqliteReader":
        """Read what is at `path`, which is migrated first where it has to be."""
        file = file_identity(path)  # first, so that a file that replaces it meanwhile is noticed
        connection = await asyncio.to_thread(_connect_if_ready, path)
        if connection is None:
            from gateway.registry.database.engine import database_url
            from gateway.registry.database.migrate import prepare

            await prepare(database_url(path), create=False)
            with in_sentences(str(path)):
                connection = await asyncio.to_thread(_connect, path)
        return cls(path, file, connection, defaults)

    @property
    def is_outdated(self) -> bool:
        """Whether the file was replaced or removed: an open connection would go on reading the old one."""
        return self._file != file_identity(self._path)

    async def read(self, known: Read | None) -> Read | None:
        """What the database holds, by what is `known` of it; None if that is the newest."""
        return await asyncio.to_thread(self._read, known)

    async def close(self) -> None:
        """Leave the file."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def _read(self, known: Read | None) -> Read | None:
        with in_sentences(str(self._path)):
            if known is not None and self._revision() == known.revision:
                return None
            self._connection.execute("BEGIN")
            try:
                revision = self._revision()
                if known is not None and self._has_word_of_all(known.revision, revision):
                    rows = {table: dict(self._concerned(table, known.revision)) for table in TABLES}
                    return followed(known, revision, rows, self._defaults)
                whole = {table: self._connection.execute(_select(table)) for table in TABLES}
                return everything(revision, whole.pop("keys"), whole, self._defaults)
            finally:
                self._connection.rollback()

    def _revision(self) -> int:
        [row] = self._connection.execute("SELECT number FROM revision")
        return int(row["number"])

    def _has_word_of_all(self, known: int, revision: int) -> bool:
        query = "SELECT count(DISTINCT revision) FROM changes WHERE revision > ?"
        return bool(self._connection.execute(query, (known,)).fetchone()[0] == revision - known)

    def _concerned(self, table: str, known: int) -> Iterator[tuple[str, sqlite3.Row | None]]:
        for [row_id] in self._connection.execute(_CONCERNED, (table, known)):
            yield row_id, None
        for row in self._connection.execute(f"{_select(table)} WHERE id IN ({_CONCERNED})", (table, known)):
            yield row["id"], row


def _select(table: str) -> str:
    return f"SELECT {_COLUMNS[table]} FROM {table}"  # noqa: S608  constants


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri_of(path), uri=True, timeout=sqlite_file.READ_PATIENCE, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_if_ready(path: Path) -> sqlite3.Connection | None:
    """A connection, if the file is whole and as this version wants it; else `prepare` says or does what it needs.

    Raises SourceError where there is no such file, or it is something else.
    """
    check_file(path, create=False)
    try:
        connection = _connect(path)
    except sqlite3.Error:
        return None
    if _is_ready(connection):
        return connection
    connection.close()
    return None


def _is_ready(connection: sqlite3.Connection) -> bool:
    try:
        for question, answer in _READY.items():
            if [tuple(row) for row in connection.execute(question)] != [(answer,)]:
                return False
    except sqlite3.Error:
        return False
    return True
