"""Requests played against both servers, and what came of it: counts by mode and family, and causes."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from scripts.drifting.causes import Cause, Causes, smallest
from scripts.drifting.comparison import Difference, difference
from scripts.drifting.exchange import SOON, Request, ask

_LATE = 300.0  # seconds, for an answer as long as the context, on a busy machine


@dataclass(slots=True)
class Tally:
    """What was seen, in counts by mode, then by family. `alike` holds `chosen`: alike but for the model's choices."""

    alike: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    chosen: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    asked: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    causes: Causes = field(default_factory=Causes)

    def add(self, mode: str, request: Request, found: Difference | None) -> None:
        """Count a request, with the difference in its answers if there is one."""
        self.asked[mode][request.about] += 1
        if found is None or found.choice:
            self.alike[mode][request.about] += 1
        if found is not None:
            self.chosen[mode][request.about] += bool(found.choice)
            self.causes.add(mode, request, found)


class Pair:
    """A real server and a mock in one mode."""

    def __init__(self, mode: str, real: str, mock: str, soon: float = SOON) -> None:
        self.mode, self._real, self._mock, self._soon = mode, real, mock, soon

    def compare(self, request: Request) -> Difference | None:
        """Ask both. A server that has crashed and is not there any more is a difference, too."""
        try:
            real, mock = ask(self._real, request, self._soon), ask(self._mock, request)
            if real.end == "silent" and mock.end == "whole":
                real = ask(self._real, request, _LATE)
            return difference(request, real, mock)
        except OSError as error:
            return Difference("connection", str(error), str(error))

    def play(
        self, requests: Iterable[Request], tally: Tally, told: Callable[[], None], deadline: float = float("inf")
    ) -> None:
        """Play them all, or until the deadline (of the monotonic clock); `told` is called after each."""
        for request in requests:
            if time.monotonic() > deadline:
                return
            tally.add(self.mode, request, self.compare(request))
            told()

    def minimise(self, tally: Tally, deadline: float = float("inf")) -> None:
        """Find the smallest request of each cause of this mode."""
        for cause in tally.causes:
            if cause.mode == self.mode and "silent" not in _words(cause) and time.monotonic() < deadline:
                cause.request = smallest(cause, self.compare)
                cause.difference = self.compare(cause.request) or cause.difference


def _words(cause: Cause) -> tuple[str, str]:
    """What the first words of both answers are; a server that says nothing is asked no more than needed."""
    return cause.difference.real.partition(" ")[0], cause.difference.mock.partition(" ")[0]
