"""Loading a router's model, and loading it again when it wakes; told as it goes on."""

import asyncio
from typing import Any, Protocol

from mockserver.core.clock import Clock
from mockserver.core.options import Options
from mockserver.engine.idle_sleep import IdleSleep
from mockserver.engine.model.model_info import model_info
from mockserver.engine.server_context import ServerContext
from mockserver.server.router.router_model import ModelStatus, RouterModel, passing

_REPORTS = 0.2
_DEBUG_SECONDS = 2.0


class ReportStatus(Protocol):
    """Tells all who listen of a model's status."""

    def __call__(self, member: RouterModel, status: ModelStatus, **about: Any) -> None: ...


class ModelLoader:
    """Loads models, each in the time that a load takes."""

    def __init__(self, settings: Options, clock: Clock, tell: ReportStatus) -> None:
        self._settings, self._clock, self._tell = settings, clock, tell

    async def load(self, member: RouterModel) -> None:
        """Load a model that was not."""
        await self.dawdle()
        await self._pass(member, self._settings.load_seconds or 0.0)
        settings = member.preset.settings(self._settings)
        machine = member.machine = ServerContext(settings, self._clock)
        member.dozing = IdleSleep(machine, lambda: self._tell(member, ModelStatus.SLEEPING))
        machine.on_idle, machine.on_wake = member.dozing.begin, lambda: self._woken(member)
        member.work, member.info = None, model_info(settings, self._clock.unix())
        member.state = ModelStatus.LOADED
        self._tell(member, ModelStatus.LOADED, info=member.info)
        member.dozing.begin()

    async def dawdle(self) -> None:
        """The delays with which llama.cpp's own tests widen what they look for."""
        if self._settings.debug_delays:
            await self._clock.sleep_until(self._clock.now() + _DEBUG_SECONDS)

    def _woken(self, member: RouterModel) -> None:
        """A request came while a model slept: it is loaded again."""
        member.work = asyncio.create_task(self._wake(member))

    async def _wake(self, member: RouterModel) -> None:
        await self._pass(member, self._settings.wake_seconds)
        member.work = None
        self._tell(member, ModelStatus.LOADED)

    async def _pass(self, member: RouterModel, seconds: float) -> None:
        """Tell how far a load is, as long as it takes."""
        async for share in passing(self._clock, seconds, _REPORTS):
            progress = {"stages": ["text_model"], "current": "text_model", "value": share}
            self._tell(member, ModelStatus.LOADING, progress=progress)
