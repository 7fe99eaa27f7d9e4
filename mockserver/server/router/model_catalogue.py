"""What models a router has: those it knows from the start, and those that are downloaded or come with a reload."""

import asyncio
from collections.abc import Callable, Iterator

from mockserver.core.api_errors import ApiError
from mockserver.core.clock import Clock
from mockserver.core.options import Options
from mockserver.engine.model.model_info import FILE_BYTES
from mockserver.server.router import model_presets
from mockserver.server.router.model_presets import ModelPreset
from mockserver.server.router.router_model import ModelEvents, ModelStatus, RouterModel, passing

_REPORTS = 0.1


class ModelCatalogue:
    """The models by name. Raises ValueError for presets that cannot be read."""

    def __init__(self, settings: Options, clock: Clock, events: ModelEvents) -> None:
        self._settings, self._clock, self._events = settings, clock, events
        self._known = {name: RouterModel(preset) for name, preset in model_presets.known(settings).items()}
        self._downloaded = False

    def __iter__(self) -> Iterator[RouterModel]:
        return iter([self._known[name] for name in sorted(self._known)])

    def __contains__(self, member: RouterModel) -> bool:
        return self._known.get(member.name) is member

    def get(self, name: str) -> RouterModel | None:
        """A model by its name or one of its aliases."""
        aliased = (member for member in self if name in member.preset.listed("alias"))
        return self._known.get(name) or next(aliased, None)

    def reload(self, drop: Callable[[RouterModel], None]) -> None:
        """Read the presets again; `drop` is given running models that are gone or were changed.

        Raises the 500 of what cannot be read.
        """
        try:
            found = model_presets.known(self._settings)
        except ValueError as error:
            raise ApiError(500, str(error)) from error
        for member in self:
            fetched = member.preset.source == "cache" and member.name not in self._settings.router_models
            preset = member.preset if fetched else found.get(member.name)
            if member.is_running and preset != member.preset:
                drop(member)
            if preset is None:
                self.forget(member)
            else:
                member.preset = preset
        self._known |= {name: RouterModel(preset) for name, preset in found.items() if name not in self._known}
        self._events.tell("models_reload", "*")

    def forget(self, member: RouterModel) -> None:
        """Take a model off the list."""
        del self._known[member.name]

    def download(self, name: str) -> None:
        """Fetch a model in the background."""
        member = self._known[name] = RouterModel(ModelPreset(name, "cache", {"hf-repo": name}), ModelStatus.DOWNLOADING)
        self._events.tell("model_status", name, {"status": member.state.value})
        member.work = asyncio.create_task(self._download(member))

    async def _download(self, member: RouterModel) -> None:
        repository, _, tag = member.name.partition(":")
        url = f"https://huggingface.co/{repository}/resolve/main/{repository.rpartition('/')[2]}-{tag or 'Q8_0'}.gguf"
        async for share in passing(self._clock, self._settings.load_seconds or 0.0, _REPORTS):
            member.info = {"progress": {url: {"done": int(FILE_BYTES * share), "total": FILE_BYTES}}}
            self._events.tell("download_progress", member.name, member.info)
        member.state, member.work = ModelStatus.DOWNLOADED, None
        self._downloaded = True
        self._events.tell("download_finished", member.name)

    def end_download(self, member: RouterModel) -> None:
        """Break a download off."""
        member.stop()
        self.forget(member)
        self._events.tell("download_failed", member.name)

    def take_in_downloads(self) -> bool:
        """Make models of what was downloaded; whether there was anything."""
        for member in self:
            if member.state is ModelStatus.DOWNLOADED:
                member.state, member.info = ModelStatus.UNLOADED, {}
        downloaded, self._downloaded = self._downloaded, False
        return downloaded
