"""The mock in a thread of its own, for code that has no event loop."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from mockserver.core.state import Seconds, State, StateName
from mockserver.engine.canned_answers import CannedAnswers
from mockserver.play.faults import Faults
from mockserver.play.journal import EndName, JournalEntry, listing

if TYPE_CHECKING:
    from mockserver.server.awaited_mock import AwaitedMock

T = TypeVar("T")
_OVER = "The mock llama-server has stopped, or never ran; use it inside its `with` block."


class RunnableMock(Protocol):
    """The part of a MockLlamaServer that is used from another thread."""

    @property
    def url(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def control_url(self) -> str: ...
    @property
    def state(self) -> State: ...
    @property
    def requests(self) -> list[JournalEntry]: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    @property
    def faults(self) -> Faults: ...
    @property
    def answers(self) -> CannedAnswers: ...
    def har(self) -> dict[str, Any]: ...
    @property
    def set_state(self) -> Callable[..., Coroutine[Any, Any, None]]: ...
    async def reset(self) -> None: ...
    async def play(self, scenario: Any) -> None: ...
    async def stop_playing(self) -> None: ...
    async def advance(self, seconds: float) -> None: ...
    async def wait_for_state(self, state: StateName, timeout: float = ...) -> None: ...
    @property
    def wait_for_requests(self) -> Callable[..., Coroutine[Any, Any, list[JournalEntry]]]: ...
    async def clear_requests(self) -> None: ...


class BackgroundMock:
    """The methods of `MockLlamaServer`, blocking, callable from any thread."""

    def __init__(self, mock: RunnableMock) -> None:
        self._mock = mock
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mock-llama-server", daemon=True)
        self._is_over = False

    def start(self) -> None:
        """Start thread and mock; raises what the mock's own start raises."""
        self._thread.start()
        try:
            self._call(self._mock.start())
        except OSError:
            self._end_thread()
            raise

    def stop(self) -> None:
        """Stop mock and thread."""
        self._call(self._mock.stop())
        self._end_thread()

    def _end_thread(self) -> None:
        self._is_over = True
        asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        try:
            return self._begin(coroutine).result()
        except CancelledError:
            raise RuntimeError(_OVER) from None

    async def awaited(self, ask: Callable[[RunnableMock], Coroutine[Any, Any, T]]) -> T:
        """What a coroutine of the mock returns, for another event loop. Cancelled there, it is cancelled here."""
        try:
            return await asyncio.wrap_future(self._begin(ask(self._mock)))
        except asyncio.CancelledError:
            if self._is_over and not _is_cancelled():
                raise RuntimeError(_OVER) from None
            raise

    def _begin(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Raises RuntimeError if the thread has ended."""
        if self._is_over:
            coroutine.close()
            raise RuntimeError(_OVER)
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    @property
    def url(self) -> str:
        """Base URL of the model port."""
        return self._mock.url

    @property
    def port(self) -> int:
        """Number of the model port."""
        return self._mock.port

    @property
    def control_url(self) -> str:
        """Base URL of the control port."""
        return self._mock.control_url

    @property
    def state(self) -> State:
        """What it plays now."""
        return self._mock.state

    @property
    def requests(self) -> list[JournalEntry]:
        """What it received, oldest first."""
        return self._mock.requests

    @property
    def faults(self) -> Faults:
        """Its faults: `faults.add("503", times=2)`, `faults.clear()`."""
        return self._mock.faults

    @property
    def answers(self) -> CannedAnswers:
        """Its canned answers: `answers.add("Hello.", when={"contains": "hi"})`, `answers.clear()`."""
        return self._mock.answers

    def har(self) -> dict[str, Any]:
        """What it received and answered as HAR 1.2, keys masked."""
        return self._mock.har()

    def set_state(
        self,
        state: StateName,
        *,
        load_seconds: Seconds = ...,
        down_seconds: Seconds = ...,
        up_seconds: Seconds = ...,
        wake_seconds: float | EllipsisType = ...,
        exit_code: int | None = None,
    ) -> None:
        """Play a state, and return when it holds. Durations not given are those of the start, `None` means until told
        otherwise. Raises ValueError, which lists the states there are.
        """
        durations = {"load_seconds": load_seconds, "down_seconds": down_seconds}
        durations |= {"up_seconds": up_seconds, "wake_seconds": wake_seconds}
        self._call(self._mock.set_state(state, exit_code=exit_code, **durations))

    def play(self, scenario: Any) -> None:
        """Play a scenario from now on; returns when its first state is on the wire. Raises BadRule (a ValueError)."""
        self._call(self._mock.play(scenario))

    def stop_playing(self) -> None:
        """Take no further step of the scenario."""
        self._call(self._mock.stop_playing())

    def advance(self, seconds: float) -> None:
        """Let virtual time pass, and return when all that happens in it has happened. Raises ValueError."""
        self._call(self._mock.advance(seconds))

    def wait_for_state(self, state: StateName, timeout: float = 5.0) -> None:
        """Return once the state is reached. Raises NotInTime, which says what was played meanwhile."""
        self._call(self._mock.wait_for_state(state, timeout))

    def wait_for_requests(
        self,
        count: int = 1,
        *,
        timeout: float = 5.0,
        ended: EndName | None = None,
        method: str | None = None,
        path: str | None = None,
        status: int | None = None,
        after: int = 0,
        probes: bool = True,
    ) -> list[JournalEntry]:
        """Return once `count` exchanges match. `after` is an id; `probes`: those of `/health` and `/props` count, too.

        Raises NotInTime, which lists what was received.
        """
        __tracebackhide__ = True
        wanted = {"ended": ended, "method": method, "path": path, "status": status, "after": after, "probes": probes}
        return self._call(self._mock.wait_for_requests(count, timeout=timeout, **wanted))

    def reset(self) -> None:
        """Ready, nothing received, no scenario; faults and canned answers are those of the options."""
        self._call(self._mock.reset())

    def clear_requests(self) -> None:
        """Forget what was received."""
        self._call(self._mock.clear_requests())

    @property
    def aio(self) -> "AwaitedMock":
        """What takes time as coroutines, for tests whose own tasks must go on meanwhile."""
        from mockserver.server.awaited_mock import AwaitedMock

        return AwaitedMock(self)

    def report(self) -> str:
        """What was received, for people: a line a request."""
        return listing("the mock", self.requests)

    def __repr__(self) -> str:
        return f"<mock llama-server {self.url}: {self.state}>"


async def _cancel_all() -> None:
    """End what is still waited for: whoever waits is told, and does not wait for ever."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
