"""Loading a router's model, and loading it again when it wakes, with events about the progress.

Mirrors tools/server/server-models.cpp (`server_models::load`).
"""

import asyncio
from typing import Any, Protocol

from mockserver.core.clock import Clock
from mockserver.core.options import Options
from mockserver.engine.idle_sleep import IdleSleep
from mockserver.engine.model.model_info import model_info
from mockserver.engine.server_context import ServerContext
from mockserver.server.router.router_model import ModelStatus, RouterModel, progress_of

_REPORTS = 0.2  # of a load: from one event to the next, as a share of it
_DEBUG_SECONDS = 2.0


class ReportStatus(Protocol):
    """Tells all who listen of a model's status."""

    def __call__(self, model: RouterModel, status: ModelStatus, **about: Any) -> None: ...


class ModelLoader:
    """Loads models, each in the time that a load takes."""

    def __init__(self, options: Options, clock: Clock, publish: ReportStatus) -> None:
        self._options, self._clock, self._publish = options, clock, publish

    async def load(self, model: RouterModel) -> None:
        """Load a model that was not."""
        await self.debug_delay()
        await self._report_progress(model, self._options.load_seconds or 0.0)
        options = model.preset.server_options(self._options)
        server_context = model.server_context = ServerContext(options, self._clock)
        model.idle_sleep = IdleSleep(server_context, lambda: self._publish(model, ModelStatus.SLEEPING))
        server_context.on_idle, server_context.on_wake = model.idle_sleep.start_timer, lambda: self._on_wake(model)
        model.background_task, model.info = None, model_info(options, self._clock.unix())
        model.state = ModelStatus.LOADED
        self._publish(model, ModelStatus.LOADED, info=model.info)
        model.idle_sleep.start_timer()

    async def debug_delay(self) -> None:
        """The delays with which llama.cpp's own tests widen what they look for."""
        if self._options.debug_delays:
            await self._clock.sleep_until(self._clock.now() + _DEBUG_SECONDS)

    def _on_wake(self, model: RouterModel) -> None:
        """A request came while a model slept: it is loaded again."""
        model.background_task = asyncio.create_task(self._wake(model))

    async def _wake(self, model: RouterModel) -> None:
        await self._report_progress(model, self._options.wake_seconds)
        model.background_task = None
        self._publish(model, ModelStatus.LOADED)

    async def _report_progress(self, model: RouterModel, seconds: float) -> None:
        """Tell how far a load is, as long as it takes."""
        async for share in progress_of(self._clock, seconds, _REPORTS):
            progress = {"stages": ["text_model"], "current": "text_model", "value": share}
            self._publish(model, ModelStatus.LOADING, progress=progress)
