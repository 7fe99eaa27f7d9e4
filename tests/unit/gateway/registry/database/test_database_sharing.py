"""One database, several processes: who waits for whom, what each sees, and ten thousand keys."""

import asyncio
import logging
import re
import sqlite3
import sys
import time
from asyncio.subprocess import PIPE
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.config.document import SourceError
from gateway.config.settings import DeploymentLimits, DeploymentTimeouts, parse
from gateway.core.deployment import Limits, Timeouts
from gateway.registry.database.database_registry import SqlRegistry
from gateway.registry.database.engine import database_url
from gateway.registry.database.rows import HEAD, Defaults
from gateway.registry.database.server_reader import ServerReader
from gateway.registry.database.sqlite_reader import SqliteReader
from tests.harness.patience import PATIENCE
from tests.harness.storage.changes import Changes, changing
from tests.harness.storage.databases import DEMO, IMPORTED, as_the_first_version_left_it, rows
from tests.harness.storage.registries import accepts, in_force, opened


@pytest.mark.slow
async def test_two_gateways_on_one_file_follow_every_change_under_load(path: Path, change: Changes) -> None:
    async with opened(SqlRegistry(str(path))) as one, opened(SqlRegistry(str(path))) as other:
        texts: list[str] = []

        async def load() -> None:
            for number in range(20):
                key, text = await change.create_key("acme", f"key {number}", create_account=True)
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


async def test_a_writer_that_holds_the_database_does_not_disturb_who_reads_it(path: Path, change: Changes) -> None:
    _, text = await change.create_key("acme", "laptop")
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        async with opened(SqlRegistry(str(path))) as registry:
            assert accepts(registry, text)
        holder.execute("ROLLBACK")


async def test_a_writer_waits_for_another_and_then_says_so(
    path: Path, change: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.registry.database.sqlite_file.WRITE_PATIENCE", 0.2)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(SourceError, match="is locked by another program"):
            async with changing(str(path)) as impatient:
                await impatient.create_key("acme", "laptop", create_account=True)
        holder.execute("ROLLBACK")
    assert rows(path, "SELECT count(*) FROM keys") == [(0,)]


async def test_a_locked_database_keeps_the_last_snapshot_and_recovers(
    path: Path, change: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, text = await change.create_key("acme", "laptop")
    monkeypatch.setattr("gateway.registry.database.sqlite_file.READ_PATIENCE", 0.05)
    monkeypatch.setattr("gateway.registry.database.sqlite_file.WRITE_PATIENCE", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None, timeout=PATIENCE)) as holder:
        async with opened(SqlRegistry(str(path), interval=0.05)) as registry:
            await registry.close()  # SQLite gives an exclusive lock only while nobody else is connected
            await change.engine.dispose()
            holder.execute("PRAGMA locking_mode = EXCLUSIVE")
            holder.execute("BEGIN EXCLUSIVE")
            with pytest.raises(SourceError, match="is locked by another program"):
                await registry.open()
            assert accepts(registry, text)
            holder.execute("ROLLBACK")
            holder.close()
            await registry.open()
            assert accepts(registry, text)


async def test_a_database_replaced_by_another_is_followed(path: Path, change: Changes) -> None:
    _, old = await change.create_key("acme", "laptop")
    async with opened(SqlRegistry(str(path))) as registry:
        async with changing(str(path.with_name("restored.db")), create=True) as other:
            _, new = await other.create_key("acme", "restored", create_account=True)

        async def replace() -> None:
            path.with_name("restored.db").replace(path)

        await in_force(registry, replace(), lambda: accepts(registry, new))
        assert not accepts(registry, old)


async def test_both_readers_read_the_same(path: Path, change: Changes) -> None:
    """SQLite is read without SQLAlchemy, a database server through it: an SQLite file can be read either way."""
    await change.import_settings(parse(IMPORTED, "gw.yaml", {}))
    limits = {"timeouts": DeploymentTimeouts(connect=1, queue=4), "limits": DeploymentLimits(waiting=7)}
    await change.add_deployment("given", DEMO.model_copy(update={**limits, "ping": 15.0, "upstream_key": "s"}))
    key, _ = await change.create_key("acme", "tablet", datetime.now(UTC) + timedelta(days=1))
    await change.rotate_key(key.id)
    await change.revoke_key((await change.create_key("beta", "gone"))[0].id)
    defaults = Defaults(Timeouts(first_byte=20), Limits(connections=9))
    one = await SqliteReader.open(path, defaults)
    other = await ServerReader.open(database_url(path), defaults)
    read = await one.read(None)
    assert read is not None
    assert (len(read.snapshot.keys), len(read.snapshot.deployments)) == (5, 3)
    assert await other.read(None) == read
    assert await one.read(read) is await other.read(read) is None
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


@pytest.mark.slow
@pytest.mark.parametrize("schema", [HEAD, "0001"])
async def test_sqlalchemy_is_loaded_only_to_migrate(schema: str, path: Path, change: Changes) -> None:
    if schema != HEAD:
        as_the_first_version_left_it(path)
    served = await asyncio.create_subprocess_exec(sys.executable, "-c", _SERVED, str(path), stdout=PIPE)
    said, _ = await served.communicate()
    assert said.decode().strip() == str(schema != HEAD)


async def test_what_reads_cannot_write(path: Path, change: Changes) -> None:
    reader = await SqliteReader.open(path, Defaults())
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._connection.execute("DELETE FROM keys")
    await reader.close()


async def test_a_deleted_database_is_not_made_again(path: Path, change: Changes) -> None:
    _, text = await change.create_key("acme", "laptop")
    async with opened(SqlRegistry(str(path))) as registry:

        async def delete() -> None:
            path.unlink()

        await in_force(registry, delete(), lambda: registry.problem is not None)
        assert accepts(registry, text)
        assert not path.exists()


async def test_a_database_damaged_while_served_keeps_the_last_snapshot(path: Path, change: Changes) -> None:
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
    path: Path, change: Changes, caplog: pytest.LogCaptureFixture
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


async def test_a_restored_copy_works(path: Path, change: Changes, tmp_path: Path) -> None:
    _, text = await change.create_key("acme", "laptop")
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("VACUUM INTO ?", [str(copy)])
    async with opened(SqlRegistry(str(copy))) as registry:
        assert accepts(registry, text)


_FILL = """
import asyncio, sys
from tests.harness.storage.changes import changing
from gateway.config.document import SourceError

async def fill(path):
    async with changing(path) as change:
        try:
            for number in range(10_000):
                print((await change.create_key("acme", f"key {number}", create_account=True))[0].id)
        except SourceError as error:
            print(error)

asyncio.run(fill(sys.argv[1]))
"""


@pytest.mark.slow
async def test_a_full_disk_undoes_the_change_and_loses_none_before_it(path: Path, change: Changes) -> None:
    await change.engine.dispose()
    filled = await asyncio.create_subprocess_exec(
        "sh", "-c", 'ulimit -f 440; exec "$@"', "sh", sys.executable, "-c", _FILL, str(path), stdout=PIPE
    )
    *acknowledged, error = (await filled.communicate())[0].decode().splitlines()
    assert re.match(r".*gateway\.db: cannot be (read or )?written", error)
    assert len(acknowledged) > 5
    assert {(key_id,) for key_id in acknowledged} <= set(rows(path, "SELECT id FROM keys"))
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    await change.create_key("acme", "after")


@pytest.mark.usefixtures("no_collection")
async def test_ten_thousand_keys_are_loaded_without_holding_up_the_loop(path: Path, change: Changes) -> None:
    with closing(sqlite3.connect(path)) as database, database:
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
