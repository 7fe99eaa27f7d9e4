"""One model of a router: its status, its requests, and the events about it."""

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
    """One model. `background_task` loads or downloads it, `idle_sleep` frees it; `busy` counts requests under way,
    `waiting` those that wait for it. `info` is what its server tells of itself, or how far its download is.
    """

    preset: ModelPreset
    state: ModelStatus = ModelStatus.UNLOADED
    server_context: ServerContext | None = None
    idle_sleep: IdleSleep | None = None
    background_task: asyncio.Task[None] | None = None
    info: dict[str, Any] = field(default_factory=dict)
    busy: int = 0
    waiting: int = 0
    last_used: int = 0

    @property
    def name(self) -> str:
        """What it is called first of all."""
        return self.preset.name

    @property
    def status(self) -> ModelStatus:
        """Its state; a loaded model that fell asleep is sleeping, and loads again when it is woken."""
        if self.state is not ModelStatus.LOADED or self.server_context is None:
            return self.state
        if self.server_context.is_asleep:
            return ModelStatus.SLEEPING
        return ModelStatus.LOADING if self.server_context.is_waking else ModelStatus.LOADED

    @property
    def is_running(self) -> bool:
        """Whether it takes one of the router's places."""
        return self.state in _RUNNING

    @property
    def is_idle(self) -> bool:
        """Whether it may be unloaded to make room."""
        return self.state is ModelStatus.LOADED and not self.busy and not self.waiting

    def stop(self) -> None:
        """End what it does."""
        if self.background_task is not None:
            self.background_task.cancel()
        if self.idle_sleep is not None:
            self.idle_sleep.cancel()
        self.server_context = self.background_task = self.idle_sleep = None
        self.info = {}


class ModelEvents:
    """The events about the models, sent to all subscribers."""

    def __init__(self) -> None:
        self._subscribers: set[asyncio.Queue[ModelEvent]] = set()

    def publish(self, event: str, model: str, data: Any = None) -> None:
        """Tell of a model, or of all (`*`)."""
        event_data = {"model": model, "event": event} | ({} if data is None else {"data": data})
        for subscriber in self._subscribers:
            subscriber.put_nowait(event_data)

    @contextmanager
    def subscribe(self) -> Iterator[asyncio.Queue[ModelEvent]]:
        """A queue of the events from now on."""
        queue: asyncio.Queue[ModelEvent] = asyncio.Queue()
        self._subscribers.add(queue)
        try:
            yield queue
        finally:
            self._subscribers.discard(queue)


async def progress_of(clock: Clock, seconds: float, every: float) -> AsyncIterator[float]:
    """How much of a time has passed, from 0 to 1, every so often while it passes."""
    start, passed = clock.now(), 0.0
    while passed < seconds:
        yield passed / seconds
        passed = min(passed + every, seconds)
        await clock.sleep_until(start + passed)
    yield 1.0
