"""What a gateway reads of a key's row on a server: each column, by its place when all are read, then by its name."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from gateway.core.account import Key, Priority
from gateway.core.endpoints import EndpointGroup
from gateway.registry.database.engine import database_url
from gateway.registry.database.rows import Defaults, Read
from gateway.registry.database.server_reader import ServerReader
from tests.harness.storage.postgresql import Postgresql

pytestmark = pytest.mark.slow

_ROWS = """
INSERT INTO accounts (id, created_at, weight) VALUES ('acme', now(), 4);
INSERT INTO keys (id, name, account, digest, created_at, enabled, cut, priority, weight, version)
  VALUES ('key_1', 'plain', 'acme', '01', now(), true, false, 'interactive', 1, 1);
INSERT INTO keys (weight, priority, created_by, networks, endpoints, deployments, prefix, cut, enabled, successor_of,
                  revoked_at, expires_at, created_at, digest, account, name, id, version)
  VALUES (2.5, 'batch', 'person', '10.0.0.0/8,::1/128', 'openai,native', 'demo,other', 'gw_abc', true, false, 'key_1',
          '2030-02-03 04:05:06', '2030-01-02 03:04:05', now(), '02', 'acme', 'full', 'key_2', 7);
"""
_PLAIN = Key("key_1", "plain", "acme", b"\x01")
_FULL = Key(
    id="key_2",
    name="full",
    account="acme",
    digest=b"\x02",
    expires_at=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
    revoked_at=datetime(2030, 2, 3, 4, 5, 6, tzinfo=UTC),
    successor_of="key_1",
    enabled=False,
    cut=True,
    deployments=("demo", "other"),
    endpoints=(EndpointGroup.OPENAI, EndpointGroup.NATIVE),
    networks=("10.0.0.0/8", "::1/128"),
    person="person",
    priority=Priority.BATCH,
    weight=2.5,
)


@pytest.fixture
async def reader(postgresql_server: Postgresql, url: str) -> AsyncIterator[ServerReader]:
    postgresql_server.query(url, _ROWS)
    reader = await ServerReader.open(database_url(url), Defaults())
    yield reader
    await reader.close()


def keys_of(read: Read | None) -> list[Key]:
    """Those that were found, by their ids."""
    assert read is not None
    return sorted(read.snapshot.keys.values())


async def test_each_column_of_a_key_is_read_on_postgresql(reader: ServerReader) -> None:
    assert keys_of(await reader.read(None)) == [_PLAIN, _FULL]


async def test_each_column_of_a_key_is_read_again_on_postgresql(
    reader: ServerReader, postgresql_server: Postgresql, url: str
) -> None:
    before = await reader.read(None)
    assert before is not None
    changes = f"UPDATE keys SET name = 'new'; UPDATE revision SET number = {before.revision + 1}"
    noted = ", ".join(f"({before.revision + 1}, 'keys', '{key.id}')" for key in (_PLAIN, _FULL))
    postgresql_server.query(url, f"{changes}; INSERT INTO changes (revision, kind, row_id) VALUES {noted}")
    assert keys_of(await reader.read(before)) == [_PLAIN._replace(name="new"), _FULL._replace(name="new")]
