"""The lines of several processes and their arbiter, in one process: what is said is heard at once, and in order."""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic

from gateway.proxy.queue.arbiter import Arbiter, Member, Message
from gateway.proxy.queue.deployment_line import Claimant, DeploymentLine
from gateway.proxy.queue.lines import Deliver, Lines


class Workers:
    """So many processes that serve one deployment, each with its lines, and the arbiter of all."""

    def __init__(self, size: int) -> None:
        self.now = monotonic()
        self.arbiter = Arbiter(size, self._send, lambda: self.now)
        self._hears: dict[object, Deliver] = {}
        self._said: deque[Callable[[], None]] = deque()
        self._is_speaking = False
        self.lines = [self.begin(number) for number in range(size)]

    def begin(self, number: int) -> Lines:
        """A process, the first of this number or the one that follows it."""
        return Lines(partial(self._connect, number))

    def deafen(self, number: int) -> None:
        """Let a process hear nothing any more, and say nothing."""
        self._hears[number] = lambda _: None

    def _connect(self, number: int, hear: Deliver) -> Deliver:
        self._hears[number] = hear
        return lambda message: self._deliver(partial(self.arbiter.hear, number, message))

    def _send(self, member: Member, message: Message) -> None:
        self._deliver(partial(self._hears[member], message))

    def _deliver(self, hear: Callable[[], None]) -> None:
        """In order, and never in the middle of what somebody else hears."""
        self._said.append(hear)
        if not self._is_speaking:
            self._is_speaking = True
            while self._said:
                self._said.popleft()()
            self._is_speaking = False


def ask(line: DeploymentLine, claimant: Claimant) -> asyncio.Future[object]:
    """Wait in line; its result is what comes of it."""
    outcome: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    line.ask(claimant, 60.0, outcome.set_result)
    return outcome
