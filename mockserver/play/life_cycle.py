"""The life cycle on the wire: opens and closes the port, cuts streams, puts the model to sleep, step by step."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from types import EllipsisType

from mockserver.core.listening.listener import Listener
from mockserver.core.options import Options
from mockserver.core.state import Durations, Phase, Seconds, State, Step, state_named, steps_of
from mockserver.engine.idle_sleep import IdleSleep
from mockserver.play.mock_context import MockContext


class LifeCycle:
    """Plays one state after the other. `exit_code` is what a process should end with once `exited` is set."""

    def __init__(self, context: MockContext, listener: Listener, options: Options) -> None:
        self.exit_code: int | None = None
        self.exited = asyncio.Event()
        self._context, self._listener, self._options = context, listener, options
        self._state_lock = asyncio.Lock()
        self._steps_task: asyncio.Task[None] | None = None
        self._idle_sleep = IdleSleep(context.server_context, self._on_sleep)
        context.server_context.on_wake, context.server_context.on_idle = self._on_wake, self._on_idle

    def durations(
        self,
        load_seconds: Seconds = ...,
        down_seconds: Seconds = ...,
        up_seconds: Seconds = ...,
        wake_seconds: Seconds = ...,
    ) -> Durations:
        """The durations given, the others as at the start."""
        start = self._options
        return Durations(
            start.load_seconds if isinstance(load_seconds, EllipsisType) else load_seconds,
            start.down_seconds if isinstance(down_seconds, EllipsisType) else down_seconds,
            start.up_seconds if isinstance(up_seconds, EllipsisType) else up_seconds,
            start.wake_seconds if isinstance(wake_seconds, EllipsisType) else wake_seconds or 0.0,
        )

    async def set_state(self, state: str, durations: Durations, exit_code: int | None = None) -> None:
        """Play a state; returns when the port is really open or closed. Raises ValueError for an unknown state."""
        steps = steps_of(state_named(state), durations)
        if exit_code is not None and state != State.CRASHED:
            raise ValueError(f"only 'crashed' has an exit code, not '{state}'")
        async with self._state_lock:
            await self.stop()
            first = next(steps)
            await self._enter(first, anew=True)
            if first.seconds is not None:
                self._steps_task = asyncio.create_task(self._play_steps(first.seconds, steps))
        if exit_code is not None:
            self.exit_code = exit_code
            self.exited.set()

    async def stop(self) -> None:
        """Take no further step."""
        await self._idle_sleep.stop()
        if self._steps_task is not None:
            self._steps_task.cancel()
            with suppress(asyncio.CancelledError):
                await self._steps_task
            self._steps_task = None

    async def _play_steps(self, seconds: float, steps: Iterator[Step]) -> None:
        """Take the further steps of a state, each after the time of the one before."""
        clock = self._context.clock
        due = clock.now() + seconds
        await clock.sleep_until(due)
        for step in steps:
            await self._enter(step)
            if step.seconds is None:
                return
            due += step.seconds
            await clock.sleep_until(due)

    async def _enter(self, step: Step, *, anew: bool = False) -> None:
        self._context.enter(step, anew=anew)
        server_context = self._context.server_context
        if step.state is State.SLEEPING:
            server_context.sleep()
        elif step.state is State.WAKING:
            server_context.wake(step.seconds or 0.0)
        else:
            server_context.wake(0.0)
        if step.phase in (Phase.DOWN, Phase.LOADING):
            self._context.close_running_as_cut()
            await self._listener.close(by_reset=step.state is State.CRASHED)
            server_context.forget_clients()
        if step.phase is not Phase.DOWN:
            await self._listener.open()
        self._on_idle()

    def _on_wake(self) -> None:
        """A request came while the model slept: it waits for the model, and the state says so."""
        if self._context.step.state in (State.SLEEPING, State.READY):
            steps = steps_of(State.WAKING, self.durations())
            waking = next(steps)
            self._context.enter(waking)
            self._steps_task = asyncio.create_task(self._play_steps(waking.seconds or 0.0, steps))

    def _on_idle(self) -> None:
        """Nothing is asked any more; a server that is ready may fall asleep."""
        if self._context.step.state is State.READY:
            self._idle_sleep.start_timer()

    def _on_sleep(self) -> None:
        if self._context.step.state is State.READY:
            self._context.enter(next(steps_of(State.SLEEPING, self.durations())))
