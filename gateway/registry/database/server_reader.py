"""Reads the tables of a database server, through SQLAlchemy."""

import contextlib

from sqlalchemy import URL, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.config.document import SourceError
from gateway.registry.base import Snapshot
from gateway.registry.database.engine import engine_for, in_sentences, name_of
from gateway.registry.database.migrate import prepare
from gateway.registry.database.rows import PORTION, DatabaseRow, Defaults, account_of, deployment_of, key_of
from gateway.registry.database.tables import accounts, deployments, keys, revision


class ServerReader:
    """An open connection. `open` and `read` raise SourceError."""

    is_outdated = False

    def __init__(self, name: str, engine: AsyncEngine, connection: AsyncConnection, defaults: Defaults) -> None:
        self._name = name
        self._engine = engine
        self._connection = connection
        self._defaults = defaults

    @classmethod
    async def open(cls, url: URL, defaults: Defaults) -> "ServerReader":
        """Read the database at `url`, which is migrated first where it has to be."""
        await prepare(url, create=False)
        engine = engine_for(url, writing=False)
        try:
            with in_sentences(name_of(url)):
                return cls(name_of(url), engine, await engine.connect(), defaults)
        except SourceError:
            await engine.dispose()
            raise

    async def read(self, known: int | None) -> tuple[int, Snapshot] | None:
        """The revision and all that holds; None if the revision is the `known` one."""
        with in_sentences(self._name):
            async with self._connection.begin():
                number: int = (await self._connection.execute(select(revision.c.number))).scalar_one()
                return None if number == known else (number, await self._snapshot())

    async def close(self) -> None:
        """Leave the database."""
        with contextlib.suppress(SourceError), in_sentences(self._name):
            await self._connection.close()
        await self._engine.dispose()

    async def _snapshot(self) -> Snapshot:
        read_keys = [key_of(row) for row in await self._rows(keys, "created_at", "id")]
        read_deployments = [deployment_of(row, self._defaults) for row in await self._rows(deployments, "id")]
        read_accounts = [account_of(row) for row in await self._rows(accounts, "id")]
        return Snapshot.of(read_keys, read_deployments, read_accounts)

    async def _rows(self, table: Table, *order: str) -> list[DatabaseRow]:
        found = await self._connection.stream(select(table).order_by(*(table.c[name] for name in order)))
        return [row._mapping async for portion in found.partitions(PORTION) for row in portion]
