"""Where limits are counted: one small interface.

A store answers at once, since whoever asks is in the middle of a request. One on another machine would have to take
larger amounts in advance, and give them out here.
"""

import abc
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

from gateway.core.rate_limits import RateLimit
from gateway.usage.limits.arithmetic.counting import Counting, LimitStanding
from gateway.usage.limits.arithmetic.record import Record


class CountedLimit(NamedTuple):
    """A limit that a request meets, the `digest` by which it is counted, and how.

    `is_told`: answers say how it stands.
    """

    limit: RateLimit
    digest: bytes
    counting: Counting
    amount: int
    is_enforced: bool
    is_told: bool


# What an answer says of a limit: whether it is of tokens, its amount, what is left of that, and in how many seconds
# nothing counts of what was used. Made for each request, a tuple of its own class would cost four times as much.
Told = tuple[bool, int, int, float]


class Exceeded(NamedTuple):
    """The limits that a request would exceed, at the Unix time `wall`. Nothing was taken."""

    standings: list[LimitStanding]
    wall: float


class MetLimits:
    """The limits that requests of one kind meet, and where a store finds them.

    `usual` is the digest by which it is learned what such requests take; None: nothing is learned of these. `records`
    and `usual_record` are the store's, as long as its `turn` is this one.
    """

    __slots__ = ("is_settled", "limits", "records", "turn", "usual", "usual_record")

    def __init__(self, limits: Iterable[CountedLimit], usual: bytes | None) -> None:
        self.limits = tuple(limits)
        self.usual = usual
        self.is_settled = any(one.counting.is_settled for one in self.limits)  # there is more to do at the end
        self.turn = -1
        self.records: list[Record] = []
        self.usual_record: Record | None = None


class Taken:
    """What a request has taken, until it is settled: so much of each limit, and what is `told` of these since.

    `epoch` says in which records it was counted, `slot` by whom, `second` and `wall` when.
    """

    __slots__ = ("amounts", "epoch", "met", "second", "slot", "told", "wall")

    def __init__(self, met: MetLimits, slot: int, epoch: int, second: int, wall: float) -> None:
        self.met = met
        self.slot = slot
        self.epoch = epoch
        self.second = second
        self.wall = wall
        self.amounts: list[int] = []
        self.told: list[Told] = []


class LimitStore(abc.ABC):
    """Counts. Each of its functions is done whole or, where it raises OSError, not at all."""

    @abc.abstractmethod
    def take(self, met: MetLimits) -> Taken | Exceeded:
        """Take one request, and the tokens that it is thought to take, of all these limits or of none."""

    @abc.abstractmethod
    def settle(self, taken: Taken, tokens: int | None, *, was_sent: bool) -> None:
        """A request is over, and has taken so many tokens. None: nobody knows, so that what was reserved is used.

        One that was never sent to its model server has taken nothing.
        """

    @abc.abstractmethod
    def leave(self, taken: Taken) -> None:
        """A request that has yet to be settled is no longer under way."""

    @abc.abstractmethod
    def look(self, limits: Sequence[CountedLimit]) -> list[LimitStanding]:
        """How limits stand now, in their order."""

    @abc.abstractmethod
    def close(self) -> None:
        """Leave it. What has been taken and was not settled counts as used."""


class MachineClock:
    """The time, as the tests can set it.

    `steady` is nanoseconds since the machine was started: the clock never goes back, and is the same in all processes.
    Of Linux, it goes on while the machine sleeps; the other stands still, which lets a minute last longer. `wall` is
    the Unix time.
    """

    steady = staticmethod(partial(time.clock_gettime_ns, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)))
    wall = staticmethod(time.time)
