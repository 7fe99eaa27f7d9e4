"""Gives the places of all deployments to the processes that serve them, and holds the line of each: there is one.

A process keeps the places that it has, and takes them itself, while nobody waits. From the moment in which somebody
does, each is given back when its request is over, and given anew to who is next, whichever process that is in. No I/O:
`send` delivers, later, and in order.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from gateway.proxy.queue.claims import Claim, Outlook, RequestId
from gateway.proxy.queue.fair_line import FairLine
from gateway.proxy.queue.forecast import Forecast

UNKNOWN_SLOTS = 256  # places at a server that does not say how many slots it has
_FORECAST_SECONDS = 0.25  # for which a forecast holds, at least
_SECONDS_EACH = 60e-6  # for which it holds for each that waits: ten times what it takes, or more

_MOST_SHOWN = 1000
FULL, LATE = "full", "late"  # why a request is refused
Message = tuple[Any, ...]  # what is said, of which deployment, and more
Member = Hashable  # a process; the first half of a RequestId


@dataclass(slots=True)
class _LineOfAll:
    fair: FairLine
    most_waiting: int
    held: dict[Member, int] = field(default_factory=dict)  # places that each process has
    is_contended: bool = False
    unheard: set[Member] = field(default_factory=set)  # who may have places that are not used, and has not said so yet
    uncertain: dict[RequestId, Claim] = field(default_factory=dict)  # not in line: for places that those may give back
    _forecast: Forecast | None = None
    _forecast_until: float = 0.0
    _in_order: list[RequestId] = field(default_factory=list)  # who wait, as the forecast saw them, in their order
    _went_ahead: set[str] = field(default_factory=set)  # keys for which one has made room since the forecast

    @property
    def free(self) -> int:
        return self.fair.places - sum(self.held.values())

    @property
    def has_room(self) -> bool:
        """Whether one more may wait."""
        return len(self.fair) < self.most_waiting or (self.free > 0 and not self.fair)

    @property
    def is_any_unused(self) -> bool:
        """Whether there may be a place for one more who is uncertain."""
        return len(self.uncertain) < sum(self.held[member] for member in self.unheard)

    def let_in(self, now: float) -> None:
        """Let those who are uncertain wait in line, as far as there is room by now."""
        while self.uncertain and self.has_room:
            request = next(iter(self.uncertain))
            self.fair.ask(request, self.uncertain.pop(request), now)

    def outlook(self, request: RequestId, now: float) -> Outlook:
        """Of one that waits."""
        if self._forecast is not None and request not in self._forecast.outlooks:  # it came later
            self._forecast = None
        return self._current(now).outlooks[request]

    def outlook_of_refused(self, claim: Claim, now: float) -> Outlook:
        """What one could expect that there is no room for."""
        self.fair.mean_seconds = self.fair.mean_seconds or claim.seconds
        return self.fair.outlook_of_one_more(claim, self._current(now))

    def who_makes_room(self, claim: Claim, position: int, now: float) -> RequestId | None:
        """Who is last in line, where one more of this claim, which would stand at this position, goes before it.

        One for each key and forecast: that does not know yet of those of this key that have come since.
        """
        while self._in_order and self._in_order[-1] not in self.fair:
            self._in_order.pop()
        if not self._in_order or claim.key in self._went_ahead:
            return None
        last = self._in_order[-1]
        if position > self._current(now).outlooks[last].position:
            return None
        self._went_ahead.add(claim.key)
        return last

    def _current(self, now: float) -> Forecast:
        """The forecast, which is not made again for each who is refused: that takes a walk along the line."""
        is_blind = self._forecast is not None and not self._forecast.mean and self.fair.mean_seconds > 0
        if self._forecast is None or now > self._forecast_until or is_blind:
            self._forecast = self.fair.forecast(now)
            self._forecast_until = now + max(_FORECAST_SECONDS, len(self.fair) * _SECONDS_EACH)
            self._in_order = list(self._forecast.outlooks)
            self._went_ahead.clear()
        return self._forecast


class Arbiter:
    """Has `size` processes as members. `clock` tells seconds."""

    def __init__(self, size: int, send: Callable[[Member, Message], None], clock: Callable[[], float] = monotonic):
        self._size = size
        self._send = send
        self._clock = clock
        self._lines: dict[str, _LineOfAll] = {}

    def hear(self, member: Member, message: Message) -> None:
        """Do what a process asks for. It is one of the methods below, each with what follows the line's name."""
        word, name, *rest = message
        if word == "join":
            self._join(member, name, *rest)
        line = self._lines.get(name)
        if line is None or member not in line.held:
            return
        if word != "join":
            getattr(self, f"_{word}")(name, line, member, *rest)
        self._go_on(name, line)

    def forget(self, member: Member) -> None:
        """A process has ended: its places are free, and who waited in it waits no longer."""
        for name, line in tuple(self._lines.items()):
            self._part(name, line, member)

    def _join(self, member: Member, name: str, places: int | None, most_waiting: int, longest_wait: float) -> None:
        """A process serves a deployment. `places` is None while it does not know them: another may."""
        line = self._lines.get(name)
        if line is None:
            line = self._lines[name] = _LineOfAll(FairLine(UNKNOWN_SLOTS, longest_wait), most_waiting)
        line.fair.places = places or line.fair.places
        line.fair.longest_wait, line.most_waiting = longest_wait, most_waiting
        if member not in line.held:
            line.held[member] = 0
            if line.is_contended:
                self._send(member, ("contended", name))
        if not line.is_contended:
            self._share_out(name, line)

    def _part(self, name: str, line: _LineOfAll, member: Member) -> None:
        if line.held.pop(member, None) is None:
            return
        line.unheard.discard(member)
        line.uncertain = {request: claim for request, claim in line.uncertain.items() if request[0] != member}
        line.fair.forget(lambda request: request[0] == member)
        if line.held:
            self._go_on(name, line)
        else:
            del self._lines[name]

    def _close(self, name: str, line: _LineOfAll, member: Member) -> None:
        self._part(name, line, member)

    def _ask(self, name: str, line: _LineOfAll, member: Member, number: int, *claim: Any) -> None:
        request, asked, now = (member, number), Claim(*claim), self._clock()
        if not line.is_contended:
            line.unheard = {one for one, has in line.held.items() if has}
        if line.has_room:
            line.fair.ask(request, asked, now)
        elif line.is_any_unused:
            line.uncertain[request] = asked
        else:
            self._find_room(name, line, request, asked)

    def _find_room(self, name: str, line: _LineOfAll, request: RequestId, claim: Claim) -> None:
        """The line is full: refuse who is last in it, be it this one."""
        now = self._clock()
        own = line.outlook_of_refused(claim, now)
        last = line.who_makes_room(claim, own.position, now)
        if last is None:
            self._refuse(name, request, FULL, own)
            return
        position, wait = line.outlook(last, now)
        line.fair.leave(last)
        line.fair.ask(request, claim, now)
        self._refuse(name, last, FULL, Outlook(position + 1, wait))

    def _refuse(self, name: str, request: RequestId, reason: str, outlook: Outlook) -> None:
        member, number = request
        self._send(member, ("refuse", name, number, reason, *outlook))

    def _leave(self, _: str, line: _LineOfAll, member: Member, number: int) -> None:
        line.uncertain.pop((member, number), None)
        line.fair.leave((member, number))

    def _expire(self, name: str, line: _LineOfAll, member: Member, number: int) -> None:
        """It has waited for too long; if it has not been given its place in this moment."""
        request, now = (member, number), self._clock()
        if request in line.fair:
            outlook = line.outlook(request, now)
            line.fair.leave(request)
            self._refuse(name, request, LATE, outlook)
        elif request in line.uncertain:
            self._refuse(name, request, LATE, line.outlook_of_refused(line.uncertain.pop(request), now))

    def _running(self, _: str, line: _LineOfAll, member: Member, unused: int, requests: list[Any]) -> None:
        """What runs in a process that took places itself; it keeps none that it does not use."""
        line.held[member] -= unused
        line.unheard.discard(member)
        for number, since, *claim in requests:
            line.fair.begin((member, number), Claim(*claim), since)

    def _back(self, _: str, line: _LineOfAll, member: Member, number: int) -> None:
        line.held[member] -= 1
        line.fair.end((member, number))

    def _settled(
        self, _: str, line: _LineOfAll, member: Member, number: int, tokens: int | None, seconds: float
    ) -> None:
        line.fair.settle((member, number), tokens, seconds)

    def _front(self, _: str, line: _LineOfAll, member: Member, number: int) -> None:
        line.fair.move_to_front((member, number))

    def _prospect(self, name: str, line: _LineOfAll, member: Member, number: int, *claim: Any) -> None:
        """Say what a request could expect that does not come to wait, since something else refuses it."""
        self._send(member, ("prospect", name, number, *line.outlook_of_refused(Claim(*claim), self._clock())))

    def _look(self, name: str, line: _LineOfAll, member: Member) -> None:
        """Say what each of the first thousand can expect that waits in this process."""
        found = line.fair.outlooks(self._clock(), _MOST_SHOWN)
        own = [(request[1], *outlook) for request, outlook in found.items() if request[0] == member]
        self._send(member, ("outlooks", name, own))

    def _go_on(self, name: str, line: _LineOfAll) -> None:
        """Give what is free to those who wait, and say it to all when the first begins or the last ceases to."""
        self._give(name, line, self._clock())
        if not line.unheard:  # all have said what they do not use
            refused, line.uncertain = line.uncertain, {}
            for request, claim in refused.items():
                self._find_room(name, line, request, claim)
        is_contended = bool(line.fair or line.uncertain) or line.free < 0
        if is_contended and not line.is_contended:
            for member in line.held:
                self._send(member, ("contended", name))
        elif line.is_contended and not is_contended:
            for member in line.held:
                self._send(member, ("quiet", name, 0))
            line.fair.forget_idle()
            self._share_out(name, line)
        line.is_contended = is_contended

    def _give(self, name: str, line: _LineOfAll, now: float) -> None:
        line.let_in(now)
        while line.fair and line.free > 0:
            request = line.fair.begin_next(now)
            if request is None:
                break
            member, number = request
            line.held[member] += 1
            self._send(member, ("give", name, number))
            line.let_in(now)

    def _share_out(self, name: str, line: _LineOfAll) -> None:
        """Let each process have its part of the places, as far as they are free."""
        part = line.fair.places // self._size
        for member, has in line.held.items():
            more = min(part - has, line.free)
            if more > 0:
                line.held[member] += more
                self._send(member, ("quiet", name, more))
