"""A model server in virtual time: requests come, wait in a line, have a slot for as long as they take, and end."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush

from gateway.proxy.queue.claims import Claim
from gateway.proxy.queue.fair_line import FairLine

SECONDS_PER_TOKEN = 0.01


@dataclass(slots=True)
class Asked:
    """One request. `tokens` is what it will take, which only its end tells."""

    claim: Claim
    tokens: int
    number: int = 0
    came: float = 0.0
    began: float = 0.0
    ended: float = 0.0

    @property
    def waited(self) -> float:
        return self.began - self.came


class FirstComeLine:
    """The line without any justice, to compare with."""

    def __init__(self) -> None:
        self._waiting: deque[object] = deque()

    def ask(self, request: object, _claim: Claim, _now: float) -> None:
        self._waiting.append(request)

    def begin_next(self, _now: float) -> object | None:
        return self._waiting.popleft() if self._waiting else None

    def end(self, request: object) -> None: ...
    def settle(self, request: object, tokens: int | None, seconds: float) -> None: ...


@dataclass(slots=True)
class Simulation:
    """Runs a line with `places`. `then` is called with each request that ends, and may `ask` for more."""

    line: FairLine | FirstComeLine
    places: int
    then: Callable[[Asked], None] = lambda _: None
    now: float = 0.0
    done: list[Asked] = field(default_factory=list)
    began: Callable[[Asked], None] = lambda _: None
    _events: list[tuple[float, int, str, Asked]] = field(default_factory=list)
    _requests: dict[object, Asked] = field(default_factory=dict)
    _running: int = 0
    _number: int = 0

    def ask(self, claim: Claim, tokens: int, after: float = 0.0) -> None:
        """Let a request come in so many seconds."""
        self._number += 1
        heappush(self._events, (self.now + after, self._number, "comes", Asked(claim, tokens, self._number)))

    def run(self, ends: int) -> Counter[str]:
        """Go on until so many requests have ended. Returns the tokens by key of those."""
        while len(self.done) < ends and self._events:
            self.now, _, what, one = heappop(self._events)
            request = (0, one.number)
            if what == "comes":
                one.came = self.now
                self._requests[request] = one
                self.line.ask(request, one.claim, self.now)
            else:
                one.ended = self.now
                self._running -= 1
                self.line.end(request)
                self.line.settle(request, one.tokens, self.now - one.began)
                self.done.append(one)
                self.then(one)
            self._give_places()
        return Counter({key: sum(one.tokens for one in self.done if one.claim.key == key) for key in self._keys()})

    def _keys(self) -> set[str]:
        return {one.claim.key for one in self.done}

    def _give_places(self) -> None:
        while self._running < self.places:
            request = self.line.begin_next(self.now)
            if request is None:
                return
            one = self._requests.pop(request)
            one.began = self.now
            self._running += 1
            heappush(self._events, (self.now + one.tokens * SECONDS_PER_TOKEN, one.number, "ends", one))
            self.began(one)
