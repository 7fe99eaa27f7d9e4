"""What the tests of the database registry share: a deployment, and a look into a file."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.config.document import SourceError
from gateway.config.settings import DeploymentEntry
from gateway.registry.database.database_registry import SqlRegistry

DEMO = DeploymentEntry(account="acme", upstream="http://127.0.0.1:9931")
MIGRATIONS = Path(__file__).parents[3] / "gateway" / "registry" / "database" / "migrations"


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


IMPORTED = """\
accounts:
  acme: {keys: [{name: laptop, key: gw_CANARY_secret_0123456789}, {name: ci, key_sha256: %s}]}
deployments:
  demo: {account: acme, upstream: "http://127.0.0.1:1", status: paused}
  next: {account: acme, upstream: "http://127.0.0.1:2"}
""" % ("ab" * 32)
