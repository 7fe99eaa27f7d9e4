"""Reads the tables of a database server, through SQLAlchemy."""

import asyncio
import contextlib
from typing import Any

from sqlalchemy import URL, Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.config.document import SourceError
from gateway.registry.database.engine import engine_for, in_sentences, name_of
from gateway.registry.database.migrate import prepare
from gateway.registry.database.rows import KEY_COLUMNS, TABLES, DatabaseRow, Defaults, Read, everything, followed
from gateway.registry.database.tables import changes, keys, metadata, revision

_PORTION = 500  # rows taken at once; between two such portions the event loop serves requests
_SELECT = {name: select(metadata.tables[name]) for name in TABLES} | {"keys": select(*keys.c[KEY_COLUMNS])}


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

    async def read(self, known: Read | None) -> Read | None:
        """What the database holds, by what is `known` of it; None if that is the newest."""
        with in_sentences(self._name):
            async with self._connection.begin():
                number: int = (await self._connection.execute(select(revision.c.number))).scalar_one()
                if known is None:
                    return await self._read_all(number)
                if number == known.revision:
                    return None
                return await self._follow(known, number)

    async def close(self) -> None:
        """Leave the database."""
        with contextlib.suppress(SourceError), in_sentences(self._name):
            await self._connection.close()
        await self._engine.dispose()

    async def _read_all(self, number: int) -> Read:
        found = {name: await self._rows(query) for name, query in _SELECT.items()}
        key_rows = found.pop("keys")
        rows = {name: (row._mapping for row in named) for name, named in found.items()}
        return await asyncio.to_thread(everything, number, key_rows, rows, self._defaults)

    async def _follow(self, known: Read, number: int) -> Read:
        newer = changes.c.revision > known.revision
        noted = await self._connection.execute(select(func.count(changes.c.revision.distinct())).where(newer))
        if noted.scalar_one() != number - known.revision:
            return await self._read_all(number)
        rows: dict[str, dict[str, DatabaseRow | None]] = {}
        for name in TABLES:
            concerned = select(changes.c.row_id).where(newer, changes.c.kind == name)
            rows[name] = dict.fromkeys((await self._connection.execute(concerned)).scalars())
            found = await self._rows(_SELECT[name].where(metadata.tables[name].c.id.in_(concerned)))
            rows[name] |= {row.id: row._mapping for row in found}
        return await asyncio.to_thread(followed, known, number, rows, self._defaults)

    async def _rows(self, query: Select[Any]) -> list[Row[Any]]:
        found = await self._connection.stream(query)
        return [row async for portion in found.partitions(_PORTION) for row in portion]
