"""The life cycle on the wire: opens and closes the port, cuts streams, puts the model to sleep, step by step."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from types import EllipsisType

from mockserver.core.listener import Listener
from mockserver.core.options import Options
from mockserver.core.state import Durations, Phase, State, Step, course
from mockserver.engine.idle_sleep import IdleSleep
from mockserver.play.mock_context import MockContext

Seconds = float | None


class LifeCycle:
    """Plays one state after the other. `exit_code` is what a process should end with once `exited` is set."""

    def __init__(self, stage: MockContext, door: Listener, settings: Options) -> None:
        self.exit_code: int | None = None
        self.exited = asyncio.Event()
        self._stage, self._door, self._settings = stage, door, settings
        self._changing = asyncio.Lock()
        self._course: asyncio.Task[None] | None = None
        self._dozing = IdleSleep(stage.machine, self._slept)
        stage.machine.on_wake, stage.machine.on_idle = self._woken, self._idle

    def durations(
        self,
        load_seconds: Seconds | EllipsisType = ...,
        down_seconds: Seconds | EllipsisType = ...,
        up_seconds: Seconds | EllipsisType = ...,
        wake_seconds: Seconds | EllipsisType = ...,
    ) -> Durations:
        """The durations given, the others as at the start."""
        start = self._settings
        return Durations(
            start.load_seconds if isinstance(load_seconds, EllipsisType) else load_seconds,
            start.down_seconds if isinstance(down_seconds, EllipsisType) else down_seconds,
            start.up_seconds if isinstance(up_seconds, EllipsisType) else up_seconds,
            start.wake_seconds if isinstance(wake_seconds, EllipsisType) else wake_seconds or 0.0,
        )

    async def set_state(self, state: str, durations: Durations, exit_code: int | None = None) -> None:
        """Play a state; returns when the port is really open or closed. Raises ValueError for an unknown state."""
        if exit_code is not None and state != State.CRASHED:
            raise ValueError(f"only 'crashed' has an exit code, not '{state}'")
        steps = course(State(state), durations)
        async with self._changing:
            await self.leave()
            first = next(steps)
            await self._enter(first, anew=True)
            if first.seconds is not None:
                self._course = asyncio.create_task(self._follow(first.seconds, steps))
        if exit_code is not None:
            self.exit_code = exit_code
            self.exited.set()

    async def leave(self) -> None:
        """Take no further step."""
        await self._dozing.stop()
        if self._course is not None:
            self._course.cancel()
            with suppress(asyncio.CancelledError):
                await self._course
            self._course = None

    async def _follow(self, seconds: float, steps: Iterator[Step]) -> None:
        """Take the further steps of a state, each after the time of the one before."""
        clock = self._stage.clock
        due = clock.now() + seconds
        await clock.sleep_until(due)
        for step in steps:
            await self._enter(step)
            if step.seconds is None:
                return
            due += step.seconds
            await clock.sleep_until(due)

    async def _enter(self, step: Step, *, anew: bool = False) -> None:
        self._stage.enter(step, anew=anew)
        machine = self._stage.machine
        if step.state is State.SLEEPING:
            machine.sleep()
        elif step.state is State.WAKING:
            machine.wake(step.seconds or 0.0)
        else:
            machine.wake(0.0)
        if step.phase in (Phase.DOWN, Phase.LOADING):
            self._stage.mark_cut()
            await self._door.close(reset=step.state is State.CRASHED)
        if step.phase is not Phase.DOWN:
            await self._door.open()
        self._idle()

    def _woken(self) -> None:
        """A request came while the model slept: it waits for the model, and the state says so."""
        if self._stage.step.state in (State.SLEEPING, State.READY):
            steps = course(State.WAKING, self.durations())
            waking = next(steps)
            self._stage.enter(waking)
            self._course = asyncio.create_task(self._follow(waking.seconds or 0.0, steps))

    def _idle(self) -> None:
        """Nothing is asked any more; a server that is ready may fall asleep."""
        if self._stage.step.state is State.READY:
            self._dozing.begin()

    def _slept(self) -> None:
        if self._stage.step.state is State.READY:
            self._stage.enter(next(course(State.SLEEPING, self.durations())))
