"""What models a router has: those it knows from the start, and those that are downloaded or come with a reload.

Mirrors tools/server/server-models.cpp (`server_models`).
"""

import asyncio
from collections.abc import Callable, Iterator

from mockserver.core.api_errors import ApiError
from mockserver.core.clock import Clock
from mockserver.core.options import Options
from mockserver.engine.model.model_info import FILE_BYTES
from mockserver.server.router import model_presets
from mockserver.server.router.model_presets import ModelPreset
from mockserver.server.router.router_model import ModelEvents, ModelStatus, RouterModel, progress_of

_REPORTS = 0.1  # of a download: from one event to the next, as a share of it


class ModelCatalogue:
    """The models by name. Raises ValueError for presets that cannot be read."""

    def __init__(self, options: Options, clock: Clock, events: ModelEvents) -> None:
        self._options, self._clock, self._events = options, clock, events
        self._known = {name: RouterModel(preset) for name, preset in model_presets.known(options).items()}
        self._downloaded = False

    def __iter__(self) -> Iterator[RouterModel]:
        return iter([self._known[name] for name in sorted(self._known)])

    def __contains__(self, model: RouterModel) -> bool:
        return self._known.get(model.name) is model

    def get(self, name: str) -> RouterModel | None:
        """A model by its name or one of its aliases."""
        aliased = (model for model in self if name in model.preset.listed("alias"))
        return self._known.get(name) or next(aliased, None)

    def reload(self, drop: Callable[[RouterModel], None]) -> None:
        """Read the presets again; `drop` is given running models that are gone or were changed.

        Raises the 500 of what cannot be read.
        """
        try:
            found = model_presets.known(self._options)
        except ValueError as error:
            raise ApiError(500, str(error)) from error
        for model in self:
            fetched = model.preset.source == "cache" and model.name not in self._options.router_models
            preset = model.preset if fetched else found.get(model.name)
            if model.is_running and preset != model.preset:
                drop(model)
            if preset is None:
                self.forget(model)
            else:
                model.preset = preset
        self._known |= {name: RouterModel(preset) for name, preset in found.items() if name not in self._known}
        self._events.publish("models_reload", "*")

    def forget(self, model: RouterModel) -> None:
        """Take a model off the list."""
        del self._known[model.name]

    def download(self, name: str) -> None:
        """Fetch a model in the background."""
        model = self._known[name] = RouterModel(ModelPreset(name, "cache", {"hf-repo": name}), ModelStatus.DOWNLOADING)
        self._events.publish("model_status", name, {"status": model.state.value})
        model.background_task = asyncio.create_task(self._download(model))

    async def _download(self, model: RouterModel) -> None:
        repository, _, tag = model.name.partition(":")
        url = f"https://huggingface.co/{repository}/resolve/main/{repository.rpartition('/')[2]}-{tag or 'Q8_0'}.gguf"
        async for share in progress_of(self._clock, self._options.load_seconds or 0.0, _REPORTS):
            model.info = {"progress": {url: {"done": int(FILE_BYTES * share), "total": FILE_BYTES}}}
            self._events.publish("download_progress", model.name, model.info)
        model.state, model.background_task = ModelStatus.DOWNLOADED, None
        self._downloaded = True
        self._events.publish("download_finished", model.name)

    def end_download(self, model: RouterModel) -> None:
        """Break a download off."""
        model.stop()
        self.forget(model)
        self._events.publish("download_failed", model.name)

    def take_in_downloads(self) -> bool:
        """Make models of what was downloaded; whether there was anything."""
        for model in self:
            if model.state is ModelStatus.DOWNLOADED:
                model.state, model.info = ModelStatus.UNLOADED, {}
        downloaded, self._downloaded = self._downloaded, False
        return downloaded
