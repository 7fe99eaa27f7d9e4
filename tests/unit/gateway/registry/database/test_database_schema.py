"""The schema: old, new and unknown ones, and migrations that fail."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from gateway.config.document import SourceError
from gateway.core.deployment import Timeouts
from gateway.core.endpoints import DEFAULT_GROUPS, EndpointGroup
from gateway.registry.database.database_registry import SqlRegistry
from gateway.registry.database.rows import HEAD, VERSION_TABLE
from gateway.registry.database.tables import metadata
from tests.harness.storage.changes import Changes, changing
from tests.harness.storage.databases import (
    DEMO,
    KEY_0003,
    MIGRATIONS,
    as_the_first_version_left_it,
    refused,
    rows,
    written_by_0003,
)
from tests.harness.storage.registries import accepts, opened


async def test_the_migrations_make_the_tables_that_the_code_knows(path: Path, change: Changes) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_newest_migration_is_the_one_the_code_knows() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [HEAD]


async def test_an_older_schema_is_brought_up_to_date_and_nothing_is_lost(path: Path, change: Changes) -> None:
    await change.add_deployment("demo", DEMO)
    _, text = await change.create_key("acme", "laptop")
    as_the_first_version_left_it(path)
    async with opened(SqlRegistry(str(path))) as registry:
        assert accepts(registry, text)
        assert registry.snapshot.deployments["demo"].timeouts == Timeouts()
        assert registry.snapshot.deployments["demo"].endpoints == DEFAULT_GROUPS
    assert rows(path, f"SELECT version_num FROM {VERSION_TABLE}") == [(HEAD,)]


async def test_a_file_of_the_version_before_teams_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    written_by_0003(path)
    names = "id, name, account, digest, created_at, expires_at, revoked_at, successor_of"
    settings = "SELECT id, upstream_key, queue, ping FROM deployments"
    before = (rows(path, f"SELECT {names} FROM keys"), rows(path, settings))
    async with opened(SqlRegistry(str(path))) as registry:
        assert accepts(registry, KEY_0003)
        kept = registry.snapshot.keys.values()
        assert {(key.deployments, key.endpoints, key.networks) for key in kept} == {(None, None, None)}
        assert all(key.enabled and not key.cut for key in kept)
        assert registry.snapshot.deployments["demo"].endpoints == (EndpointGroup.NATIVE,)
    assert before == (rows(path, f"SELECT {names} FROM keys"), rows(path, settings))


async def test_a_newer_schema_is_refused(path: Path, change: Changes) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    assert "written by a newer gguf-gateway (schema 9999" in await refused(path)


@pytest.mark.parametrize("stated", ["''", "'0000'", "'x'", "NULL"])
async def test_a_schema_that_no_version_ever_had_is_said_in_a_sentence(
    stated: str, path: Path, change: Changes
) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"DELETE FROM {VERSION_TABLE}")
        if stated != "NULL":
            database.execute(f"INSERT INTO {VERSION_TABLE} VALUES ({stated})")
    assert "does not say which schema it has; restore it from a backup" in await refused(path)


async def test_a_missing_column_is_said_in_a_sentence(path: Path, change: Changes) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("ALTER TABLE deployments DROP COLUMN silence")
    assert "lacks a column" in await refused(path)


@pytest.mark.parametrize("column", ["digest = 'zz'", "expires_at = 'yesterday'"])
async def test_a_row_that_the_gateway_did_not_write_is_said_in_a_sentence(
    column: str, path: Path, change: Changes
) -> None:
    await change.create_key("acme", "laptop")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"UPDATE keys SET {column}")
    assert "cannot be used" in await refused(path)


async def test_a_migration_that_fails_half_way_leaves_nothing_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.registry.database import migrate

    run = migrate.upgrade

    def broken(connection: object) -> None:
        run(connection)  # type: ignore[arg-type]
        raise OSError("the power went off")

    monkeypatch.setattr(migrate, "upgrade", broken)
    with pytest.raises(SourceError, match="the power went off"):
        async with changing(str(path), create=True):
            pass
    monkeypatch.undo()
    assert rows(path, "SELECT name FROM sqlite_master") == []
    async with changing(str(path), create=True) as change:
        await change.create_key("acme", "laptop", create_account=True)


async def test_many_can_make_the_database_at_once(path: Path) -> None:
    async def make(number: int) -> str:
        async with changing(str(path), create=True) as change:
            return (await change.create_key("acme", f"key {number}", create_account=True))[1]

    texts = await asyncio.gather(*(make(number) for number in range(8)))
    async with opened(SqlRegistry(str(path))) as registry:
        assert all(accepts(registry, text) for text in texts)
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


async def test_it_is_durable_and_does_not_block_its_readers(path: Path, change: Changes) -> None:
    assert rows(path, "PRAGMA journal_mode") == [("wal",)]
    async with change.engine.connect() as connection:
        assert (await connection.exec_driver_sql("PRAGMA synchronous")).scalar() == 2  # FULL
        assert (await connection.exec_driver_sql("PRAGMA foreign_keys")).scalar() == 1


async def test_a_key_is_looked_up_by_an_index(path: Path, change: Changes) -> None:
    plan = rows(path, "EXPLAIN QUERY PLAN SELECT * FROM keys WHERE digest = 'x'")
    assert "USING INDEX" in str(plan)
