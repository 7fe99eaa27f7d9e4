"""One deployment of a sandbox: its base URL, its life in one line a change, and what its mock received."""

import time
from typing import TYPE_CHECKING, Any, Protocol

from mockserver.core.clock import NotInTime
from mockserver.engine.canned_answers import CannedAnswers
from mockserver.play.faults import Faults
from mockserver.play.journal import EndName, JournalEntry, JournalFilter, listing
from mockserver.server.background_thread import BackgroundMock

if TYPE_CHECKING:
    from mockserver.sandbox.async_deployment import AsyncDeployment

_POLL_SECONDS = 0.02
_LET_THROUGH = 400  # a request with no body is refused for that, after the gateway has looked at all else


class GatewayControl(Protocol):
    """The part of a sandbox that a deployment needs: its gateway's address and its gateway's registry."""

    @property
    def url(self) -> str: ...
    def status(self, name: str) -> str: ...
    def set_status(self, name: str, status: str, *, wait: bool = True) -> None: ...
    def answer_to_empty_request(self, name: str) -> int: ...


class Deployment:
    """A deployment and the mock behind it. A change returns when a client of the gateway meets it.

    `mock` is the mock by itself, for what is not here.
    """

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

    def hang(self) -> None:
        """An open port that answers nothing, and streams that stop where they are, until `resume`."""
        self.mock.set_state("hung")

    def redeploy(self, load_seconds: float = 1.0) -> None:
        """503 `deploying` while a new llama-server loads; ready after that by itself."""
        self._sandbox.set_status(self.name, "deploying")
        self.mock.set_state("deploying", load_seconds=load_seconds)
        self._sandbox.set_status(self.name, "auto", wait=False)

    def wait_until_ready(self, timeout: float = 10.0) -> None:
        """Return once requests are answered by the mock again. Raises NotInTime, which says what is so instead."""
        __tracebackhide__ = True  # pytest shows the test's own line
        deadline = time.monotonic() + timeout
        try:
            self.mock.wait_for_state("ready", timeout)
        except NotInTime as error:
            played = str(error).partition(": it was ")[2]
            raise NotInTime(f"{self.name} is not ready after {timeout:g} s: its mock was {played}") from None
        while (answer := self._sandbox.answer_to_empty_request(self.name)) != _LET_THROUGH:
            if time.monotonic() > deadline:
                seen = f"the gateway answers {answer} (status {self._sandbox.status(self.name)})"
                raise NotInTime(f"{self.name} is not ready after {timeout:g} s: its mock is ready, but {seen}.")
            time.sleep(_POLL_SECONDS)

    # --- what its model server does

    @property
    def faults(self) -> Faults:
        """What goes wrong: `faults.add("503", times=2)`, `faults.clear()`."""
        return self.mock.faults

    @property
    def answers(self) -> CannedAnswers:
        """What is said: `answers.add("Hello.", when={"contains": "hi"})`, `answers.clear()`. The newest goes first."""
        return self.mock.answers

    def play(self, scenario: Any) -> None:
        """Play a scenario, a file's path or what stands in one, from now on; returns when its first state is there.

        It is played by the mock: the gateway's status of the deployment stays as it is. Raises BadRule (a ValueError).
        """
        self.mock.play(scenario)

    def stop_playing(self) -> None:
        """Take no further step of the scenario."""
        self.mock.stop_playing()

    def advance(self, seconds: float) -> None:
        """Let the mock's virtual time pass (`clock="virtual"`), and return when what is due in it has happened.

        Raises ValueError if its clock is real.
        """
        self.mock.advance(seconds)

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
        ended: EndName | None = None,
        method: str | None = None,
        path: str | None = None,
        status: int | None = None,
    ) -> list[JournalEntry]:
        """Return once `count` requests match; `ended` is running, finished, aborted (client left) or cut (by the mock).

        Raises NotInTime, which lists what was received, after `timeout` seconds.
        """
        __tracebackhide__ = True
        try:
            return self.mock.wait_for_requests(
                count, timeout=timeout, ended=ended, method=method, path=path, status=status, probes=False
            )
        except NotInTime as error:
            not_received = self.not_received(error)
        raise not_received

    def not_received(self, error: NotInTime) -> NotInTime:
        """What its mock says of a wait in vain, said of the deployment."""
        return NotInTime(f"{self.name}: {str(error).partition(chr(10))[0]}\n{self.received()}")

    def clear_requests(self) -> None:
        """Forget what was received."""
        self.mock.clear_requests()

    def received(self) -> str:
        """What was received, for people: a line a request."""
        return listing(self.name, self.requests)

    def reset(self) -> None:
        """Ready, nothing received, no scenario, no faults and answers but those of the mock's options: what every test
        begins with.
        """
        was_ready = self.mock.state == "ready" and self._sandbox.status(self.name) == "auto"
        self.mock.reset()
        if not was_ready:
            self.resume()
            self.clear_requests()

    @property
    def aio(self) -> "AsyncDeployment":
        """The same changes and waits as coroutines, for tests whose own tasks must go on meanwhile."""
        from mockserver.sandbox.async_deployment import AsyncDeployment

        return AsyncDeployment(self)

    def __repr__(self) -> str:
        return f"<Deployment {self.name}: mock {self.mock.state}, received {self.requests!r}>"


_OF_CLIENTS = JournalFilter(probes=False)
