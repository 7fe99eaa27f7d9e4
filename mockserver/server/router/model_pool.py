"""A router's models: which are loaded, who waits for which, and who has to go when there is no room."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mockserver.core.api_errors import ApiError
from mockserver.core.clock import Clock
from mockserver.core.options import Options
from mockserver.engine.server_context import ServerContext
from mockserver.server.router.model_catalogue import ModelCatalogue
from mockserver.server.router.model_loader import ModelLoader
from mockserver.server.router.router_model import ModelEvents, ModelStatus, RouterModel


class ModelPool:
    """The models of a router. At most `models_max` are loaded; requests for others wait, first come first served.

    Raises ValueError for presets that cannot be read.
    """

    def __init__(self, settings: Options, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self.events = ModelEvents()
        self._catalogue = ModelCatalogue(settings, clock, self.events)
        self._loader = ModelLoader(settings, clock, self._tell)
        self._queue: list[RouterModel] = []
        self._changed = asyncio.Event()
        self._uses = 0
        self._on_startup = [member.name for member in self._catalogue if member.preset.is_on("load-on-startup")]
        if len(self._on_startup) > settings.models_max > 0:
            count = f"({len(self._on_startup)}) exceeds models_max ({settings.models_max})"
            raise ValueError(f"number of models to load on startup {count}")

    def load_startup_models(self) -> None:
        """Load those that a preset says are to be loaded from the start."""
        for name in self._on_startup:
            self.load(name)

    def members(self) -> list[RouterModel]:
        """All models, in the order of the alphabet."""
        self._take_in_downloads()
        return list(self._catalogue)

    def get(self, name: str) -> RouterModel | None:
        """A model by its name or one of its aliases."""
        self._take_in_downloads()
        return self._catalogue.get(name)

    @asynccontextmanager
    async def use(self, name: str, *, autoload: bool) -> AsyncIterator[ServerContext]:
        """The machine of a model, loaded first if it must be; it stays loaded as long as it is used."""
        if not name:
            raise ApiError(400, "model name is missing from the request")
        if (member := self.get(name)) is None:
            raise ApiError(400, f"model '{name}' not found")
        if not autoload and not member.is_running:
            raise ApiError(400, "model is not loaded")
        member.wanted += 1
        try:
            await self._until_loaded(member)
            member.busy += 1
        finally:
            member.wanted -= 1
            if not member.wanted and member in self._queue:
                self._queue.remove(member)
        try:
            await self._loader.dawdle()
            machine = member.machine or ServerContext(self._settings, self._clock)
            async with machine.awake():
                yield machine
        finally:
            member.busy -= 1
            self._note_use(member)
            self._schedule()

    def load(self, name: str) -> None:
        """Load a model in the background; raises the error of one that cannot be."""
        if (member := self.get(name)) is None:
            raise ApiError(404, "model is not found")
        if member.is_running:
            raise ApiError(400, "model is already running")
        if member.state is ModelStatus.UNLOADED and member not in self._queue:
            self._queue.append(member)
            self._schedule()
            if member in self._queue:
                self._queue.remove(member)
                raise ApiError(500, "model limit reached, try again later")

    def unload(self, name: str) -> None:
        """Unload a model, or end its download; raises the 400 of one that is not running."""
        if (member := self.get(name)) is None:
            raise ApiError(400, "model is not found")
        if member.state is ModelStatus.DOWNLOADING:
            self._catalogue.end_download(member)
        elif not member.is_running:
            raise ApiError(400, "model is not running")
        else:
            self._drop(member)
            self._schedule()

    def download(self, name: str) -> None:
        """Fetch a model in the background; it is there with the next list. Raises the 400 of one there is."""
        if self.get(name) is not None:
            raise ApiError(400, f"model '{name}' already exists")
        self._catalogue.download(name)

    def remove(self, name: str) -> None:
        """Delete a model of the cache, unloading it first; raises the 500 of one that cannot be."""
        member = self._catalogue.get(name)
        if member is None or member.name != name:
            raise ApiError(500, f"model name={name} is not found")
        if member.preset.source != "cache":
            raise ApiError(500, f"model name={name} is not removable (not from cache)")
        if member.state is ModelStatus.DOWNLOADING:
            self._catalogue.end_download(member)
        else:
            if member.is_running:
                self._drop(member)
            self._catalogue.forget(member)
        self.events.tell("model_remove", name)
        self._schedule()

    def reload(self) -> None:
        """Read the presets again. Raises the 500 of what cannot be read."""
        self._catalogue.reload(self._drop)
        self._schedule()

    async def close(self) -> None:
        """Break off what goes on."""
        members = list(self._catalogue)
        tasks = [member.work for member in members if member.work is not None]
        for task in tasks:
            task.cancel()
        dozing = [member.dozing.stop() for member in members if member.dozing is not None]
        await asyncio.gather(*tasks, *dozing, return_exceptions=True)

    async def _until_loaded(self, member: RouterModel) -> None:
        while member.state is not ModelStatus.LOADED:
            if member not in self._catalogue or member.state is ModelStatus.DOWNLOADING:
                raise ApiError(400, f"model name={member.name} is not running")
            if member.state is ModelStatus.UNLOADED and member not in self._queue:
                self._queue.append(member)
            self._schedule()
            await self._changed.wait()

    def _schedule(self) -> None:
        """Start what there is room for, making room by unloading the idle model unused for longest."""
        while self._queue:
            running = [member for member in self._catalogue if member.is_running]
            if len(running) < self._settings.models_max or self._settings.models_max <= 0:
                member = self._queue.pop(0)
                member.state = ModelStatus.LOADING
                self._note_use(member)
                self.events.tell("model_status", member.name, {"status": member.state.value})
                member.work = asyncio.create_task(self._loader.load(member))
                continue
            idle = [member for member in running if member.is_idle]
            if not idle:
                return
            self._drop(min(idle, key=lambda member: member.last_used))

    def _take_in_downloads(self) -> None:
        """Know what was downloaded from the next question on, as llama-server does."""
        if self._catalogue.take_in_downloads():
            self.reload()

    def _note_use(self, member: RouterModel) -> None:
        self._uses += 1
        member.last_used = self._uses

    def _drop(self, member: RouterModel) -> None:
        member.stop()
        member.state = ModelStatus.UNLOADED
        self._tell(member, ModelStatus.UNLOADED, exit_code=0)

    def _tell(self, member: RouterModel, status: ModelStatus, **about: Any) -> None:
        self.events.tell("status_change", member.name, {"status": status.value} | about)
        self._changed.set()
        self._changed = asyncio.Event()
