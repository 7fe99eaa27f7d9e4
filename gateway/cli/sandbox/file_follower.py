"""The sandbox's file, followed into its database: what is changed in the file is changed there, and nothing else.

So the file can be edited while it serves, and the pages can change what they show.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web
from sqlalchemy import select

from gateway.config.document import SourceError
from gateway.registry.base import ChangeError, Snapshot, SourceProblem
from gateway.registry.database.database_registry import SqlRegistry
from gateway.registry.database.tables import keys
from gateway.registry.yaml_file import YamlRegistry
from gateway.team.actor import machine_actor
from gateway.team.import_settings import import_settings
from gateway.team.models.keys import KeyRevocation
from gateway.team.operation_error import NotFound
from gateway.team.operations.deployments import remove_deployment
from gateway.team.operations.keys import revoke_key
from gateway.team.unit_of_work import TeamDatabase

_HAND = machine_actor("the sandbox's file")


class FileFollower:
    """Follows the file at `path` into `database`, which `registry` serves from."""

    def __init__(self, path: Path, database: TeamDatabase, registry: SqlRegistry) -> None:
        self._path = path
        self._file = YamlRegistry(path)
        self._database = database
        self._registry = registry
        self._taken = Snapshot()
        self._problem: SourceProblem | None = None
        self._lock = asyncio.Lock()
        self._tasks = set[asyncio.Task[None]]()

    def look_soon(self) -> None:
        """Look at the file now: whoever has changed it has finished. Returns at once."""
        self._file.look_soon()

    async def take_all(self) -> None:
        """Take over what the file says, before anything is served. Raises SourceError, and ChangeError."""
        await self._file.open()
        await self._apply(self._file.snapshot)

    async def following(self, _app: web.Application) -> AsyncIterator[None]:
        """Follow while the gateway serves."""
        self._file.listeners.append(self._file_changed)
        self._registry.listeners.append(self._tell)
        yield
        self._file.listeners.remove(self._file_changed)
        self._registry.listeners.remove(self._tell)
        await self._file.close()
        await asyncio.gather(*self._tasks)

    def _file_changed(self) -> None:
        task = asyncio.create_task(self._take())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tell(self) -> None:
        """The registry has read its database, which knows nothing of what is wrong with the file."""
        self._registry.problem = self._registry.problem or self._problem

    async def _take(self) -> None:
        async with self._lock:
            self._problem = self._file.problem
            try:
                if self._problem is None:
                    await self._apply(self._file.snapshot)
            except (ChangeError, SourceError) as error:
                self._problem = SourceProblem((f"{self._path}: {error}",))
            self._registry.replace(self._registry.snapshot, self._problem)
            self._registry.look_soon()

    async def _apply(self, after: Snapshot) -> None:
        before, settings = self._taken, self._file.settings
        if settings is None:
            raise AssertionError("nobody but this process reads the file")
        changed = {name for name, one in after.deployments.items() if before.deployments.get(name) != one}
        entries = {name: entry for name, entry in settings.deployments.items() if name in changed}
        async with self._database.change(_HAND) as unit:
            part = settings.model_copy(update={"deployments": entries})
            await import_settings(unit, part, str(self._path), overwrite=True)
            for name in before.deployments.keys() - after.deployments.keys():
                with contextlib.suppress(NotFound):  # somebody was quicker on a page
                    await remove_deployment(unit, name)
            ended = [digest.hex() for digest in set(before.keys) - set(after.keys)]
            ids = await unit.connection.execute(select(keys.c.id).where(keys.c.digest.in_(ended)))
            for key_id in ids.scalars().all():
                await revoke_key(unit, key_id, KeyRevocation())
        self._taken = after
