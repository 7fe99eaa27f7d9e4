"""What the tests of the database registry share: a deployment, and a look into a file."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from gateway.config.document import SourceError
from gateway.config.settings import DeploymentEntry
from gateway.registry.database.database_registry import SqlRegistry
from gateway.registry.database.rows import VERSION_TABLE
from gateway.registry.database.tables import limits
from gateway.registry.database.team_tables import TEAM_TABLES
from gateway.registry.database.usage_tables import USAGE_TABLES

DEMO = DeploymentEntry(account="acme", upstream="http://127.0.0.1:9931")
# A file as version 0003 of the schema left it: an account, a deployment, three keys, the text of one of them.
SCHEMA_0003 = Path(__file__).with_name("schema_0003.sql")
KEY_0003 = "gw_a-key-for-tests-of-an-older-database"
_SINCE_0001 = {
    "accounts": ("weight",),
    "deployments": ("queue", "endpoints", "version"),
    "keys": (
        "enabled",
        "cut",
        "prefix",
        "created_by",
        "deployments",
        "endpoints",
        "networks",
        "version",
        "priority",
        "weight",
    ),
}
MIGRATIONS = Path(__file__).parents[3] / "gateway" / "registry" / "database" / "migrations"


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    """What a query finds in an SQLite file."""
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def damage_table(path: Path, table: str) -> None:
    """Spoil the page that a table begins with."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [page] = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        [size] = database.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[None]:
    """Another program writes to the database, and does not end. A thread waits for its turn: this loop ends others."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as database:
        await asyncio.to_thread(database.execute, "BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")


def as_the_first_version_left_it(path: Path) -> None:
    """Take out of a database what later versions have added to it."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP TRIGGER audit_stays")
        database.execute("DROP TABLE changes")
        for table in (*TEAM_TABLES, *USAGE_TABLES, limits):
            database.execute(f"DROP TABLE {table}")
        for changed, columns in _SINCE_0001.items():
            for column in columns:
                database.execute(f"ALTER TABLE {changed} DROP COLUMN {column}")
        database.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0001'")


def written_by_0003(path: Path) -> None:
    """Make a database as version 0003 of the schema left it."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript(SCHEMA_0003.read_text(encoding="utf-8"))


async def refused(path: Path) -> str:
    """What the registry says when it refuses to open the file."""
    registry = SqlRegistry(str(path))
    with pytest.raises(SourceError) as raised:
        await registry.open()
    await registry.close()
    return "\n".join(raised.value.lines)


IMPORTED = """\
accounts:
  acme: {keys: [{name: laptop, key: gw_CANARY_secret_0123456789}, {name: ci, key_sha256: %s}]}
deployments:
  demo: {account: acme, upstream: "http://127.0.0.1:1", status: paused}
  next: {account: acme, upstream: "http://127.0.0.1:2"}
""" % ("ab" * 32)
