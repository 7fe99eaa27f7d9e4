"""The schema on PostgreSQL: made, migrated with what is in it, refused where it is somebody else's."""

import asyncio
import sys
from collections.abc import Callable

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from gateway.config.document import SourceError
from gateway.registry.database import engine
from gateway.registry.database.database_registry import SqlRegistry
from gateway.registry.database.engine import database_url, engine_for
from gateway.registry.database.migrate import prepare
from gateway.registry.database.rows import HEAD, VERSION_TABLE
from gateway.registry.database.tables import metadata, revision
from tests.harness.storage.databases import MIGRATIONS
from tests.harness.storage.postgresql import Postgresql
from tests.harness.storage.registries import accepts, opened

pytestmark = pytest.mark.slow

_KEY, _DIGEST = "gw_of_an_older_database_0123456789", "sha256(convert_to('gw_of_an_older_database_0123456789', 'UTF8'))"
_OLDER = f"""
INSERT INTO accounts (id, created_at) VALUES ('acme', now());
INSERT INTO keys (id, name, account, digest, created_at)
  VALUES ('key_1', 'laptop', 'acme', encode({_DIGEST}, 'hex'), now());
INSERT INTO deployments (id, account, upstream, status, created_at, updated_at)
  VALUES ('demo', 'acme', 'http://127.0.0.1:1', 'auto', now(), now());
"""
_PREPARE = """
import asyncio, sys
from gateway.registry.database.engine import database_url
from gateway.registry.database.migrate import prepare
asyncio.run(prepare(database_url(sys.argv[1]), create=True))
"""


async def on(url: str, act: Callable[[Connection], None]) -> None:
    """Call `act` with a connection in a transaction."""
    writing = engine_for(database_url(url), writing=True)
    async with writing.begin() as connection:
        await connection.run_sync(act)
    await writing.dispose()


def up_to(version: str, connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, version)


async def test_the_migrations_make_the_tables_that_postgresql_wants(url: str) -> None:
    def compare(connection: Connection) -> None:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []

    await on(url, compare)


@pytest.mark.parametrize("version", ["0001", "0002", "0003", "0004", "0005"])
async def test_an_older_schema_is_migrated_with_what_is_in_it(postgresql_server: Postgresql, version: str) -> None:
    url = postgresql_server.database()
    await on(url, lambda connection: up_to(version, connection))
    postgresql_server.query(url, _OLDER)
    async with opened(SqlRegistry(url)) as registry:
        assert accepts(registry, _KEY, "acme")
        assert registry.snapshot.deployments["demo"].upstream == "http://127.0.0.1:1"
    assert postgresql_server.query(url, f"SELECT version_num FROM {VERSION_TABLE}") == [(HEAD,)]


async def test_one_of_four_processes_migrates_and_the_others_wait(postgresql_server: Postgresql) -> None:
    url = postgresql_server.database()
    begun = [asyncio.create_subprocess_exec(sys.executable, "-c", _PREPARE, url) for _ in range(4)]
    assert [await process.wait() for process in await asyncio.gather(*begun)] == [0] * 4
    assert postgresql_server.query(url, f"SELECT version_num FROM {VERSION_TABLE}") == [(HEAD,)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (f"UPDATE {VERSION_TABLE} SET version_num = '9999'", "written by a newer gguf-gateway"),
        (f"DROP TABLE {VERSION_TABLE}", "holds the tables of another program"),
    ],
)
async def test_a_database_of_others_is_left_as_it_is(
    postgresql_server: Postgresql, url: str, change: str, said: str
) -> None:
    postgresql_server.query(url, change)
    with pytest.raises(SourceError, match=said):
        await prepare(database_url(url), create=True)


async def test_the_audit_log_is_never_rewritten(postgresql_server: Postgresql, url: str) -> None:
    values = "(now(), 'machine', 'root', 'root', 'command', 'keys.create', 'key_1')"
    columns = "(at, actor_kind, actor, actor_name, face, action, target)"
    postgresql_server.query(url, f"INSERT INTO audit {columns} VALUES {values}")

    def rewrite(connection: Connection) -> None:
        with pytest.raises(DBAPIError, match="append-only"):
            connection.exec_driver_sql("UPDATE audit SET actor = 'nobody'")
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await on(url, rewrite)
    assert postgresql_server.query(url, "SELECT actor FROM audit") == [("root",)]


@pytest.mark.parametrize(
    ("instead", "said"),
    [
        ("gateway_none?", 'database "gateway_none" does not exist'),
        ("template1?sslmode=require&", "asyncpg knows no `sslmode`; write `ssl` instead"),
    ],
)
async def test_what_is_wrong_with_a_url_is_said_in_a_sentence(url: str, instead: str, said: str) -> None:
    head, _, tail = url.partition("@/")
    wrong = f"{head}:CANARY@/{instead}{tail.partition('?')[2]}"
    with pytest.raises(SourceError, match=said) as raised:
        await prepare(database_url(wrong), create=True)
    assert "CANARY" not in "".join(raised.value.lines)


async def test_writers_come_one_after_the_other_and_none_waits_for_ever(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_PATIENCE", "SET LOCAL lock_timeout = '100ms'")
    one, other = (engine_for(database_url(url), writing=True) for _ in range(2))
    async with one.begin():
        with pytest.raises(SourceError, match="is locked by another program"), engine.in_sentences("x"):
            async with other.begin():
                pass
        async with engine_for(database_url(url), writing=False).begin() as reading:
            await reading.execute(select(revision))
    async with other.begin():
        pass
    await one.dispose()
    await other.dispose()
