"""One model of a router: its status, who uses it, and what is told of it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mockserver.core.clock import Clock
from mockserver.engine.idle_sleep import IdleSleep
from mockserver.engine.server_context import ServerContext
from mockserver.server.router.model_presets import ModelPreset

ModelEvent = dict[str, Any]


class ModelStatus(StrEnum):
    """What `GET /models` says of a model."""

    DOWNLOADING = "downloading"
    DOWNLOADED = "downloaded"
    UNLOADED = "unloaded"
    LOADING = "loading"
    LOADED = "loaded"
    SLEEPING = "sleeping"


_RUNNING = frozenset((ModelStatus.LOADING, ModelStatus.LOADED, ModelStatus.SLEEPING))


@dataclass(slots=True, eq=False)
class RouterModel:
    """One model. `work` loads or downloads it, `dozing` sends it to sleep; `busy` counts requests being served,
    `wanted` those that wait for it. `info` is what its server tells of itself, or how far its download is.
    """

    preset: ModelPreset
    state: ModelStatus = ModelStatus.UNLOADED
    machine: ServerContext | None = None
    dozing: IdleSleep | None = None
    work: asyncio.Task[None] | None = None
    info: dict[str, Any] = field(default_factory=dict)
    busy: int = 0
    wanted: int = 0
    last_used: int = 0

    @property
    def name(self) -> str:
        """What it is called first of all."""
        return self.preset.name

    @property
    def status(self) -> ModelStatus:
        """Its state; a loaded model that fell asleep is sleeping, and loads again when it is woken."""
        if self.state is not ModelStatus.LOADED or self.machine is None:
            return self.state
        if self.machine.asleep:
            return ModelStatus.SLEEPING
        return ModelStatus.LOADING if self.machine.waking else ModelStatus.LOADED

    @property
    def is_running(self) -> bool:
        """Whether it takes one of the router's places."""
        return self.state in _RUNNING

    @property
    def is_idle(self) -> bool:
        """Whether it may be unloaded to make room."""
        return self.state is ModelStatus.LOADED and not self.busy and not self.wanted

    def stop(self) -> None:
        """End what it does."""
        if self.work is not None:
            self.work.cancel()
        if self.dozing is not None:
            self.dozing.cancel()
        self.machine = self.work = self.dozing = None
        self.info = {}


class ModelEvents:
    """What happens to the models, told to all who listen."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[ModelEvent]] = set()

    def tell(self, event: str, model: str, data: Any = None) -> None:
        """Tell of a model, or of all (`*`)."""
        told = {"model": model, "event": event} | ({} if data is None else {"data": data})
        for listener in self._listeners:
            listener.put_nowait(told)

    @contextmanager
    def heard(self) -> Iterator[asyncio.Queue[ModelEvent]]:
        """A queue of everything told from now on."""
        queue: asyncio.Queue[ModelEvent] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)


async def passing(clock: Clock, seconds: float, every: float) -> AsyncIterator[float]:
    """How much of a time has passed, from 0 to 1, every so often while it passes."""
    start, passed = clock.now(), 0.0
    while passed < seconds:
        yield passed / seconds
        passed = min(passed + every, seconds)
        await clock.sleep_until(start + passed)
    yield 1.0
