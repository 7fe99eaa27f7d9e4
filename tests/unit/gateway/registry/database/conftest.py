"""A database of the newest schema, and what writes into it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.storage.changes import Changes, changing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The content of a database with two accounts that own nothing: a copy is quicker than a migration."""
    path = tmp_path_factory.mktemp("template") / "gateway.db"

    async def make() -> None:
        async with changing(str(path), create=True) as one:
            for name in ("acme", "beta"):
                await one.add_account(name)

    asyncio.run(make())
    return path.read_bytes()


@pytest.fixture
async def change(path: Path, template: bytes) -> AsyncIterator[Changes]:
    path.touch(mode=0o600)
    path.write_bytes(template)
    async with changing(str(path)) as one:
        yield one
