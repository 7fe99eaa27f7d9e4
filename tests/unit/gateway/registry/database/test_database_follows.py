"""What is read of a change: the rows that it concerned, none left out, whoever makes it and however often one looks."""

import asyncio
import random
import sqlite3
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.config.settings import parse
from gateway.core.deployment import Status
from gateway.core.secret_text import digest_of
from gateway.registry.base import ChangeError
from gateway.registry.database import transaction
from gateway.registry.database.database_registry import Reader, SqlRegistry
from gateway.registry.database.engine import database_url
from gateway.registry.database.rows import Defaults, Read
from gateway.registry.database.server_reader import ServerReader
from gateway.registry.database.sqlite_reader import SqliteReader
from tests.harness.storage.changes import Changes
from tests.harness.storage.databases import DEMO, IMPORTED, rows
from tests.harness.storage.registries import in_force, opened

READERS = pytest.mark.parametrize("kind", [SqliteReader, ServerReader])


async def reader_of(kind: type[SqliteReader] | type[ServerReader], path: Path) -> Reader:
    if kind is SqliteReader:
        return await SqliteReader.open(path, Defaults())
    return await ServerReader.open(database_url(path), Defaults())


async def whole(reader: Reader) -> Read:
    read = await reader.read(None)
    assert read is not None
    return read


async def change_anything(change: Changes, path: Path, dice: random.Random) -> None:
    """One of all the changes that there are; some of them are refused, some change nothing."""
    some = f"d{dice.randrange(4)}"
    owner = dice.choice(["acme", "beta", "gamma"])
    entry = DEMO.model_copy(update={"account": owner, "ping": float(dice.randrange(1, 3))})
    keys = [str(row[0]) for row in rows(path, "SELECT id FROM keys")] or ["key_none"]
    changes: list[Callable[[], Awaitable[object]]] = [
        lambda: change.add_account(owner),
        lambda: change.remove_account(owner),
        lambda: change.create_key(owner, f"k{dice.randrange(9)}", create_account=True),
        lambda: change.revoke_key(dice.choice(keys)),
        lambda: change.rotate_key(dice.choice(keys), timedelta(seconds=dice.randrange(2))),
        lambda: change.add_deployment(some, entry, create_account=True),
        lambda: change.update_deployment(some, entry, {"ping", "account"}, create_account=True),
        lambda: change.set_status(some, dice.choice(list(Status))),
        lambda: change.remove_deployment(some),
        lambda: change.import_settings(parse(IMPORTED, "gw.yaml", {}), overwrite=dice.random() < 0.5),
    ]
    await dice.choice(changes)()


@pytest.mark.slow
@READERS
@pytest.mark.parametrize("seed", range(2))
async def test_following_every_kind_of_change_ends_where_reading_all_does(
    kind: type[SqliteReader] | type[ServerReader], seed: int, path: Path, change: Changes
) -> None:
    dice = random.Random(seed)
    following, afresh = await reader_of(kind, path), await reader_of(kind, path)
    known = await whole(following)
    for _ in range(25):
        for _ in range(dice.randrange(1, 4)):
            try:
                await change_anything(change, path, dice)
            except ChangeError:
                continue
        known = await following.read(known) or known
        assert known == await whole(afresh)
        assert await following.read(known) is None
    await following.close()
    await afresh.close()


@READERS
async def test_what_did_not_change_is_the_same_object_as_before(
    kind: type[SqliteReader] | type[ServerReader], path: Path, change: Changes
) -> None:
    await change.import_settings(parse(IMPORTED, "gw.yaml", {}))
    reader = await reader_of(kind, path)
    before = await whole(reader)
    await change.set_status("next", Status.READY)
    after = await reader.read(before)
    assert after is not None
    assert after.snapshot.deployments["demo"] is before.snapshot.deployments["demo"]
    assert after.snapshot.deployments["next"].status is Status.READY
    assert after.snapshot.accounts is before.snapshot.accounts
    assert before.snapshot.deployments["next"].status is Status.AUTO
    await reader.close()


@READERS
async def test_a_change_by_another_hand_is_followed_if_it_counts_itself(
    kind: type[SqliteReader] | type[ServerReader], path: Path, change: Changes
) -> None:
    _, text = await change.create_key("acme", "laptop")
    reader = await reader_of(kind, path)
    known = await whole(reader)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE keys SET revoked_at = '2026-01-01 00:00:00.000000'")
        database.execute("UPDATE revision SET number = number + 1")
    await change.create_key("acme", "other")  # beside one that left no word, one that did
    after = await reader.read(known)
    assert after is not None
    assert not after.snapshot.keys[digest_of(text)].is_valid(datetime.now(UTC))
    assert len(after.snapshot.keys) == 2
    await reader.close()


@READERS
async def test_who_has_missed_more_than_is_kept_reads_everything(
    kind: type[SqliteReader] | type[ServerReader], path: Path, change: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "_KEPT", 3)
    reader = await reader_of(kind, path)
    known = await whole(reader)
    for number in range(8):
        await change.create_key("acme", f"key {number}")
    assert rows(path, "SELECT count(*) FROM changes") == [(3,)]
    after = await reader.read(known)
    assert after is not None
    assert len(after.snapshot.keys) == 8
    await reader.close()


async def test_a_change_that_changes_nothing_is_none(path: Path, change: Changes) -> None:
    key, _ = await change.create_key("acme", "laptop")
    await change.revoke_key(key.id)
    await change.import_settings(parse(IMPORTED, "gw.yaml", {}))
    before = rows(path, "SELECT number FROM revision")
    await change.revoke_key(key.id)
    await change.import_settings(parse(IMPORTED, "gw.yaml", {}), overwrite=True)
    with pytest.raises(ChangeError):
        await change.add_account("acme")
    assert rows(path, "SELECT number FROM revision") == before


_MAKES_KEYS = """
import asyncio, sys
from tests.harness.storage.changes import changing

async def make(path, name, number):
    async with changing(path) as change:
        for each in range(number):
            key, _ = await change.create_key("acme", f"{name} {each}")
            if each % 3 == 0:
                await change.revoke_key(key.id)

asyncio.run(make(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


@pytest.mark.slow
async def test_no_change_of_several_processes_at_once_is_missed(path: Path, change: Changes) -> None:
    async with opened(SqlRegistry(str(path), interval=0.001)) as registry:
        arguments = ((sys.executable, "-c", _MAKES_KEYS, str(path), name, "12") for name in ("one", "two", "three"))
        makers = [await asyncio.create_subprocess_exec(*one, stdout=PIPE) for one in arguments]

        async def finish() -> None:
            assert [await maker.wait() for maker in makers] == [0, 0, 0]

        await in_force(registry, finish(), lambda: len(registry.snapshot.keys) == 36)
        reader = await SqliteReader.open(path, Defaults())
        newest = await whole(reader)
        await in_force(registry, asyncio.sleep(0), lambda: registry.snapshot == newest.snapshot)
        await reader.close()
