"""Connections to the database, and its errors as sentences."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import URL, Connection, NullPool, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from gateway.config.document import SourceError
from gateway.registry.database import sqlite_file
from gateway.registry.database.sqlite_file import place_of, sentence, uri_of

# As BEGIN IMMEDIATE of SQLite. The number is of no other program, one hopes, that shares the database.
_PATIENCE = f"SET LOCAL lock_timeout = '{sqlite_file.WRITE_PATIENCE:.0f}s'"
_KEEP_OTHERS_OFF = "SELECT pg_advisory_xact_lock(7451610268110056806)"
_DRIVERS = {"postgresql": "write postgresql+asyncpg://…, and install gguf-gateway[postgresql]"}


def database_url(place: str | Path) -> URL:
    """The SQLAlchemy URL of a database, from the path of an SQLite file, or a URL.

    Raises SourceError, without quoting what was given: it may hold a password.
    """
    where = place_of(place) if isinstance(place, str) else place
    if isinstance(where, Path):
        return URL.create("sqlite+aiosqlite", database=str(where))
    if where.count("@") > 1:  # it would be taken for the host's, and stand in every sentence about the database
        raise SourceError("database: in its URL an `@` in a password is written `%40`")
    try:
        return make_url(where)
    except (ArgumentError, ValueError) as error:
        raise SourceError("database: is not an SQLAlchemy URL like sqlite+aiosqlite:///gateway.db") from error


def file_of(url: URL) -> Path | None:
    """The file of an SQLite database; None for a database server."""
    return Path(url.database or "") if url.get_backend_name() == "sqlite" else None


def name_of(url: URL) -> str:
    """What to call a database in a sentence: its file, or its URL less the password."""
    told = url.difference_update_query([option for option in url.query if "passw" in option])
    return str(file_of(url) or told.render_as_string(hide_password=True))


def engine_for(url: URL, *, writing: bool) -> AsyncEngine:
    """An engine without a pool. On SQLite it never creates a file. A writer's transactions lock at once, and come one
    after the other: what one reads stays true until its end.

    Neither it nor the driver logs parameters or rows, whatever the log level: upstream keys are among them.
    """
    for chatty in ("aiosqlite", "sqlalchemy.engine"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        is_file = file_of(url) is not None
        return _of_sqlite(url, writing=writing) if is_file else _of_server(url, writing=writing)
    except (SQLAlchemyError, ImportError) as error:
        kind = "this kind of database is unknown" if isinstance(error, NoSuchModuleError) else "its driver is missing"
        wanted = _DRIVERS.get(url.get_backend_name(), "install an async SQLAlchemy driver for it")
        raise SourceError(f"{name_of(url)}: {kind}; {wanted}") from error


def _of_server(url: URL, *, writing: bool) -> AsyncEngine:
    if url.drivername == "postgresql+asyncpg" and "sslmode" in url.query:
        raise SourceError(f"{name_of(url)}: asyncpg knows no `sslmode`; write `ssl` instead, as in ?ssl=require")
    engine = create_async_engine(url, poolclass=NullPool, hide_parameters=True)
    if writing and url.get_backend_name() == "postgresql":
        _begin_with(engine, _PATIENCE, _KEEP_OTHERS_OFF)
    return engine


def _of_sqlite(url: URL, *, writing: bool) -> AsyncEngine:
    """Its transactions are not in the hands of the driver, which begins them late and not around DDL."""
    existing = url.set(database=uri_of(Path(url.database or "")), query={"uri": "true"})
    patience = sqlite_file.WRITE_PATIENCE if writing else sqlite_file.READ_PATIENCE
    engine = create_async_engine(existing, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": patience})

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        connection.create_function("lower", 1, _folded, deterministic=True)  # SQLite's own knows ASCII alone
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.close()

    _begin_with(engine, "BEGIN IMMEDIATE" if writing else "BEGIN")
    return engine


def _begin_with(engine: AsyncEngine, *statements: str) -> None:
    @event.listens_for(engine.sync_engine, "begin")
    def beginning(connection: Connection) -> None:
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            for statement in statements:
                connection.exec_driver_sql(statement)


def _folded(text: str | None) -> str | None:
    """What `icontains` compares, as Unicode has it for letters whose case is not to matter."""
    return None if text is None else text.casefold()


@contextlib.contextmanager
def in_sentences(name: str) -> Iterator[None]:
    """Turn what the database or its driver raises into a SourceError of one sentence."""
    with sqlite_file.in_sentences(name):
        try:
            yield
        except SQLAlchemyError as error:
            raise SourceError(f"{name}: {sentence(str(getattr(error, 'orig', None) or error))}") from error
