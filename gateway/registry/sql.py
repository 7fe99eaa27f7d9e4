"""The registry that is a database: all of it in memory, read again when its revision has moved."""

import contextlib
from types import MappingProxyType

from sqlalchemy import URL, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.account import Key
from gateway.deployment import Deployment
from gateway.registry.base import Snapshot
from gateway.registry.database import database_url, engine_for, file_of, in_sentences, name_of
from gateway.registry.schema import prepare
from gateway.registry.tables import Defaults, deployment_of, deployments, key_of, keys, revision
from gateway.registry.watching import INTERVAL, WatchingRegistry, log
from gateway.source import SourceError

_ROWS = 500  # rows taken at once; between two such portions the event loop serves requests
_DEFAULTS = Defaults()


class SqlRegistry(WatchingRegistry):
    """Serves what a database says, and what it is changed to say within a second, by whatever process.

    `url` is an SQLAlchemy URL, or the path of an SQLite file; `defaults` hold where a deployment sets nothing.
    A database that is locked, damaged or gone changes nothing but `problem`. Raises SourceError if the URL is none.
    """

    def __init__(self, url: str | URL, defaults: Defaults = _DEFAULTS, interval: float = INTERVAL) -> None:
        self._url = database_url(url) if isinstance(url, str) else url
        super().__init__(name_of(self._url), interval)
        self._defaults = defaults
        self._engine: AsyncEngine | None = None
        self._connection: AsyncConnection | None = None
        self._file: tuple[int, int] | None = None
        self._revision: int | None = None

    async def open(self) -> None:
        """Migrate the database if it is older, load it, and begin to watch it. Raises SourceError."""
        try:
            await super().open()
        except SourceError:
            await self._disconnect()
            raise

    async def close(self) -> None:
        """Stop watching and leave the database."""
        await super().close()
        await self._disconnect()

    async def look(self) -> None:
        """Read everything again if the revision has moved since the last look."""
        try:
            with in_sentences(self.name):
                if self._connection is None or self._file != self._identity():
                    self._connection = await self._connect()
                await self._read(self._connection)
        except SourceError:
            await self._disconnect()
            raise

    async def _connect(self) -> AsyncConnection:
        await self._disconnect()
        await prepare(self._url, create=False)
        self._file = self._identity()
        self._engine = engine_for(self._url, writing=False)
        return await self._engine.connect()

    async def _disconnect(self) -> None:
        connection, engine = self._connection, self._engine
        self._connection = self._engine = self._revision = None
        with contextlib.suppress(SourceError), in_sentences(self.name):
            if connection is not None:
                await connection.close()
        if engine is not None:
            await engine.dispose()

    async def _read(self, connection: AsyncConnection) -> None:
        async with connection.begin():
            number = (await connection.execute(select(revision.c.number))).scalar_one()
            if number == self._revision:
                return
            snapshot = Snapshot(
                MappingProxyType({key.digest: key for key in await _keys(connection)}),
                MappingProxyType({one.id: one for one in await _deployments(connection, self._defaults)}),
            )
        if self._revision is not None or self.problem is not None:
            log.info("%s: %d keys, %d deployments", self.name, len(snapshot.keys), len(snapshot.deployments))
        self._revision = number
        self.replace(snapshot)

    def _identity(self) -> tuple[int, int] | None:
        """Which file the database is: one deleted or replaced can be read on for ever by whoever has it open."""
        path = file_of(self._url)
        try:
            seen = path.stat() if path is not None else None
        except OSError:
            return None
        return None if seen is None else (seen.st_dev, seen.st_ino)


async def _keys(connection: AsyncConnection) -> list[Key]:
    rows = await connection.stream(select(keys).order_by(keys.c.created_at, keys.c.id))
    return [key_of(row) async for portion in rows.partitions(_ROWS) for row in portion]


async def _deployments(connection: AsyncConnection, default: Defaults) -> list[Deployment]:
    rows = await connection.stream(select(deployments).order_by(deployments.c.id))
    return [deployment_of(row, default) async for portion in rows.partitions(_ROWS) for row in portion]
