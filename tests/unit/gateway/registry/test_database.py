"""The database registry: files that are none, schemas old and new, two processes at once, and ten thousand keys."""

import asyncio
import gc
import logging
import re
import sqlite3
import stat
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, make_url

from gateway.config.document import SourceError
from gateway.config.settings import DeploymentEntry, DeploymentLimits, DeploymentTimeouts, parse
from gateway.core.account import digest_of
from gateway.core.deployment import Limits, Status, Timeouts
from gateway.registry.database.change_steps import Imported
from gateway.registry.database.database_registry import SqlRegistry
from gateway.registry.database.engine import database_url, name_of
from gateway.registry.database.rows import HEAD, VERSION_TABLE, Defaults
from gateway.registry.database.server_reader import ServerReader
from gateway.registry.database.sqlite_reader import SqliteReader
from gateway.registry.database.tables import metadata
from gateway.registry.database.writer import ChangeError, SqlWriter, writer
from gateway.registry.factory import cautions, registry_of
from gateway.registry.yaml_file import read_settings
from tests.harness.patience import PATIENCE
from tests.harness.registries import accepts, in_force, opened

DEMO = DeploymentEntry(account="acme", upstream="http://127.0.0.1:9931")
MIGRATIONS = Path(__file__).parents[4] / "gateway" / "registry" / "database" / "migrations"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The content of an empty database at the newest schema: a copy is quicker than a migration."""
    path = tmp_path_factory.mktemp("template") / "gateway.db"

    async def make() -> None:
        async with writer(str(path), create=True):
            pass

    asyncio.run(make())
    return path.read_bytes()


@pytest.fixture
async def change(path: Path, template: bytes) -> AsyncIterator[SqlWriter]:
    path.touch(mode=0o600)
    path.write_bytes(template)
    async with writer(str(path)) as one:
        yield one


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


async def refused(path: Path) -> str:
    """What the registry says when it refuses to open the file."""
    registry = SqlRegistry(str(path))
    with pytest.raises(SourceError) as raised:
        await registry.open()
    await registry.close()
    return "\n".join(raised.value.lines)


# Files that are no database of ours.


async def test_a_missing_database_is_never_made_by_serving(path: Path) -> None:
    assert "there is no such database; `gguf-gateway keys create" in await refused(path)
    assert not path.exists()


def _zeroed(content: bytes) -> bytes:
    return b"\0" * 100 + content[100:]


def _torn(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _random_pages(content: bytes) -> bytes:
    return content[:4096] + b"\xa5" * (len(content) - 4096)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "a text": lambda content: b"accounts: {}\n" * 100,
    "zeroed header": _zeroed,
    "torn": _torn,
    "random pages": _random_pages,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
async def test_a_damaged_file_is_refused_and_left_as_it_is(
    damage: Callable[[bytes], bytes], path: Path, template: bytes
) -> None:
    damaged = damage(template)
    path.write_bytes(damaged)
    assert await refused(path)
    assert path.read_bytes() == damaged


@pytest.mark.parametrize("damage", [name for name in DAMAGE if name != "empty"])
async def test_no_command_writes_into_a_damaged_file_either(damage: str, path: Path, template: bytes) -> None:
    damaged = DAMAGE[damage](template)
    path.write_bytes(damaged)
    with pytest.raises(SourceError):
        async with writer(str(path), create=True) as change:
            await change.create_key("acme", "laptop")
    assert path.read_bytes() == damaged


async def test_a_folder_is_no_database(tmp_path: Path) -> None:
    assert "is not a file" in await refused(tmp_path)


async def test_another_programs_database_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE songs (title TEXT)")
    assert "holds the tables of another program" in await refused(path)
    with pytest.raises(SourceError, match="another program"):
        async with writer(str(path), create=True):
            pass
    assert rows(path, "SELECT name FROM sqlite_master") == [("songs",)]


async def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="its folder does not exist"):
        async with writer(str(tmp_path / "none" / "gateway.db"), create=True):
            pass


async def test_a_new_database_is_for_its_owner_only(path: Path) -> None:
    async with writer(str(path), create=True) as change, opened(SqlRegistry(str(path))):
        await change.create_key("acme", "laptop")
        files = list(path.parent.glob("gateway.db*"))
        assert len(files) > 1
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


@pytest.mark.parametrize("name", ["with space.db", "100%.db", "q?a=b.db", "h#sh.db", "ümläut.db", "a&b;c.db", "~.db"])
async def test_any_file_name_will_do(name: str, tmp_path: Path) -> None:
    async with writer(str(tmp_path / name), create=True) as change:
        _, text = await change.create_key("acme", "laptop")
    assert (tmp_path / name).is_file()
    async with opened(SqlRegistry(str(tmp_path / name))) as registry:
        assert accepts(registry, text)


# What may stand in `database`.


@pytest.mark.parametrize(
    "text",
    ["sqlite://", "sqlite:///:memory:", ":memory:", "nosuchdb://h/d", "sqlite+aiosqlite://", "://", "x://u:CANARY@"],
)
async def test_a_url_that_names_no_database_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(SourceError) as raised:
        await SqlRegistry(text).open()
    assert "CANARY" not in str(raised.value)


def test_a_password_is_not_part_of_a_databases_name() -> None:
    assert name_of(make_url("postgresql+asyncpg://u:CANARY@h/d")) == "postgresql+asyncpg://u:***@h/d"


def test_a_relative_path_starts_at_the_configurations_folder(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text("database: sqlite+aiosqlite:///gateway.db")
    registry = registry_of(read_settings(config), config)
    assert isinstance(registry, SqlRegistry)
    assert registry.name == str(tmp_path / "gateway.db")


def test_a_database_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text("database: gateway.db")
    (tmp_path / "gateway.db").write_bytes(b"")
    (tmp_path / "gateway.db").chmod(0o644)
    assert any("gateway.db can be read by other users" in said for said in cautions(read_settings(config), config))


# The schema.


async def test_the_migrations_make_the_tables_that_the_code_knows(path: Path, change: SqlWriter) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_newest_migration_is_the_one_the_code_knows() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [HEAD]


async def test_an_older_schema_is_brought_up_to_date_and_nothing_is_lost(path: Path, change: SqlWriter) -> None:
    await change.add_deployment("demo", DEMO)
    _, text = await change.create_key("acme", "laptop")
    with closing(sqlite3.connect(path)) as database, database:  # as the first version left it
        database.execute("ALTER TABLE deployments DROP COLUMN queue")
        database.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0001'")
    async with opened(SqlRegistry(str(path))) as registry:
        assert accepts(registry, text)
        assert registry.snapshot.deployments["demo"].timeouts == Timeouts()
    assert rows(path, f"SELECT version_num FROM {VERSION_TABLE}") == [(HEAD,)]


async def test_a_newer_schema_is_refused(path: Path, change: SqlWriter) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    assert "written by a newer gguf-gateway (schema 9999" in await refused(path)


@pytest.mark.parametrize("stated", ["''", "'0000'", "'x'", "NULL"])
async def test_a_schema_that_no_version_ever_had_is_said_in_a_sentence(
    stated: str, path: Path, change: SqlWriter
) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"DELETE FROM {VERSION_TABLE}")
        if stated != "NULL":
            database.execute(f"INSERT INTO {VERSION_TABLE} VALUES ({stated})")
    assert "does not say which schema it has; restore it from a backup" in await refused(path)


async def test_a_missing_column_is_said_in_a_sentence(path: Path, change: SqlWriter) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("ALTER TABLE deployments DROP COLUMN silence")
    assert "lacks a column" in await refused(path)


@pytest.mark.parametrize("column", ["digest = 'zz'", "created_at = 'yesterday'"])
async def test_a_row_that_the_gateway_did_not_write_is_said_in_a_sentence(
    column: str, path: Path, change: SqlWriter
) -> None:
    await change.create_key("acme", "laptop")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"UPDATE keys SET {column}")
    assert "cannot be used" in await refused(path)


async def test_a_migration_that_fails_half_way_leaves_nothing_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.registry.database import schema

    run = schema.upgrade

    def broken(connection: object) -> None:
        run(connection)  # type: ignore[arg-type]
        raise OSError("the power went off")

    monkeypatch.setattr(schema, "upgrade", broken)
    with pytest.raises(SourceError, match="the power went off"):
        async with writer(str(path), create=True):
            pass
    monkeypatch.undo()
    assert rows(path, "SELECT name FROM sqlite_master") == []
    async with writer(str(path), create=True) as change:
        await change.create_key("acme", "laptop")


async def test_many_can_make_the_database_at_once(path: Path) -> None:
    async def make(number: int) -> str:
        async with writer(str(path), create=True) as change:
            return (await change.create_key("acme", f"key {number}"))[1]

    texts = await asyncio.gather(*(make(number) for number in range(8)))
    async with opened(SqlRegistry(str(path))) as registry:
        assert all(accepts(registry, text) for text in texts)
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


async def test_it_is_durable_and_does_not_block_its_readers(path: Path, change: SqlWriter) -> None:
    assert rows(path, "PRAGMA journal_mode") == [("wal",)]
    async with change._engine.connect() as connection:
        assert (await connection.exec_driver_sql("PRAGMA synchronous")).scalar() == 2  # FULL
        assert (await connection.exec_driver_sql("PRAGMA foreign_keys")).scalar() == 1


async def test_a_key_is_looked_up_by_an_index(path: Path, change: SqlWriter) -> None:
    plan = rows(path, "EXPLAIN QUERY PLAN SELECT * FROM keys WHERE digest = 'x'")
    assert "USING INDEX" in str(plan)


# Changes.


async def test_a_rotated_key_leaves_a_successor_and_runs_out(path: Path, change: SqlWriter) -> None:
    old, old_text = await change.create_key("acme", "laptop")
    new, new_text, ending = await change.rotate_key(old.id)
    assert (new.name, new.account, new.successor_of, new.expires_at) == ("laptop", "acme", old.id, None)
    assert ending.expires_at is not None
    assert timedelta(hours=23, minutes=59) < ending.expires_at - datetime.now(UTC) <= timedelta(hours=24)
    async with opened(SqlRegistry(str(path))) as registry:
        assert accepts(registry, old_text)
        assert accepts(registry, new_text)
        later = datetime.now(UTC) + timedelta(hours=24)
        assert registry.snapshot.key(digest_of(old_text), later) is None
        assert registry.snapshot.key(digest_of(new_text), later) is not None


async def test_without_grace_the_old_key_ends_at_once(path: Path, change: SqlWriter) -> None:
    old, old_text = await change.create_key("acme", "laptop")
    await change.rotate_key(old.id, timedelta(0))
    async with opened(SqlRegistry(str(path))) as registry:
        assert not accepts(registry, old_text)


async def test_rotating_never_lengthens_a_life(change: SqlWriter) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    old, _ = await change.create_key("acme", "laptop", soon)
    new, _, ending = await change.rotate_key(old.id)
    assert ending.expires_at == soon
    assert new.expires_at is not None
    assert abs(new.expires_at - soon) < timedelta(seconds=10)


async def test_only_a_living_key_can_be_rotated_and_only_once(change: SqlWriter) -> None:
    old, _ = await change.create_key("acme", "laptop")
    new, _, _ = await change.rotate_key(old.id)
    with pytest.raises(ChangeError, match="was rotated before"):
        await change.rotate_key(old.id)
    await change.revoke_key(new.id)
    with pytest.raises(ChangeError, match="is already expired or revoked"):
        await change.rotate_key(new.id)


async def test_revoking_again_changes_nothing(change: SqlWriter) -> None:
    key, _ = await change.create_key("acme", "laptop")
    first = await change.revoke_key(key.id)
    assert await change.revoke_key(key.id) == first


@pytest.mark.parametrize(
    ("account", "name"),
    [("", "x"), ("a/b", "x"), ("a\n", "x"), ("acme", ""), ("acme", " x"), ("acme", "x\n"), ("acme", "x" * 65)],
)
async def test_a_key_needs_a_plain_account_and_a_name(account: str, name: str, change: SqlWriter) -> None:
    with pytest.raises(ChangeError, match="Invalid"):
        await change.create_key(account, name)


async def test_a_key_cannot_be_born_dead(change: SqlWriter) -> None:
    with pytest.raises(ChangeError, match="expired before it was made"):
        await change.create_key("acme", "laptop", datetime.now(UTC))


async def test_a_deployment_keeps_what_it_was_given(path: Path, change: SqlWriter) -> None:
    limits = DeploymentTimeouts(connect=1, silence=3, queue=4)
    given = {"upstream_key": "s3cret", "status": Status.READY, "timeouts": limits, "ping": 15.0}
    entry = DEMO.model_copy(update={**given, "limits": DeploymentLimits(waiting=7)})
    await change.add_deployment("demo", entry)
    defaults = Defaults(Timeouts(first_byte=20), Limits(connections=9))
    async with opened(SqlRegistry(str(path), defaults)) as registry:
        found = registry.snapshot.deployments["demo"]
        assert (found.upstream_key, found.status, found.timeouts) == ("s3cret", Status.READY, Timeouts(1, 20, 3, 4))
        assert (found.limits, found.ping, found.ca_file) == (Limits(9, 7), 15.0, None)
        paused = change.set_status("demo", Status.PAUSED)
        await in_force(registry, paused, lambda: registry.snapshot.deployments["demo"].status is Status.PAUSED)
        update = change.update_deployment("demo", DEMO)
        await in_force(registry, update, lambda: registry.snapshot.deployments["demo"].upstream_key is None)


async def test_what_cannot_be_changed_is_said_in_a_sentence(change: SqlWriter) -> None:
    await change.add_deployment("demo", DEMO)
    with pytest.raises(ChangeError, match="There is a deployment demo already"):
        await change.add_deployment("demo", DEMO)
    with pytest.raises(ChangeError, match="There is a deployment demo already"):
        await change.add_deployment("demo", DEMO.model_copy(update={"account": "beta"}))
    with pytest.raises(ChangeError, match="Account beta has no deployment demo"):
        await change.update_deployment("demo", DEMO.model_copy(update={"account": "beta"}))
    with pytest.raises(ChangeError, match="There is no deployment 'none'"):
        await change.set_status("none", Status.PAUSED)
    with pytest.raises(ChangeError, match="There is no deployment 'none'"):
        await change.remove_deployment("none")
    with pytest.raises(ChangeError, match="Invalid id"):
        await change.add_deployment("a/b", DEMO)
    with pytest.raises(ChangeError, match="There is no key of this id"):
        await change.revoke_key("' OR '1'='1")


async def test_a_refused_change_does_not_move_the_revision(path: Path, change: SqlWriter) -> None:
    await change.add_deployment("demo", DEMO)
    before = rows(path, "SELECT number FROM revision")
    with pytest.raises(ChangeError):
        await change.add_deployment("demo", DEMO)
    assert rows(path, "SELECT number FROM revision") == before


IMPORTED = """\
accounts:
  acme: {keys: [{name: laptop, key: gw_CANARY_secret_0123456789}, {name: ci, key_sha256: %s}]}
deployments:
  demo: {account: acme, upstream: "http://127.0.0.1:1", status: paused}
  next: {account: acme, upstream: "http://127.0.0.1:2"}
""" % ("ab" * 32)


async def test_an_import_takes_all_and_doing_it_again_changes_nothing(path: Path, change: SqlWriter) -> None:
    settings = parse(IMPORTED, "gw.yaml", {})
    assert await change.import_settings(settings) == Imported(keys_added=2, deployments_added=2)
    before = rows(path, "SELECT * FROM deployments"), rows(path, "SELECT * FROM keys")
    assert await change.import_settings(settings) == Imported(keys_known=2, deployments_known=2)
    assert await change.import_settings(settings, overwrite=True) == Imported(keys_known=2, deployments_known=2)
    assert (rows(path, "SELECT * FROM deployments"), rows(path, "SELECT * FROM keys")) == before
    async with opened(SqlRegistry(str(path))) as registry:
        assert accepts(registry, "gw_CANARY_secret_0123456789", "acme")
        assert registry.snapshot.deployments["demo"].status is Status.PAUSED
    assert not any(b"CANARY" in file.read_bytes() for file in path.parent.iterdir())


async def test_an_import_keeps_what_was_changed_unless_told_to_overwrite(path: Path, change: SqlWriter) -> None:
    settings = parse(IMPORTED, "gw.yaml", {})
    await change.import_settings(settings)
    changed = settings.deployments["next"].model_copy(update={"upstream": "http://127.0.0.1:3", "ping": 15.0})
    await change.update_deployment("next", changed)
    await change.set_status("next", Status.PAUSED)
    differing = {"next": ("upstream", "status", "ping")}
    before = rows(path, "SELECT * FROM deployments")
    kept = await change.import_settings(settings)
    assert kept == Imported(keys_known=2, deployments_known=2, deployments_kept=differing)
    assert rows(path, "SELECT * FROM deployments") == before
    done = await change.import_settings(settings, overwrite=True)
    assert done == Imported(keys_known=2, deployments_known=2, deployments_overwritten=differing)
    now = rows(path, "SELECT upstream, status, ping FROM deployments WHERE id = 'next'")
    assert now == [("http://127.0.0.1:2", "auto", None)]


async def test_an_import_that_would_take_from_another_account_changes_nothing(path: Path, change: SqlWriter) -> None:
    await change.add_deployment("next", DEMO.model_copy(update={"account": "beta"}))
    with pytest.raises(ChangeError, match="Deployment next belongs to another account"):
        await change.import_settings(parse(IMPORTED, "gw.yaml", {}))
    assert rows(path, "SELECT count(*) FROM keys") == [(0,)]
    await change.remove_deployment("next")
    await change.import_settings(parse(IMPORTED, "gw.yaml", {}))
    with pytest.raises(ChangeError, match="The key beta/laptop belongs to another account"):
        await change.import_settings(parse(IMPORTED.replace("acme", "beta"), "gw.yaml", {}))


# While it is being served.


async def test_two_gateways_on_one_file_follow_every_change_under_load(path: Path, change: SqlWriter) -> None:
    async with opened(SqlRegistry(str(path))) as one, opened(SqlRegistry(str(path))) as other:
        texts: list[str] = []

        async def load() -> None:
            for number in range(20):
                key, text = await change.create_key("acme", f"key {number}")
                if number % 4 == 0:
                    await change.revoke_key(key.id)
                elif number % 4 == 1:
                    texts.extend([text, (await change.rotate_key(key.id))[1]])
                else:
                    texts.append(text)

        await load()
        for registry in (one, other):
            await in_force(registry, asyncio.sleep(0), lambda: all(accepts(registry, text) for text in texts))  # noqa: B023 (used before the next turn)
            assert len(registry.snapshot.keys) == 25
            assert registry.problem is None


async def test_a_writer_that_holds_the_database_does_not_disturb_who_reads_it(path: Path, change: SqlWriter) -> None:
    _, text = await change.create_key("acme", "laptop")
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        async with opened(SqlRegistry(str(path))) as registry:
            assert accepts(registry, text)
        holder.execute("ROLLBACK")


async def test_a_writer_waits_for_another_and_then_says_so(
    path: Path, change: SqlWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.registry.database.sqlite_file.WRITE_PATIENCE", 0.2)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(SourceError, match="is locked by another program"):
            async with writer(str(path)) as impatient:
                await impatient.create_key("acme", "laptop")
        holder.execute("ROLLBACK")
    assert rows(path, "SELECT count(*) FROM keys") == [(0,)]


async def test_a_locked_database_keeps_the_last_snapshot_and_recovers(
    path: Path, change: SqlWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, text = await change.create_key("acme", "laptop")
    monkeypatch.setattr("gateway.registry.database.sqlite_file.READ_PATIENCE", 0.05)
    monkeypatch.setattr("gateway.registry.database.sqlite_file.WRITE_PATIENCE", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None, timeout=PATIENCE)) as holder:
        async with opened(SqlRegistry(str(path), interval=0.05)) as registry:
            await registry.close()  # SQLite gives an exclusive lock only while nobody else is connected
            await change._engine.dispose()
            holder.execute("PRAGMA locking_mode = EXCLUSIVE")
            holder.execute("BEGIN EXCLUSIVE")
            with pytest.raises(SourceError, match="is locked by another program"):
                await registry.open()
            assert accepts(registry, text)
            holder.execute("ROLLBACK")
            holder.close()
            await registry.open()
            assert accepts(registry, text)


async def test_a_database_replaced_by_another_is_followed(path: Path, change: SqlWriter) -> None:
    _, old = await change.create_key("acme", "laptop")
    async with opened(SqlRegistry(str(path))) as registry:
        async with writer(str(path.with_name("restored.db")), create=True) as other:
            _, new = await other.create_key("acme", "restored")

        async def replace() -> None:
            path.with_name("restored.db").replace(path)

        await in_force(registry, replace(), lambda: accepts(registry, new))
        assert not accepts(registry, old)


async def test_both_readers_read_the_same(path: Path, change: SqlWriter) -> None:
    """SQLite is read without SQLAlchemy, a database server through it: an SQLite file can be read either way."""
    await change.import_settings(parse(IMPORTED, "gw.yaml", {}))
    limits = {"timeouts": DeploymentTimeouts(connect=1, queue=4), "limits": DeploymentLimits(waiting=7)}
    await change.add_deployment("given", DEMO.model_copy(update={**limits, "ping": 15.0, "upstream_key": "s"}))
    key, _ = await change.create_key("acme", "laptop", datetime.now(UTC) + timedelta(days=1))
    await change.rotate_key(key.id)
    await change.revoke_key((await change.create_key("beta", "gone"))[0].id)
    defaults = Defaults(Timeouts(first_byte=20), Limits(connections=9))
    one = await SqliteReader.open(path, defaults)
    other = await ServerReader.open(database_url(path), defaults)
    read = await one.read(None)
    assert read is not None
    assert (len(read[1].keys), len(read[1].deployments)) == (5, 3)
    assert await other.read(None) == read
    assert await one.read(read[0]) is await other.read(read[0]) is None
    await one.close()
    await other.close()


_SERVED = """
import asyncio, sys
from gateway.registry.database.database_registry import SqlRegistry

async def serve(path):
    registry = SqlRegistry(path)
    await registry.open()
    await registry.close()

asyncio.run(serve(sys.argv[1]))
print("sqlalchemy" in sys.modules)
"""


@pytest.mark.parametrize("schema", [HEAD, "0001"])
async def test_sqlalchemy_is_loaded_only_to_migrate(schema: str, path: Path, change: SqlWriter) -> None:
    if schema != HEAD:
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("ALTER TABLE deployments DROP COLUMN queue")
            database.execute(f"UPDATE {VERSION_TABLE} SET version_num = ?", [schema])
    served = await asyncio.create_subprocess_exec(sys.executable, "-c", _SERVED, str(path), stdout=PIPE)
    said, _ = await served.communicate()
    assert said.decode().strip() == str(schema != HEAD)


async def test_what_reads_cannot_write(path: Path, change: SqlWriter) -> None:
    reader = await SqliteReader.open(path, Defaults())
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await reader._connection.execute("DELETE FROM keys")
    await reader.close()


async def test_a_deleted_database_is_not_made_again(path: Path, change: SqlWriter) -> None:
    _, text = await change.create_key("acme", "laptop")
    async with opened(SqlRegistry(str(path))) as registry:

        async def delete() -> None:
            path.unlink()

        await in_force(registry, delete(), lambda: registry.problem is not None)
        assert accepts(registry, text)
        assert not path.exists()


async def test_a_database_damaged_while_served_keeps_the_last_snapshot(path: Path, change: SqlWriter) -> None:
    _, text = await change.create_key("acme", "laptop")
    async with opened(SqlRegistry(str(path))) as registry:

        async def damage() -> None:
            path.with_name("x").write_bytes(b"\0" * 8192)
            path.with_name("x").replace(path)

        await in_force(registry, damage(), lambda: registry.problem is not None)
        assert registry.problem is not None
        assert "is not an SQLite database" in registry.problem.lines[0]
        assert accepts(registry, text)


async def test_nothing_of_a_key_is_written_in_plain_text_not_even_to_the_log(
    path: Path, change: SqlWriter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "sqlalchemy")
    key, text = await change.create_key("acme", "laptop")
    _, successor, _ = await change.rotate_key(key.id)
    await change.add_deployment("demo", DEMO.model_copy(update={"upstream_key": "CANARYUP"}))
    async with opened(SqlRegistry(str(path))):
        written = b"".join(file.read_bytes() for file in path.parent.iterdir())
    for secret in (text, successor):
        assert secret.encode() not in written
        assert secret[3:43].encode() not in written
        assert secret not in caplog.text
    assert "CANARYUP" not in caplog.text
    assert not [record for record in caplog.records if record.name.startswith(("aiosqlite", "sqlalchemy.engine"))]


async def test_a_restored_copy_works(path: Path, change: SqlWriter, tmp_path: Path) -> None:
    _, text = await change.create_key("acme", "laptop")
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("VACUUM INTO ?", [str(copy)])
    async with opened(SqlRegistry(str(copy))) as registry:
        assert accepts(registry, text)


_FILL = """
import asyncio, sys
from gateway.registry.database.writer import writer
from gateway.config.document import SourceError

async def fill(path):
    async with writer(path) as change:
        try:
            for number in range(10_000):
                print((await change.create_key("acme", f"key {number}"))[0].id)
        except SourceError as error:
            print(error)

asyncio.run(fill(sys.argv[1]))
"""


async def test_a_full_disk_undoes_the_change_and_loses_none_before_it(path: Path, change: SqlWriter) -> None:
    await change._engine.dispose()
    filled = await asyncio.create_subprocess_exec(
        "sh", "-c", 'ulimit -f 140; exec "$@"', "sh", sys.executable, "-c", _FILL, str(path), stdout=PIPE
    )
    *acknowledged, error = (await filled.communicate())[0].decode().splitlines()
    assert re.match(r".*gateway\.db: cannot be (read or )?written", error)
    assert len(acknowledged) > 5
    assert {(key_id,) for key_id in acknowledged} <= set(rows(path, "SELECT id FROM keys"))
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    await change.create_key("acme", "after")


@pytest.fixture
def no_collection() -> Iterator[None]:
    """A collection of all the garbage of a test process would be measured as the registry's own."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
async def test_ten_thousand_keys_are_loaded_without_holding_up_the_loop(path: Path, change: SqlWriter) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("INSERT INTO accounts VALUES ('acme', '2026-01-01 00:00:00.000000')")
        database.executemany(
            "INSERT INTO keys (id, name, account, digest, created_at) VALUES (?, 'n', 'acme', ?, ?)",
            [(f"key_{n}", f"{n:064x}", "2026-01-01 00:00:00.000000") for n in range(10_000)],
        )
        database.executemany(
            "INSERT INTO deployments (id, account, upstream, status, created_at, updated_at)"
            " VALUES (?, 'acme', 'http://h:1', 'auto', ?, ?)",
            [(f"d{n}", "2026-01-01 00:00:00.000000", "2026-01-01 00:00:00.000000") for n in range(1_000)],
        )
    registry = SqlRegistry(str(path))
    slowest, used = 0.0, time.process_time()  # CPU time: other processes do not count
    opening = asyncio.create_task(registry.open())
    while not opening.done():
        before = time.thread_time()
        await asyncio.sleep(0)
        slowest = max(slowest, time.thread_time() - before)
    await opening
    assert time.process_time() - used < 3
    assert slowest < 0.1
    assert (len(registry.snapshot.keys), len(registry.snapshot.deployments)) == (10_000, 1_000)
    await registry.close()
