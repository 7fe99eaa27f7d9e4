"""One deployment of a sandbox: its base URL, its life in one line a change, and what its mock received."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

from mockserver.play.journal import JournalEntry, JournalFilter, listing
from mockserver.server.background_thread import BackgroundMock

_POLL_SECONDS = 0.02
T = TypeVar("T")


class GatewayControl(Protocol):
    """The part of a sandbox that a deployment needs: its gateway's address and its gateway's registry."""

    @property
    def url(self) -> str: ...
    def status(self, name: str) -> str: ...
    def set_status(self, name: str, status: str, *, wait: bool = True) -> None: ...
    def is_let_through(self, name: str) -> bool: ...


class Deployment:
    """A deployment and the mock behind it. A change returns when a client of the gateway meets it."""

    def __init__(self, name: str, mock: BackgroundMock, sandbox: GatewayControl) -> None:
        self.name = name
        self.mock = mock
        self._sandbox = sandbox

    @property
    def base_url(self) -> str:
        """What the Anthropic SDK and Claude Code take as base URL; `/v1/...` follows it."""
        return f"{self._sandbox.url}/api/gguf/{self.name}"

    @property
    def openai_base_url(self) -> str:
        """What the OpenAI SDK takes as base URL: it ends in `/v1`."""
        return f"{self.base_url}/v1"

    # --- its life

    def pause(self) -> None:
        """503 `paused`, and the mock's port closed; what was under way is cut."""
        self._sandbox.set_status(self.name, "paused")
        self.mock.set_state("paused")

    def resume(self) -> None:
        """Ready again, whatever it was before: paused, crashed, restarting, deploying."""
        self.mock.set_state("ready")
        if self._sandbox.status(self.name) != "auto":
            self._sandbox.set_status(self.name, "auto")
        self.wait_until_ready()

    def restart(self, down_seconds: float = 1.0, load_seconds: float = 0.0) -> None:
        """502 while the mock is away and then loads its model; ready after that by itself. It stays `ready` in the
        registry all the while, and what was under way is cut."""
        self.mock.set_state("restarting", down_seconds=down_seconds, load_seconds=load_seconds)

    def crash(self) -> None:
        """502 from now on: connections are reset and the port is closed until `resume`."""
        self.mock.set_state("crashed")

    def redeploy(self, load_seconds: float = 1.0) -> None:
        """503 `deploying` while a new llama-server loads; ready after that by itself."""
        self._sandbox.set_status(self.name, "deploying")
        self.mock.set_state("deploying", load_seconds=load_seconds)
        self._sandbox.set_status(self.name, "auto", wait=False)

    def wait_until_ready(self, timeout: float = 10.0) -> None:
        """Return once requests are answered by the mock again. Raises TimeoutError."""
        deadline = time.monotonic() + timeout
        try:
            self.mock.wait_for_state("ready", timeout)
        except TimeoutError as error:
            raise TimeoutError(f"{self.name} is not ready after {timeout:g} s: it is {self.mock.state}.") from error
        while not self._sandbox.is_let_through(self.name):
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{self.name} is not ready after {timeout:g} s: the gateway does not let it through."
                )
            time.sleep(_POLL_SECONDS)

    # --- what it received

    @property
    def requests(self) -> list[JournalEntry]:
        """The requests of clients that reached the mock in this test, oldest first, at most 1000."""
        return [entry for entry in self.mock.requests if _OF_CLIENTS(entry)]

    def wait_for_requests(
        self,
        count: int = 1,
        *,
        timeout: float = 5.0,
        ended: str | None = None,
        method: str | None = None,
        path: str | None = None,
        status: int | None = None,
    ) -> list[JournalEntry]:
        """Return once `count` requests match; `ended` is running, finished, aborted (client left) or cut (by the mock).

        Raises AssertionError, which lists what was received, after `timeout` seconds.
        """
        wanted = {"ended": ended, "method": method, "path": path, "status": status}
        try:
            return self.mock.wait_for_requests(count, timeout=timeout, probes=False, **wanted)
        except TimeoutError:
            what = ", ".join(f"{name}={value!r}" for name, value in wanted.items() if value is not None)
            message = f"{self.name}: fewer than {count} request(s){f' with {what}' if what else ''} in {timeout:g} s."
        raise AssertionError(f"{message}\n{self.received()}")

    def clear_requests(self) -> None:
        """Forget what was received."""
        self.mock.clear_requests()

    def received(self) -> str:
        """What was received, for people: a line a request."""
        return listing(self.name, self.requests)

    def reset(self) -> None:
        """Ready, nothing received, no script: what every test begins with."""
        self.mock.stop_playing()
        self.mock.faults.clear()
        self.mock.answers.clear()
        if self.mock.state != "ready" or self._sandbox.status(self.name) != "auto":
            self.resume()
        self.clear_requests()

    @property
    def aio(self) -> "AsyncDeployment":
        """The same changes and waits as coroutines, for tests whose own tasks must go on meanwhile."""
        return AsyncDeployment(self)

    def __repr__(self) -> str:
        return f"<Deployment {self.name}: mock {self.mock.state}, received {self.requests!r}>"


_OF_CLIENTS = JournalFilter(probes=False)


class AsyncDeployment:
    """The methods of `Deployment` that take time, to be awaited."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    async def pause(self) -> None:
        """See `Deployment.pause`."""
        await _in_thread(self._deployment.pause)

    async def resume(self) -> None:
        """See `Deployment.resume`."""
        await _in_thread(self._deployment.resume)

    async def restart(self, down_seconds: float = 1.0, load_seconds: float = 0.0) -> None:
        """See `Deployment.restart`."""
        await _in_thread(partial(self._deployment.restart, down_seconds, load_seconds))

    async def crash(self) -> None:
        """See `Deployment.crash`."""
        await _in_thread(self._deployment.crash)

    async def redeploy(self, load_seconds: float = 1.0) -> None:
        """See `Deployment.redeploy`."""
        await _in_thread(partial(self._deployment.redeploy, load_seconds))

    async def wait_until_ready(self, timeout: float = 10.0) -> None:
        """See `Deployment.wait_until_ready`."""
        await _in_thread(partial(self._deployment.wait_until_ready, timeout))

    async def wait_for_requests(
        self,
        count: int = 1,
        *,
        timeout: float = 5.0,
        ended: str | None = None,
        method: str | None = None,
        path: str | None = None,
        status: int | None = None,
    ) -> list[JournalEntry]:
        """See `Deployment.wait_for_requests`."""
        wait = self._deployment.wait_for_requests
        return await _in_thread(
            partial(wait, count, timeout=timeout, ended=ended, method=method, path=path, status=status)
        )


async def _in_thread(call: Callable[[], T]) -> T:
    return await asyncio.to_thread(call)
