"""Migrates the database to this version's schema, before anything else is done with it."""

import asyncio
import logging
import re
from pathlib import Path

from sqlalchemy import URL, Connection, Select, column, inspect, select, table
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.config.document import SourceError
from gateway.registry.database import sqlite_file
from gateway.registry.database.engine import engine_for, file_of, in_sentences, name_of
from gateway.registry.database.rows import HEAD, VERSION_TABLE
from gateway.registry.database.sqlite_file import check_file

log = logging.getLogger("gateway.registry.schema")
_VERSION = re.compile(r"(?!0000)[0-9]{4}")
_SELECT_VERSION: Select[str] = select(column("version_num")).select_from(table(VERSION_TABLE))


async def prepare(url: URL, *, create: bool) -> None:
    """Check a database and migrate it. With `create`, an SQLite file that does not exist is made.

    Any number of processes may do this at once: one migrates, the others wait and find nothing to do.
    Raises SourceError if the database is missing, damaged, someone else's, or newer than this version.
    """
    path = file_of(url)
    if path is not None:
        await asyncio.to_thread(check_file, path, create=create)
    engine = engine_for(url, writing=True)
    try:
        with in_sentences(name_of(url)):
            if path is not None:
                await _prepare_sqlite(engine, path)
            async with engine.connect() as connection:
                plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
                if await plain.run_sync(_version, name_of(url)) == HEAD:
                    return
            async with engine.begin() as connection:
                await connection.run_sync(_migrate, name_of(url))
    finally:
        await engine.dispose()


async def check(url: URL) -> None:
    """Raise SourceError for a database that `prepare` would refuse. It changes nothing."""
    path = file_of(url)
    if path is not None:
        check_file(path, create=False)
    engine = engine_for(url, writing=False)
    try:
        with in_sentences(name_of(url)):
            async with engine.connect() as connection:
                plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
                if path is not None:
                    await _check_whole(plain, path)
                await plain.run_sync(_version, name_of(url))
    finally:
        await engine.dispose()


async def _prepare_sqlite(engine: AsyncEngine, path: Path) -> None:
    async with engine.connect() as connection:
        plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await _check_whole(plain, path)
        deadline = asyncio.get_running_loop().time() + sqlite_file.WRITE_PATIENCE
        while True:
            try:
                await plain.exec_driver_sql("PRAGMA journal_mode = WAL")
                break
            except OperationalError:
                # SQLite does not wait for a lock here by itself, and another process may be switching right now.
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.02)


async def _check_whole(connection: AsyncConnection, path: Path) -> None:
    found = (await connection.exec_driver_sql("PRAGMA quick_check(1)")).scalar()
    if found != "ok":
        raise SourceError(f"{path}: is damaged; restore it from a backup")


def _version(connection: Connection, name: str) -> str | None:
    """The schema's version; None for a database without tables. Raises SourceError for someone else's, or a newer."""
    tables = inspect(connection).get_table_names()
    if VERSION_TABLE not in tables:
        if tables:
            raise SourceError(f"{name}: holds the tables of another program; left unchanged")
        return None
    version = str(connection.execute(_SELECT_VERSION).scalar())
    if not _VERSION.fullmatch(version):
        raise SourceError(f"{name}: does not say which schema it has; restore it from a backup")
    if version > HEAD:
        raise SourceError(f"{name}: was written by a newer gguf-gateway (schema {version}; known here: {HEAD})")
    return version


def _migrate(connection: Connection, name: str) -> None:
    # Check again, now that nobody else can write: another process may have migrated it.
    if _version(connection, name) != HEAD:
        upgrade(connection)
        log.info("%s: the schema is now %s", name, HEAD)


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing, inside the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
