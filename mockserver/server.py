"""The mock as an object: start it, change its state, ask what it received. In this loop or beside it."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from types import EllipsisType, TracebackType
from typing import Any, Self

from mockserver.app import create_app
from mockserver.background import BackgroundMock
from mockserver.control_api import create_control_app
from mockserver.door import Door
from mockserver.journal import Ended, Exchange, Filter, Journal
from mockserver.machine import Machine
from mockserver.settings import Settings
from mockserver.state import Durations, Phase, State, Step, course

Seconds = float | None


class MockLlamaServer:
    """A llama-server double. `async with MockLlamaServer(parallel=1) as mock:` runs it in this event loop,
    `with MockLlamaServer(...) as mock:` in a thread of its own (see `BackgroundMock`).

    The keyword arguments are the fields of `Settings`. Port 0 takes any free port. Raises PortTaken at start.
    """

    def __init__(self, settings: Settings | None = None, **options: Any) -> None:
        if unknown := sorted(set(options) - {field.name for field in fields(Settings)}):
            raise TypeError(f"MockLlamaServer has no option {unknown[0]!r}")
        self.settings = settings or Settings(**options)
        self.journal = Journal()
        self.machine = Machine(self.settings)
        first = State(self.settings.state)
        self._durations = Durations(self.settings.load_seconds, self.settings.down_seconds, self.settings.up_seconds)
        self._step = Step(first, Phase.DOWN, None)
        self._since = time.monotonic()
        self._changed = asyncio.Event()
        self._changing = asyncio.Lock()
        self._course: asyncio.Task[None] | None = None
        app = create_app(self.machine, self.journal, lambda: self._step.phase is Phase.LOADING)
        self._door = Door(app, self.settings.host, self.settings.port)
        self._control = Door(create_control_app(self), self.settings.host.partition(",")[0], self.settings.control_port)
        self._background: BackgroundMock | None = None

    async def start(self) -> None:
        """Bind both ports and begin with the first state; raises PortTaken."""
        try:
            self._door.hold()
            await self._control.open()
            await self.set_state(self.settings.state)
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Cut every connection and give both ports back."""
        await self._leave_course()
        self._mark_cut()
        await self._door.release()
        await self._control.release()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def __enter__(self) -> BackgroundMock:
        self._background = BackgroundMock(self)
        self._background.start()
        return self._background

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._background is not None:
            self._background.stop()

    @property
    def url(self) -> str:
        """Base URL of the model port, e.g. `http://127.0.0.1:41234`; known after the start, in every state."""
        return self._door.url

    @property
    def port(self) -> int:
        """Number of the model port."""
        return self._door.port

    @property
    def control_url(self) -> str:
        """Base URL of the control port, which is open in every state."""
        return self._control.url

    @property
    def state(self) -> State:
        """What it plays now."""
        return self._step.state

    @property
    def phase(self) -> Phase:
        """What a client meets now: down, loading or up."""
        return self._step.phase

    @property
    def requests(self) -> list[Exchange]:
        """What it received, oldest first."""
        return list(self.journal)

    def describe(self) -> dict[str, Any]:
        """The state as the control API shows it."""
        since = round(time.monotonic() - self._since, 3)
        return {"state": self.state.value, "phase": self.phase.value, "since_seconds": since}

    async def set_state(
        self,
        state: str,
        *,
        load_seconds: Seconds | EllipsisType = ...,
        down_seconds: Seconds | EllipsisType = ...,
        up_seconds: Seconds | EllipsisType = ...,
    ) -> None:
        """Play a state; durations not given are those of the start, `None` means until told otherwise.

        Returns when the port is really open or closed. Raises ValueError for an unknown state.
        """
        durations = Durations(
            self._durations.load if isinstance(load_seconds, EllipsisType) else load_seconds,
            self._durations.down if isinstance(down_seconds, EllipsisType) else down_seconds,
            self._durations.up if isinstance(up_seconds, EllipsisType) else up_seconds,
        )
        steps = course(State(state), durations)
        async with self._changing:
            await self._leave_course()
            first = next(steps)
            self._since = time.monotonic()
            await self._enter(first)
            if first.seconds is not None:
                self._course = asyncio.create_task(self._follow(first.seconds, steps))

    async def _follow(self, seconds: float, steps: Iterator[Step]) -> None:
        """Take the further steps of a state, each after the time of the one before."""
        await asyncio.sleep(seconds)
        for step in steps:
            await self._enter(step)
            if step.seconds is None:
                return
            await asyncio.sleep(step.seconds)

    async def _leave_course(self) -> None:
        if self._course is not None:
            self._course.cancel()
            with suppress(asyncio.CancelledError):
                await self._course
            self._course = None

    async def _enter(self, step: Step) -> None:
        if step.state is not self._step.state:
            self._since = time.monotonic()
        self._step = step
        if step.phase is not Phase.UP:
            self._mark_cut()
            await self._door.close(reset=step.state is State.CRASHED)
        if step.phase is not Phase.DOWN:
            await self._door.open()
        self._changed.set()
        self._changed = asyncio.Event()

    def _mark_cut(self) -> None:
        """Exchanges that are cut by the mock are not put down to their clients."""
        for exchange in self.journal.matching(Filter(ended=Ended.RUNNING)):
            exchange.end(Ended.CUT)
        self.journal.touch()

    async def wait_for_state(self, state: str, timeout: float = 5.0) -> None:
        """Return once the state is reached; raises TimeoutError after `timeout` seconds."""
        async with asyncio.timeout(timeout):
            while self.state != state:
                await self._changed.wait()

    async def wait_for_requests(self, count: int = 1, *, timeout: float = 5.0, **wanted: Any) -> list[Exchange]:
        """Return once `count` exchanges match `wanted` (the fields of `Filter`); raises TimeoutError."""
        return await self.journal.wait(Filter(**wanted), count, timeout)

    async def clear_requests(self) -> None:
        """Forget what was received."""
        self.journal.clear()
