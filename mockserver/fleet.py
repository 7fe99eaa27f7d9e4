"""A router's models: which are loaded, who waits for which, and who has to go when there is no room."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from mockserver.clock import Clock
from mockserver.errors import ApiError
from mockserver.machine import Machine
from mockserver.settings import Settings


class Status(StrEnum):
    """What `GET /models` says of a model."""

    UNLOADED = "unloaded"
    LOADING = "loading"
    LOADED = "loaded"
    SLEEPING = "sleeping"


@dataclass(slots=True, eq=False)
class Member:
    """One model. `busy` counts requests being served, `wanted` those that wait for it to be loaded."""

    name: str
    source: str = "cache"
    state: Status = Status.UNLOADED
    machine: Machine | None = None
    loading: asyncio.Task[None] | None = None
    busy: int = 0
    wanted: int = 0
    last_used: int = 0

    @property
    def status(self) -> Status:
        """Its state; a loaded model that fell asleep is sleeping."""
        asleep = self.state is Status.LOADED and self.machine is not None and self.machine.asleep
        return Status.SLEEPING if asleep else self.state

    @property
    def is_idle(self) -> bool:
        """Whether it may be unloaded to make room."""
        return self.state is Status.LOADED and not self.busy and not self.wanted


class Fleet:
    """The models of a router. At most `models_max` are loaded; requests for others wait, first come first served."""

    def __init__(self, settings: Settings, names: Sequence[str], clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self.members = {name: Member(name) for name in names}
        self.listeners: set[asyncio.Queue[dict[str, Any]]] = set()
        self._queue: list[Member] = []
        self._changed = asyncio.Event()
        self._uses = 0

    def find(self, name: str) -> Member:
        """A model by name; raises the 400 of an unknown one."""
        if not name:
            raise ApiError(400, "model name is missing from the request")
        if name not in self.members:
            raise ApiError(400, f"model '{name}' not found")
        return self.members[name]

    @asynccontextmanager
    async def use(self, name: str, *, autoload: bool) -> AsyncIterator[Machine]:
        """The machine of a model, loaded first if it must be; it stays loaded as long as it is used."""
        member = self.find(name)
        if not autoload and member.state is Status.UNLOADED:
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
            machine = member.machine or Machine(self._settings, self._clock)
            async with machine.awake():
                yield machine
        finally:
            self._uses += 1
            member.busy -= 1
            member.last_used = self._uses
            self._schedule()

    def load(self, name: str) -> None:
        """Load a model in the background; raises the 400 or 404 of one that cannot be."""
        if name not in self.members:
            raise ApiError(404, "File Not Found")
        member = self.members[name]
        if member.state is not Status.UNLOADED:
            raise ApiError(400, "model is already running")
        self._queue.append(member)
        self._schedule()

    def unload(self, name: str) -> None:
        """Unload a model; raises the 400 of one that is not running."""
        if name not in self.members:
            raise ApiError(400, "model is not found")
        if self.members[name].state is Status.UNLOADED:
            raise ApiError(400, "model is not running")
        self._drop(self.members[name])
        self._schedule()

    async def close(self) -> None:
        """Break off what is loading."""
        tasks = [member.loading for member in self.members.values() if member.loading is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _until_loaded(self, member: Member) -> None:
        while member.state is not Status.LOADED:
            if member.state is Status.UNLOADED and member not in self._queue:
                self._queue.append(member)
            self._schedule()
            await self._changed.wait()

    def _schedule(self) -> None:
        """Start what there is room for, making room by unloading the idle model unused for longest."""
        while self._queue:
            running = [member for member in self.members.values() if member.state is not Status.UNLOADED]
            if len(running) < self._settings.models_max:
                member = self._queue.pop(0)
                self._set(member, Status.LOADING)
                member.loading = asyncio.create_task(self._load(member))
                continue
            idle = [member for member in running if member.is_idle]
            if not idle:
                return
            self._drop(min(idle, key=lambda member: member.last_used))

    async def _load(self, member: Member) -> None:
        await self._clock.sleep_until(self._clock.now() + (self._settings.load_seconds or 0.0))
        member.machine = Machine(replace(self._settings, alias=member.name, router=False), self._clock)
        member.loading = None
        self._set(member, Status.LOADED)

    def _drop(self, member: Member) -> None:
        if member.loading is not None:
            member.loading.cancel()
        member.machine = member.loading = None
        self._set(member, Status.UNLOADED)

    def _set(self, member: Member, state: Status) -> None:
        member.state = state
        event = {"model": member.name, "event": "status_change", "data": {"status": state.value}}
        for listener in self.listeners:
            listener.put_nowait(event)
        self._changed.set()
        self._changed = asyncio.Event()
