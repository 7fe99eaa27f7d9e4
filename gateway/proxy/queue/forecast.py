"""What each that waits can expect, and what one more could: the line is walked once, however many are told of it.

Pure: times are given, in seconds of any one clock.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable
from heapq import heapify, heapreplace

from gateway.proxy.queue.claims import Outlook, Request, Turn, Waiting
from gateway.proxy.queue.token_counters import AccountCounter, KeyCounter, lifted


class Forecast:
    """Of a line in which `first` go before all others, whatever their class. `outlooks` are of those that wait.

    A place is free in so many seconds as `free_in` says for each. A request whose `seconds` are not known takes the
    `mean`; `last` is `served` of the account that last got a place.
    """

    def __init__(self, first: Collection[Waiting], free_in: Iterable[float], mean: float, last: float) -> None:
        self._free_in = list(free_in)
        heapify(self._free_in)
        self._mean = mean
        self._last = last
        self._waits: list[float] = []  # of each place in line, and of the one behind all
        self.outlooks: dict[Request, Outlook] = {}
        self._classes: dict[bool, _Class] = {}
        self._first = {one.id for one in first}
        self._least: dict[AccountCounter, float] = {}  # `served` of the keys that wait
        for one in first:
            self._append(one)

    def add(self, turns: Iterable[Turn], *, is_batch: bool) -> None:
        """Walk a class, which is behind all that were added."""
        found = self._classes[is_batch] = _Class(len(self.outlooks))
        for turn in turns:
            one = turn.one
            key, account = one.key, one.key.account
            self._least[account] = min(key.served, self._least.get(account, key.served))
            is_here = one.id not in self._first
            found.add(turn, is_here=is_here)
            if is_here:
                self._append(one)

    def of_one_more(self, key: KeyCounter, seconds: float) -> Outlook:
        """Of one that would come now, of this key."""
        account = key.account
        key_level = key.level_from(lifted(key, self._least.get(account, account.last)))
        least = min((one.served for one in self._least), default=self._last)
        account_level = account.level_from(lifted(account, least))
        place = self._classes[key.is_batch].place_of(key, key_level, account_level)
        wait = self._waits[place] if place < len(self._waits) else self._free_in[0]
        return Outlook(place + 1, wait if seconds or self._mean else None)

    def _append(self, one: Waiting) -> None:
        seconds, wait = one.seconds or self._mean, self._free_in[0]
        heapreplace(self._free_in, wait + seconds)
        self._waits.append(wait)
        self.outlooks[one.id] = Outlook(len(self._waits), wait if seconds else None)


class _Class:
    """The turns of a class, in the order of the levels of their accounts, and where each is in line.

    `ahead` are before all of it.
    """

    def __init__(self, ahead: int) -> None:
        self._levels: list[float] = []
        self._places = [ahead]  # of each turn, and of the one behind all
        self._accounts: dict[AccountCounter, _OfAccount] = {}
        self._key_levels: dict[KeyCounter, float] = {}  # of each key after its last turn

    def add(self, turn: Turn, *, is_here: bool) -> None:
        """Add a turn; that of a request that goes before all classes is not here."""
        one, key = turn.one, turn.one.key
        own = self._accounts.setdefault(key.account, _OfAccount())
        own.key_levels.append(turn.key_level)
        own.turns.append((turn.account_level, is_here))
        own.end = turn.account_level + one.tokens / key.account.weight
        self._key_levels[key] = turn.key_level + one.tokens / key.weight
        self._levels.append(turn.account_level)
        self._places.append(self._places[-1] + is_here)

    def place_of(self, key: KeyCounter, key_level: float, account_level: float) -> int:
        """Where one more would be, of a key that is at these levels if it has no turn here."""
        own = self._accounts.get(key.account)
        if own is None:
            return self._behind(account_level)
        at = bisect_right(own.key_levels, self._key_levels.get(key, key_level))
        if at == len(own.turns):
            return self._behind(own.end)
        level, is_here = own.turns[at]  # which it would take, so that those of its account that follow come later
        return self._behind(level) - is_here

    def _behind(self, account_level: float) -> int:
        return self._places[bisect_right(self._levels, account_level)]


class _OfAccount:
    """The turns of an account in a class: the levels of their keys, those of its own, and its level in the `end`."""

    __slots__ = ("end", "key_levels", "turns")

    def __init__(self) -> None:
        self.key_levels: list[float] = []
        self.turns: list[tuple[float, bool]] = []
        self.end = 0.0
