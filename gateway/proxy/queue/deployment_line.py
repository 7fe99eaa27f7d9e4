"""One deployment's line as a process sees it: the places that it may take by itself, and its requests that wait.

Nobody else is asked for a place while nobody waits, here or in another process. What `Arbiter` is told and says is
written there.
"""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from time import monotonic
from typing import Any

from gateway.core import errors
from gateway.core.account import Key, Priority
from gateway.core.errors import Refusal
from gateway.proxy.queue.arbiter import LATE, UNKNOWN_SLOTS, Message
from gateway.proxy.queue.claims import Claim, Outlook
from gateway.proxy.queue.fair_line import recent_mean

_LOOK_SECONDS = 0.2  # between two looks at what each in line can expect
_ANSWER_SECONDS = 1.0  # in which an arbiter that can answer does
_MOST_CLAIMANTS = 10_000  # keys of which it is known what they take: a person may make them without number
_numbers = count(1)  # of requests, in this process


class BusyError(Exception):
    """There is no place: too many wait already, or this one has waited too long. `outlook`: how it stood in line."""

    def __init__(self, why: str, outlook: Outlook | None = None) -> None:
        super().__init__(why)
        self.outlook = outlook

    @property
    def headers(self) -> dict[str, str]:
        """What a client is told of it, as headers."""
        told = told_of(self.outlook)
        if self.outlook is not None and self.outlook.wait is not None:
            told["Retry-After"] = str(max(math.ceil(self.outlook.wait), 1))
        return told

    def refusal(self) -> Refusal:
        """The 503 that its client gets."""
        return Refusal(errors.BUSY, cause=str(self), **self.headers)


def told_of(outlook: Outlook | None) -> dict[str, str]:
    """What a client that is refused is told of the line, as headers: whole seconds, rounded up."""
    if outlook is None:
        return {}
    told = {"x-queue-position": str(outlook.position)}
    if outlook.wait is not None:
        told["x-queue-wait"] = str(math.ceil(outlook.wait))
    return told


@dataclass(slots=True, eq=False)
class Claimant:
    """A key at a deployment, and what its requests usually take there: tokens, and seconds of a place; 0: unknown."""

    key: str
    account: str
    is_batch: bool
    key_weight: float
    account_weight: float
    tokens: float = 0.0
    seconds: float = 0.0
    prospect: asyncio.Future[Outlook | None] | None = None  # what one of them could expect, when that was `asked_at`
    asked_at: float = 0.0

    def claim(self) -> Claim:
        """What a request of it claims."""
        weights = (self.is_batch, self.key_weight, self.account_weight)
        return Claim(self.key, self.account, *weights, round(self.tokens), self.seconds)


class Place:
    """Lets a request have a slot. It is given back when its answer is over, and settled once its tokens are known.

    `number` is what the arbiter knows it by, 0 if it does not. `waited` are the seconds in line.
    """

    __slots__ = ("claimant", "line", "number", "seconds", "since", "waited")

    def __init__(self, line: "DeploymentLine", claimant: Claimant, number: int = 0, waited: float = 0.0) -> None:
        self.line = line
        self.claimant = claimant
        self.number = number
        self.waited = waited
        self.since = monotonic()
        self.seconds = 0.0  # it was held for, once it was given back

    def settle(self, tokens: int | None) -> None:
        """Its request is over and has taken so many tokens; None: it does not say."""
        if tokens != 0:
            claimant = self.claimant
            claimant.seconds = recent_mean(claimant.seconds, self.seconds)
            if tokens is not None:
                claimant.tokens = recent_mean(claimant.tokens, tokens)
        if self.number:
            self.line.tell("settled", self.number, tokens, self.seconds)


class Ticket:
    """A request in line. `then` is called once, with what comes of it; it may be before `ask` returns."""

    __slots__ = ("claimant", "number", "patience", "since", "then", "timer")

    def __init__(
        self, claimant: Claimant, patience: float, then: "Callable[[Place | BusyError | Refusal], None]"
    ) -> None:
        self.number = next(_numbers)
        self.patience = patience
        self.claimant = claimant
        self.since = monotonic()
        self.then = then
        self.timer: asyncio.TimerHandle | None = None


class DeploymentLine:
    """`tell_arbiter` takes messages; what it answers is handed to `hear`."""

    def __init__(self, name: str, tell_arbiter: Callable[[Message], None]) -> None:
        self.name = name
        self.free = 0  # places that may be taken at once
        self.outlooks: dict[int, Outlook] = {}  # by ticket's number, as they were when last asked for
        self._tell_arbiter = tell_arbiter
        self._is_contended = False  # somebody waits, here or elsewhere: each place is given back
        self._taken: set[Place] = set()
        self._waiting: dict[int, Ticket] = {}
        self._claimants: dict[str, Claimant] = {}
        self._prospects: dict[int, asyncio.Future[Outlook | None]] = {}  # that are asked for
        self._looked_at = 0.0
        self._looked: asyncio.Future[None] | None = None  # done once `outlooks` are of that time
        self.places = 0
        self.most = 0  # requests that may have a place or wait for one

    @property
    def in_use(self) -> int:
        """Places that requests of this process have."""
        return len(self._taken)

    @property
    def waiting(self) -> int:
        """Requests of this process that wait."""
        return len(self._waiting)

    def claimant(self, key: Key, account_weight: float) -> Claimant:
        """This key, in this line, with what is known of it so far."""
        traits = (key.account, key.priority is Priority.BATCH, key.weight, account_weight)
        known = self._claimants.pop(key.id, None) or Claimant(key.id, *traits)
        self._claimants[key.id] = known
        if len(self._claimants) > _MOST_CLAIMANTS:
            del self._claimants[next(iter(self._claimants))]  # the one that was asked for longest ago
        known.account, known.is_batch, known.key_weight, known.account_weight = traits
        return known

    def configure(self, places: int | None, most_waiting: int, longest_wait: float) -> None:
        """Say how many places there are, how many requests may wait for one, and for how long (s) the least lucky.

        `places` is None while they are not known here.
        """
        self.places = places or UNKNOWN_SLOTS
        self.most = self.places + most_waiting
        self.tell("join", places, most_waiting, longest_wait)

    def take(self, claimant: Claimant) -> Place | None:
        """A place that is free and that nobody waits for; None if there is none."""
        if not self.free:
            return None
        self.free -= 1
        place = Place(self, claimant)
        self._taken.add(place)
        return place

    def take_back(self, place: Place, now: float) -> None:
        """A place is not used any more, and another may have it."""
        place.seconds = now - place.since
        self._taken.remove(place)
        if self._is_contended:
            self.tell("back", place.number)
        else:
            self.free += 1

    def ask(self, claimant: Claimant, patience: float, then: "Callable[[Place | BusyError | Refusal], None]") -> Ticket:
        """Wait in line, for `patience` seconds at most."""
        ticket = Ticket(claimant, patience, then)
        self._waiting[ticket.number] = ticket
        self.tell("ask", ticket.number, *claimant.claim())
        if ticket.number in self._waiting:
            ticket.timer = asyncio.get_running_loop().call_later(patience, self.tell, "expire", ticket.number)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Wait no longer; nothing, if it does not."""
        if self._end_wait(ticket.number) is not None:
            self.tell("leave", ticket.number)

    def move_to_front(self, ticket_number: int) -> None:
        """Let a request be the next, if it waits in this process."""
        if ticket_number in self._waiting:
            self.tell("front", ticket_number)

    async def look(self) -> None:
        """Have `outlooks` brought up to date; or not, where the arbiter is elsewhere and does not say in time."""
        now = monotonic()
        if not self._waiting:
            self.outlooks = {}
            return
        if self._looked is None or now - self._looked_at > _LOOK_SECONDS:
            self._looked, self._looked_at = asyncio.get_running_loop().create_future(), now
            self.tell("look")
        await asyncio.wait((self._looked,), timeout=_ANSWER_SECONDS)

    async def prospect(self, claimant: Claimant) -> Outlook | None:
        """What a request could expect now that does not come to wait: in the line of all processes.

        None where the arbiter does not say.
        """
        if not self._is_contended:  # nobody waits, in any process
            seconds = claimant.seconds / max(self.places, 1)
            return Outlook(1, 0.0 if self.free else seconds or None)
        now = monotonic()
        if claimant.prospect is None or now - claimant.asked_at > _LOOK_SECONDS:
            claimant.prospect, claimant.asked_at = asyncio.get_running_loop().create_future(), now
            number = next(_numbers)
            self._prospects[number] = claimant.prospect
            asyncio.get_running_loop().call_later(_ANSWER_SECONDS, self._hear_prospect, number)
            self.tell("prospect", number, *claimant.claim())
        return await asyncio.shield(claimant.prospect)

    def is_batch(self, ticket_number: int) -> bool:
        """Whether a request waits as batch, if it waits in this process."""
        ticket = self._waiting.get(ticket_number)
        return ticket is not None and ticket.claimant.is_batch

    def turn_away(self, refusal: Callable[[], Refusal]) -> None:
        """Refuse all who wait."""
        for ticket in tuple(self._waiting.values()):
            self.leave(ticket)
            ticket.then(refusal())

    def close(self) -> None:
        """Say no more: nothing runs or waits here, and who comes all the same is refused."""
        self.tell("close")
        self._tell_arbiter = self._answer_for_arbiter

    def tell(self, word: str, *more: Any) -> None:
        """Send the arbiter a message."""
        self._tell_arbiter((word, self.name, *more))

    def hear(self, word: str, *more: Any) -> None:
        """What the arbiter says. It is one of the methods below."""
        getattr(self, f"_hear_{word}")(*more)

    def _answer_for_arbiter(self, message: Message) -> None:
        """The line is closed: refuse a request whose body was on its way then."""
        ticket = self._end_wait(message[2]) if message[0] == "ask" else None
        if ticket is not None:
            ticket.then(BusyError("the deployment was removed, or has another server, since the request came"))

    def _hear_give(self, number: int) -> None:
        ticket = self._end_wait(number)
        if ticket is None:  # it left in the moment of its turn
            self.tell("back", number)
            self.tell("settled", number, 0, 0.0)
            return
        place = Place(self, ticket.claimant, number, monotonic() - ticket.since)
        self._taken.add(place)
        ticket.then(place)

    def _hear_refuse(self, number: int, reason: str, position: int, wait: float | None) -> None:
        ticket = self._end_wait(number)
        if ticket is not None:
            why = "limits.waiting is reached"
            if reason == LATE:
                why = f"no place was free within {ticket.patience:g} s"
            ticket.then(BusyError(why, Outlook(position, wait)))

    def _hear_contended(self) -> None:
        unused, self.free, self._is_contended = self.free, 0, True
        untold = [place for place in self._taken if not place.number]
        for place in untold:
            place.number = next(_numbers)
        running = [(place.number, place.since, *place.claimant.claim()) for place in untold]
        self.tell("running", unused, running)

    def _hear_quiet(self, more: int) -> None:
        self._is_contended = False
        self.free += more

    def _hear_prospect(self, number: int, *outlook: Any) -> None:
        asked = self._prospects.pop(number, None)
        if asked is not None:
            asked.set_result(Outlook(*outlook) if outlook else None)

    def _hear_outlooks(self, found: list[Any]) -> None:
        self.outlooks = {number: Outlook(position, wait) for number, position, wait in found}
        if self._looked is not None and not self._looked.done():
            self._looked.set_result(None)

    def _end_wait(self, number: int) -> Ticket | None:
        ticket = self._waiting.pop(number, None)
        if ticket is not None and ticket.timer is not None:
            ticket.timer.cancel()
        return ticket
