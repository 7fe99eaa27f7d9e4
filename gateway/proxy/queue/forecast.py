"""What each that waits can expect, and what one more could: the line is walked once, however many are told of it.

Pure: times are given, in seconds of any one clock.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from heapq import heapify, heapreplace

from gateway.proxy.queue.claims import Outlook, RequestId, TrackedRequest, Turn
from gateway.proxy.queue.overdue import Overdue
from gateway.proxy.queue.token_counters import AccountCounter, KeyCounter, lifted


class Forecast:
    """Of a line that is walked: `outlooks` are of those that were passed.

    A place is free in so many seconds as `free_in` says for each. A request whose `seconds` are not known takes the
    `mean`; `last` is `served` of the account that last got a place. Keys that are `overdue` by then go first.
    """

    def __init__(self, overdue: Overdue, free_in: Iterable[float], mean: float, last: float) -> None:
        self._overdue = overdue
        self._free_in = list(free_in)
        heapify(self._free_in)
        self.mean = mean
        self._last = last
        self._waits: list[float] = []  # of each place in line, and of the one behind all
        self.outlooks: dict[RequestId, Outlook] = {}
        self._classes: dict[bool, _Class] = {}
        self._least: dict[AccountCounter, float] = {}  # `served` of the keys that wait
        self._due: list[float] = []  # when the keys of those were due that go first for it, and their places in line
        self._due_places: list[int] = []

    def pass_first(self, first: Iterable[TrackedRequest]) -> None:
        """Walk past those who go before all others."""
        for one in first:
            self._append(one)

    def walk(self, turns: Iterable[Turn], *, is_batch: bool) -> None:
        """Walk a class, which is behind all that were passed, and what goes before them."""
        found = self._classes[is_batch] = _Class()
        for turn in turns:
            if self._overdue.next_at <= self._free_in[0]:
                self._pass_overdue()
            one = turn.one
            key, account = one.key, one.key.account
            self._least[account] = min(key.served, self._least.get(account, key.served))
            is_here = one.id not in self.outlooks
            found.add(turn, len(self.outlooks), is_here=is_here)
            if is_here:
                self._append(one)
        self._pass_overdue()
        found.end(len(self.outlooks))

    def of_one_more(self, key: KeyCounter) -> Outlook:
        """Of one that would come now, of this key. The line has been walked to its end."""
        account = key.account
        key_level = key.level_from(lifted(key, self._least.get(account, account.last)))
        least = min((one.served for one in self._least), default=self._last)
        account_level = account.level_from(lifted(account, least))
        place = self._classes[key.is_batch].place_of(key, key_level, account_level)
        place = min(place, self._place_when(self._overdue.due_of(key)))
        wait = self._waits[place] if place < len(self._waits) else self._free_in[0]
        return Outlook(place + 1, wait if key.seconds or self.mean else None)

    def _place_when(self, due: float) -> int:
        """The first that is given when a key is due, and those have got theirs that were before it."""
        earlier = bisect_right(self._due, due)
        place = bisect_left(self._waits, due)
        return max(place, self._due_places[earlier - 1] + 1) if earlier else place

    def _pass_overdue(self) -> None:
        while (one := self._overdue.first(self._free_in[0], self.outlooks)) is not None:
            self._due.append(self._overdue.due_of(one.key))
            self._due_places.append(len(self.outlooks))
            self._append(one)

    def _append(self, one: TrackedRequest) -> None:
        seconds, wait = one.seconds or self.mean, self._free_in[0]
        heapreplace(self._free_in, wait + seconds)
        self._waits.append(wait)
        self._overdue.note(one.key, wait)
        self.outlooks[one.id] = Outlook(len(self._waits), wait if seconds else None)


class _Class:
    """The turns of a class, in the order of the levels of their accounts, and where each is in line."""

    def __init__(self) -> None:
        self._levels: list[float] = []
        self._places: list[int] = []  # of each turn, and of the one behind all
        self._following: list[int] = []  # behind each turn
        self._accounts: dict[AccountCounter, _OfAccount] = {}
        self._key_levels: dict[KeyCounter, float] = {}  # of each key after its last turn

    def add(self, turn: Turn, place: int, *, is_here: bool) -> None:
        """Add a turn, at a place in line; that of a request that goes before its class is not here."""
        one, key = turn.one, turn.one.key
        own = self._accounts.setdefault(key.account, _OfAccount())
        own.key_levels.append(turn.key_level)
        own.turns.append((turn.account_level, is_here))
        own.end = turn.account_level + one.tokens / key.account.weight
        self._key_levels[key] = turn.key_level + one.tokens / key.weight
        self._levels.append(turn.account_level)
        self._places.append(place)
        self._following.append(place + is_here)

    def end(self, place: int) -> None:
        """Behind all that were added."""
        self._places.append(place)

    def place_of(self, key: KeyCounter, key_level: float, account_level: float) -> int:
        """Where one more would be, of a key that is at these levels if it has no turn here."""
        own = self._accounts.get(key.account)
        if own is None:
            return self._behind(account_level)
        at = bisect_right(own.key_levels, self._key_levels.get(key, key_level))
        if at == len(own.turns):
            return self._behind(own.end)
        level, is_here = own.turns[at]  # which it would take, so that those of its account that follow come later
        return self._following[bisect_right(self._levels, level) - 1] - is_here

    def _behind(self, account_level: float) -> int:
        return self._places[bisect_right(self._levels, account_level)]


class _OfAccount:
    """The turns of an account in a class: the levels of their keys, those of its own, and its level in the `end`."""

    __slots__ = ("end", "key_levels", "turns")

    def __init__(self) -> None:
        self.key_levels: list[float] = []
        self.turns: list[tuple[float, bool]] = []
        self.end = 0.0
