"""An event loop in which time passes at once: from timer to timer, whenever nothing else is to be done."""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar, TypeVarTuple, Unpack

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for work in threads, and for nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0  # seconds
        self.threads = 0  # that work

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or self.threads:
            return super().select(None if timeout else timeout)
        found = super().select(0)
        if not found:
            self.passed += max(timeout, 0.0)
        return found


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Its `time` begins at 0, and stands still while a thread works for it. For `asyncio.Runner`."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.passed

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[_Arguments]], _Result], *args: *_Arguments
    ) -> "asyncio.Future[_Result]":
        self._jumping.threads += 1
        done = super().run_in_executor(executor, func, *args)
        done.add_done_callback(self._thread_done)
        return done

    def _thread_done(self, _: object) -> None:
        self._jumping.threads -= 1
