"""A router's models: which are loaded, who waits for which, and who has to go when there is no room.

Mirrors tools/server/server-models.cpp (`server_lru_sched`).
"""

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

    def __init__(self, options: Options, clock: Clock) -> None:
        self._options, self._clock = options, clock
        self.events = ModelEvents()
        self._catalogue = ModelCatalogue(options, clock, self.events)
        self._loader = ModelLoader(options, clock, self._publish)
        self._queue: list[RouterModel] = []
        self._changed = asyncio.Event()
        self._uses = 0
        self._on_startup = [model.name for model in self._catalogue if model.preset.is_on("load-on-startup")]
        if len(self._on_startup) > options.models_max > 0:
            count = f"({len(self._on_startup)}) exceeds models_max ({options.models_max})"
            raise ValueError(f"number of models to load on startup {count}")

    def load_startup_models(self) -> None:
        """Load those that a preset says are to be loaded from the start."""
        for name in self._on_startup:
            self.load(name)

    def models(self) -> list[RouterModel]:
        """All models, in the order of the alphabet."""
        self._take_in_downloads()
        return list(self._catalogue)

    def get(self, name: str) -> RouterModel | None:
        """A model by its name or one of its aliases."""
        self._take_in_downloads()
        return self._catalogue.get(name)

    @asynccontextmanager
    async def use(self, name: str, *, autoload: bool) -> AsyncIterator[ServerContext]:
        """The server context of a model, loaded first if it must be; it stays loaded as long as it is used."""
        if not name:
            raise ApiError(400, "model name is missing from the request")
        if (model := self.get(name)) is None:
            raise ApiError(400, f"model '{name}' not found")
        if not autoload and not model.is_running:
            raise ApiError(400, "model is not loaded")
        model.waiting += 1
        try:
            await self._until_loaded(model)
            model.busy += 1
        finally:
            model.waiting -= 1
            if not model.waiting and model in self._queue:
                self._queue.remove(model)
        try:
            await self._loader.debug_delay()
            server_context = model.server_context or ServerContext(self._options, self._clock)
            async with server_context.awake():
                yield server_context
        finally:
            model.busy -= 1
            self._note_use(model)
            self._schedule()

    def load(self, name: str) -> None:
        """Load a model in the background; raises the error of one that cannot be."""
        if (model := self.get(name)) is None:
            raise ApiError(404, "model is not found")
        if model.is_running:
            raise ApiError(400, "model is already running")
        if model.state is ModelStatus.UNLOADED and model not in self._queue:
            self._queue.append(model)
            self._schedule()
            if model in self._queue:
                self._queue.remove(model)
                raise ApiError(500, "model limit reached, try again later")

    def unload(self, name: str) -> None:
        """Unload a model, or end its download; raises the 400 of one that is not running."""
        if (model := self.get(name)) is None:
            raise ApiError(400, "model is not found")
        if model.state is ModelStatus.DOWNLOADING:
            self._catalogue.end_download(model)
        elif not model.is_running:
            raise ApiError(400, "model is not running")
        else:
            self._drop(model)
            self._schedule()

    def download(self, name: str) -> None:
        """Fetch a model in the background; it is there with the next list. Raises the 400 of one there is."""
        if self.get(name) is not None:
            raise ApiError(400, f"model '{name}' already exists")
        self._catalogue.download(name)

    def remove(self, name: str) -> None:
        """Delete a model of the cache, unloading it first; raises the 500 of one that cannot be."""
        model = self._catalogue.get(name)
        if model is None or model.name != name:
            raise ApiError(500, f"model name={name} is not found")
        if model.preset.source != "cache":
            raise ApiError(500, f"model name={name} is not removable (not from cache)")
        if model.state is ModelStatus.DOWNLOADING:
            self._catalogue.end_download(model)
        else:
            if model.is_running:
                self._drop(model)
            self._catalogue.forget(model)
        self.events.publish("model_remove", name)
        self._schedule()

    def reload(self) -> None:
        """Read the presets again. Raises the 500 of what cannot be read."""
        self._catalogue.reload(self._drop)
        self._schedule()

    async def close(self) -> None:
        """Break off what goes on."""
        models = list(self._catalogue)
        tasks = [model.background_task for model in models if model.background_task is not None]
        for task in tasks:
            task.cancel()
        idle_sleep = [model.idle_sleep.stop() for model in models if model.idle_sleep is not None]
        await asyncio.gather(*tasks, *idle_sleep, return_exceptions=True)

    async def _until_loaded(self, model: RouterModel) -> None:
        while model.state is not ModelStatus.LOADED:
            if model not in self._catalogue or model.state is ModelStatus.DOWNLOADING:
                raise ApiError(400, f"model name={model.name} is not running")
            if model.state is ModelStatus.UNLOADED and model not in self._queue:
                self._queue.append(model)
            self._schedule()
            await self._changed.wait()

    def _schedule(self) -> None:
        """Start what there is room for, making room by unloading the idle model unused for longest."""
        while self._queue:
            running = [model for model in self._catalogue if model.is_running]
            if len(running) < self._options.models_max or self._options.models_max <= 0:
                model = self._queue.pop(0)
                model.state = ModelStatus.LOADING
                self._note_use(model)
                self.events.publish("model_status", model.name, {"status": model.state.value})
                model.background_task = asyncio.create_task(self._loader.load(model))
                continue
            idle = [model for model in running if model.is_idle]
            if not idle:
                return
            self._drop(min(idle, key=lambda model: model.last_used))

    def _take_in_downloads(self) -> None:
        """Know what was downloaded from the next question on, as llama-server does."""
        if self._catalogue.take_in_downloads():
            self.reload()

    def _note_use(self, model: RouterModel) -> None:
        self._uses += 1
        model.last_used = self._uses

    def _drop(self, model: RouterModel) -> None:
        model.stop()
        model.state = ModelStatus.UNLOADED
        self._publish(model, ModelStatus.UNLOADED, exit_code=0)

    def _publish(self, model: RouterModel, status: ModelStatus, **about: Any) -> None:
        self.events.publish("status_change", model.name, {"status": status.value} | about)
        self._changed.set()
        self._changed = asyncio.Event()
