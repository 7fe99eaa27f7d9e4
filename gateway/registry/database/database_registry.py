"""The registry that is a database: all of it in memory, and of what changes the changed rows."""

from pathlib import Path
from typing import Protocol

from gateway.config.document import SourceError, counted
from gateway.registry.database.rows import Defaults, Read
from gateway.registry.database.sqlite_file import place_of
from gateway.registry.database.sqlite_reader import SqliteReader
from gateway.registry.reloading import INTERVAL, WatchingRegistry, log

_DEFAULTS = Defaults()


class Reader(Protocol):
    """Reads an open database, and raises SourceError. Once `is_outdated`, it has to be opened anew."""

    @property
    def is_outdated(self) -> bool: ...

    async def read(self, known: Read | None) -> Read | None: ...

    async def close(self) -> None: ...


class SqlRegistry(WatchingRegistry):
    """Serves what a database holds; a change by any process takes effect within a second.

    `place` is the path of an SQLite file, or an SQLAlchemy URL; `defaults` hold where a deployment sets nothing.
    A database that is locked, damaged or gone changes nothing but `problem`. Raises SourceError for an invalid `place`.
    """

    place: str | Path

    def __init__(self, place: str | Path, defaults: Defaults = _DEFAULTS, interval: float = INTERVAL) -> None:
        where = place_of(place) if isinstance(place, str) else place
        super().__init__(_name_of(where), interval)
        self.place = where
        self.source = f"database {self.name}"
        self._defaults = defaults
        self._reader: Reader | None = None
        self._known: Read | None = None

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
        """Read what was changed since the last look."""
        try:
            if self._reader is None or self._reader.is_outdated:
                await self._disconnect()
                self._reader = await _reader_of(self.place, self._defaults)
            found = await self._reader.read(self._known)
        except SourceError:
            await self._disconnect()
            raise
        if found is not None:
            self._take(found)

    def _take(self, found: Read) -> None:
        snapshot = found.snapshot
        if self._known is not None or self.problem is not None:
            keys, deployments = counted(len(snapshot.keys), "key"), counted(len(snapshot.deployments), "deployment")
            log.info("%s: %s, %s", self.name, keys, deployments)
        self._known = found
        self.replace(snapshot)

    async def _disconnect(self) -> None:
        reader = self._reader
        self._reader = self._known = None
        if reader is not None:
            await reader.close()


async def _reader_of(place: Path | str, defaults: Defaults) -> Reader:
    if isinstance(place, Path):
        return await SqliteReader.open(place, defaults)
    from gateway.registry.database.engine import database_url
    from gateway.registry.database.server_reader import ServerReader

    return await ServerReader.open(database_url(place), defaults)


def _name_of(place: Path | str) -> str:
    """What to call it in a sentence: its file, or its URL less the password. Raises SourceError if it is no URL."""
    if isinstance(place, Path):
        return str(place)
    from gateway.registry.database.engine import database_url, name_of

    return name_of(database_url(place))
