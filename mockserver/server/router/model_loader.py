"""Loading a router's model, and loading it again when it wakes; told as it goes on."""

import asyncio
from typing import Any, Protocol

from mockserver.core.clock import Clock
from mockserver.core.options import Settings
from mockserver.engine.idle_sleep import Dozing
from mockserver.engine.model.model_info import model_info
from mockserver.engine.server_context import Machine
from mockserver.server.router.router_model import Member, Status, passing

_REPORTS = 0.2
_DEBUG_SECONDS = 2.0


class Tell(Protocol):
    """Tells all who listen of a model's status."""

    def __call__(self, member: Member, status: Status, **about: Any) -> None: ...


class Loader:
    """Loads models, each in the time that a load takes."""

    def __init__(self, settings: Settings, clock: Clock, tell: Tell) -> None:
        self._settings, self._clock, self._tell = settings, clock, tell

    async def load(self, member: Member) -> None:
        """Load a model that was not."""
        await self.dawdle()
        await self._pass(member, self._settings.load_seconds or 0.0)
        settings = member.preset.settings(self._settings)
        machine = member.machine = Machine(settings, self._clock)
        member.dozing = Dozing(machine, lambda: self._tell(member, Status.SLEEPING))
        machine.on_idle, machine.on_wake = member.dozing.begin, lambda: self._woken(member)
        member.work, member.info = None, model_info(settings, self._clock.unix())
        member.state = Status.LOADED
        self._tell(member, Status.LOADED, info=member.info)
        member.dozing.begin()

    async def dawdle(self) -> None:
        """The delays with which llama.cpp's own tests widen what they look for."""
        if self._settings.debug_delays:
            await self._clock.sleep_until(self._clock.now() + _DEBUG_SECONDS)

    def _woken(self, member: Member) -> None:
        """A request came while a model slept: it is loaded again."""
        member.work = asyncio.create_task(self._wake(member))

    async def _wake(self, member: Member) -> None:
        await self._pass(member, self._settings.wake_seconds)
        member.work = None
        self._tell(member, Status.LOADED)

    async def _pass(self, member: Member, seconds: float) -> None:
        """Tell how far a load is, as long as it takes."""
        async for share in passing(self._clock, seconds, _REPORTS):
            progress = {"stages": ["text_model"], "current": "text_model", "value": share}
            self._tell(member, Status.LOADING, progress=progress)
