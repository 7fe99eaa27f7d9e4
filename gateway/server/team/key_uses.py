"""When each key was last used, to the minute: noted in memory, written to the database in batches."""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from gateway.config.document import SourceError
from gateway.registry.database.sqlite_file import in_sentences, uri_of

_SECONDS = 20.0  # between two batches
_PATIENCE = 1.0  # seconds in which another writer may finish; else the batch waits for the next time
# As in reading (docs/develop/decisions/0015): SQLAlchemy would cost a process that only serves 21 MB.
_UPSERT = (
    "INSERT INTO key_uses (key, last_used_at) VALUES (?, ?) "
    "ON CONFLICT (key) DO UPDATE SET last_used_at = excluded.last_used_at"
)
log = logging.getLogger("gateway.team")


class KeyUses:
    """`used` are the ids of the keys that were used since the last batch."""

    def __init__(self, place: str | Path | None) -> None:
        self._place = place
        self.used: set[str] = set()

    async def kept(self, _app: web.Application) -> AsyncIterator[None]:
        """Batches are written while the gateway serves, and a last one as it stops. A file has no place for them."""
        if self._place is None:
            yield
            return
        task = asyncio.create_task(self._write_again_and_again(), name="key uses")
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await self.write()

    async def write(self) -> None:
        """Write one batch. What a database that is locked or gone does not take is kept for the next."""
        batch, self.used = self.used, set()
        if not batch or self._place is None:
            return
        minute = datetime.now(UTC).replace(second=0, microsecond=0)
        try:
            if isinstance(self._place, Path):
                await asyncio.to_thread(_write_sqlite, self._place, batch, minute)
            else:
                await _write_server(self._place, batch, minute)
        except SourceError as error:
            self.used |= batch
            log.info("when keys were used is not written yet: %s", " | ".join(error.lines))

    async def _write_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(_SECONDS)
            await self.write()


def _write_sqlite(path: Path, key_ids: Iterable[str], minute: datetime) -> None:
    at = minute.strftime("%Y-%m-%d %H:%M:%S.%f")  # as SQLAlchemy stores it
    rows = [(key_id, at) for key_id in sorted(key_ids)]
    with in_sentences(str(path)), closing(_connected(path)) as database, database:
        database.executemany(_UPSERT, rows)


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(uri_of(path), uri=True, timeout=_PATIENCE)


async def _write_server(place: str, key_ids: Iterable[str], minute: datetime) -> None:
    from sqlalchemy import delete, insert

    from gateway.registry.database.engine import database_url, engine_for, name_of
    from gateway.registry.database.engine import in_sentences as server_in_sentences
    from gateway.registry.database.team_tables import key_uses

    url, ids = database_url(place), sorted(key_ids)
    engine = engine_for(url, writing=True)
    try:
        with server_in_sentences(name_of(url)):
            async with engine.begin() as connection:
                await connection.execute(delete(key_uses).where(key_uses.c.key.in_(ids)))
                await connection.execute(insert(key_uses), [{"key": one, "last_used_at": minute} for one in ids])
    finally:
        await engine.dispose()
