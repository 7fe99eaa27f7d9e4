"""Connections to the database, and what it says when it cannot be used, in sentences."""

import contextlib
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, NullPool, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from gateway.source import SourceError

WRITE_PATIENCE = 5.0  # seconds a writer waits for another to finish
READ_PATIENCE = 1.0
_SQLITE_HEADER = b"SQLite format 3\0"
_SENTENCES = {
    "database is locked": "is locked by another program",
    "malformed": "is damaged; restore it from a backup",
    "file is not a database": "is no SQLite database; it is left as it is",
    "unable to open": "cannot be opened; is its folder there, and writable for this user?",
    "readonly": "cannot be written by this user",
    "disk is full": "cannot be written: the disk is full; nothing was changed",
    "disk i/o error": "cannot be read or written: the disk reports an error",
    "no such table": "lacks a table; it was not written by gguf-gateway, or not entirely",
    "no such column": "lacks a column; it was not written by gguf-gateway, or not entirely",
}


def database_url(text: str, folder: Path | None = None) -> URL:
    """The URL of a database, from an SQLAlchemy URL or the path of an SQLite file, relative to `folder`.

    Raises SourceError, without quoting the text: it may hold a password.
    """
    try:
        url = make_url(text) if "://" in text else URL.create("sqlite", database=text)
    except (ArgumentError, ValueError) as error:
        raise SourceError("database: is no SQLAlchemy URL like sqlite+aiosqlite:///gateway.db") from error
    if url.get_backend_name() != "sqlite":
        return url
    if not url.database or url.database == ":memory:" or url.query:
        raise SourceError("database: names no file, as in sqlite+aiosqlite:///gateway.db")
    path = (folder or Path()).joinpath(Path(url.database).expanduser()).absolute()
    return URL.create("sqlite+aiosqlite", database=str(path))


def file_of(url: URL) -> Path | None:
    """The file of an SQLite database; None for a database server."""
    return Path(url.database or "") if url.get_backend_name() == "sqlite" else None


def name_of(url: URL) -> str:
    """What to call a database in a sentence: its file, or its URL less the password."""
    return str(file_of(url) or url.render_as_string(hide_password=True))


def engine_for(url: URL, *, writing: bool) -> AsyncEngine:
    """An engine without a pool. On SQLite it never creates a file, and a writer's transactions lock at once.

    Neither it nor the driver logs parameters or rows, whatever the log level: upstream keys are among them.
    """
    for chatty in ("aiosqlite", "sqlalchemy.engine"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        if url.get_backend_name() != "sqlite":
            return create_async_engine(url, poolclass=NullPool, hide_parameters=True)
        existing = url.set(
            database=f"file:{quote(os.fsencode(url.database or ''))}", query={"mode": "rw", "uri": "true"}
        )
        patience = WRITE_PATIENCE if writing else READ_PATIENCE
        engine = create_async_engine(
            existing, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": patience}
        )
    except (SQLAlchemyError, ImportError) as error:
        kind = "this kind of database is unknown" if isinstance(error, NoSuchModuleError) else "its driver is missing"
        raise SourceError(f"{name_of(url)}: {kind}; install an async SQLAlchemy driver for it") from error
    _prepare_sqlite(engine, writing=writing)
    return engine


def _prepare_sqlite(engine: AsyncEngine, *, writing: bool) -> None:
    """Take the transactions out of the driver's hands, which begins them late and not around DDL."""
    begin = "BEGIN IMMEDIATE" if writing else "BEGIN"

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def beginning(connection: Connection) -> None:
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql(begin)


def check_file(path: Path, *, create: bool) -> None:
    """Make sure that an SQLite file is there and is one, before anything opens it. A new one gets mode 0600.

    Raises SourceError; it never touches a file that is something else.
    """
    try:
        if create:
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        seen = path.stat()
        if not stat.S_ISREG(seen.st_mode):
            raise SourceError(f"{path}: is not a file")
        with path.open("rb") as file:
            header = file.read(len(_SQLITE_HEADER))
    except FileNotFoundError as error:
        where = "its folder does not exist" if create else _MISSING
        raise SourceError(f"{path}: {where}") from error
    except OSError as error:
        raise SourceError(f"{path}: cannot be opened: {(error.strerror or 'unknown reason').lower()}") from error
    if header != _SQLITE_HEADER and not (create and seen.st_size == 0):
        raise SourceError(f"{path}: {_MISSING if seen.st_size == 0 else 'is no SQLite database; it is left as it is'}")


_MISSING = "there is no such database; `gguf-gateway keys create --database FILE ...` makes one"


@contextlib.contextmanager
def in_sentences(name: str) -> Iterator[None]:
    """Turn what the database or its driver raises into a SourceError of one sentence."""
    try:
        yield
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        known = (sentence for part, sentence in _SENTENCES.items() if part in said.lower())
        raise SourceError(f"{name}: {next(known, f'cannot be used: {said}')}") from error
    except (OSError, ValueError) as error:
        raise SourceError(f"{name}: cannot be used: {error}") from error
