"""How each measure is counted, in the record of a limit. Pure: no I/O.

Requests of a minute count when they are taken. Those under way, and the tokens that they are thought to take, are held
by their process until they are settled; then the tokens that they took are used.
"""

from collections.abc import Callable, Mapping
from datetime import tzinfo
from operator import attrgetter
from types import MappingProxyType
from typing import NamedTuple

from gateway.core.rate_limits import Measure, RateLimit
from gateway.usage.limits.arithmetic import calendar_periods, sliding_minute
from gateway.usage.limits.arithmetic.calendar_periods import Calendar, Period
from gateway.usage.limits.arithmetic.record import Record
from gateway.usage.limits.arithmetic.usual_tokens import OF_MINUTE, OF_PERIOD

# What is said where nobody knows it: when a request that is under way ends, or takes no more than it has taken.
_SOON = 1.0


class PresentMoment:
    """Now: nanoseconds of a clock that never goes back, the Unix time, and what the calendar says of that."""

    __slots__ = ("_calendar", "day", "month", "steady", "wall")

    def __init__(self, zone: tzinfo) -> None:
        self._calendar = Calendar(zone)
        self.day = self.month = Period(0, 0.0, 0.0)
        self.steady = 0
        self.wall = 0.0

    def put(self, steady: int, wall: float) -> None:
        """It is another now."""
        self.steady = steady
        self.wall = wall
        _, begins, ends = self.day
        if not begins <= wall < ends:
            self.day = self._calendar.day(wall)
            self.month = self._calendar.month(wall)


class LimitStanding(NamedTuple):
    """How a limit stands. `used` has in it what is `held` for requests under way.

    A request passes in `wait` seconds if nobody takes its place; 0 is now. In `resets_in` seconds nothing counts any
    more of what has been used until now, which is `seen_at` (Unix time).
    """

    limit: RateLimit
    used: int
    held: int
    wait: float
    resets_in: float
    seen_at: float

    @property
    def left(self) -> int:
        """What may still be used."""
        return max(self.limit.amount - self.used, 0)

    @property
    def is_spent(self) -> bool:
        """Whether it is reached even without those under way."""
        return self.used - self.held >= self.limit.amount


class Counting:
    """How a measure is counted; this one itself counts the requests under way, and is the least of all.

    What does not count any more is forgotten by `enter`, before anything else is asked.
    """

    is_of_tokens = False
    reserves_by = OF_MINUTE  # the part of what is learned
    is_under_way = True  # nothing of it counts once a request is over
    is_settled = True  # what was taken is not yet what is used

    def __init__(self, measure: Measure | None) -> None:
        self.measure = measure

    def enter(self, record: Record, moment: PresentMoment) -> None:
        """Forget what does not count any more."""

    def take(self, record: Record, moment: PresentMoment, slot: int, amount: int) -> None:
        """Take `amount` for a request that begins: of tokens, so many are reserved."""
        record.hold(slot, amount)

    def settle(self, record: Record, moment: PresentMoment, slot: int, amount: int, used: int) -> None:
        """A request that had taken `amount` is over, and has `used` so many tokens."""
        record.hold(slot, -amount)

    def give_back(self, record: Record, second: int, slot: int, amount: int) -> None:
        """A request that had taken `amount` in a second has never begun."""
        record.hold(slot, -amount)

    def bury(self, record: Record, moment: PresentMoment, slot: int) -> None:
        """The process is dead. What it had reserved counts as used: the model server worked on for a while."""
        held = record.held_by(slot)
        self.settle(record, moment, slot, held, held)

    def resets_in(self, record: Record, moment: PresentMoment) -> float:
        """Seconds until nothing counts any more of what has been used."""
        return 0.0

    def wait(self, record: Record, limit: RateLimit, moment: PresentMoment) -> float:
        """Seconds until a request passes a limit that is reached, if nobody takes its place."""
        return _SOON


class _OfMinute(Counting):
    """Within any 60 seconds."""

    def enter(self, record: Record, moment: PresentMoment) -> None:
        sliding_minute.forget_old(record, moment.steady)

    def resets_in(self, record: Record, moment: PresentMoment) -> float:
        return sliding_minute.seconds_until_empty(record, moment.steady)

    def wait(self, record: Record, limit: RateLimit, moment: PresentMoment) -> float:
        most = limit.amount - 1 - record.held
        return _SOON if most < 0 else sliding_minute.seconds_until(record, moment.steady, most)


class _RequestsOfMinute(_OfMinute):
    """Requests: they count when they are taken."""

    is_under_way = is_settled = False

    def take(self, record: Record, moment: PresentMoment, slot: int, amount: int) -> None:
        sliding_minute.use(record, moment.steady, amount)

    def settle(self, record: Record, moment: PresentMoment, slot: int, amount: int, used: int) -> None:
        """It stays used."""

    def give_back(self, record: Record, second: int, slot: int, amount: int) -> None:
        sliding_minute.give_back(record, second, amount)


class _TokensOfMinute(_OfMinute):
    """Tokens: they count when they are known."""

    is_of_tokens, is_under_way = True, False

    def settle(self, record: Record, moment: PresentMoment, slot: int, amount: int, used: int) -> None:
        record.hold(slot, -amount)
        if used:
            sliding_minute.use(record, moment.steady, used)


class _TokensOfPeriod(Counting):
    """Tokens of a day or a month."""

    reserves_by = OF_PERIOD
    is_of_tokens, is_under_way = True, False

    def __init__(self, measure: Measure, period: str) -> None:
        super().__init__(measure)
        self._period: Callable[[PresentMoment], Period] = attrgetter(period)

    def enter(self, record: Record, moment: PresentMoment) -> None:
        period = self._period(moment)
        if period.number != record.period:
            calendar_periods.enter(record, period)

    def settle(self, record: Record, moment: PresentMoment, slot: int, amount: int, used: int) -> None:
        record.hold(slot, -amount)
        record.used += used

    def resets_in(self, record: Record, moment: PresentMoment) -> float:
        return self._period(moment).ends - moment.wall

    def wait(self, record: Record, limit: RateLimit, moment: PresentMoment) -> float:
        return max(self.resets_in(record, moment), _SOON) if record.used >= limit.amount else _SOON


_NOTHING = Counting(None)
COUNTING: Mapping[Measure, Counting] = MappingProxyType(
    {
        Measure.CONCURRENT_REQUESTS: Counting(Measure.CONCURRENT_REQUESTS),
        Measure.REQUESTS_PER_MINUTE: _RequestsOfMinute(Measure.REQUESTS_PER_MINUTE),
        Measure.TOKENS_PER_MINUTE: _TokensOfMinute(Measure.TOKENS_PER_MINUTE),
        Measure.TOKENS_PER_DAY: _TokensOfPeriod(Measure.TOKENS_PER_DAY, "day"),
        Measure.TOKENS_PER_MONTH: _TokensOfPeriod(Measure.TOKENS_PER_MONTH, "month"),
    }
)


def of(measure: Measure | None) -> Counting:
    """How a measure is counted; of what requests take (None), nothing is."""
    return _NOTHING if measure is None else COUNTING[measure]


def standing(record: Record, limit: RateLimit, moment: PresentMoment) -> LimitStanding:
    """How the limit stands. What does not count any more has been forgotten."""
    counting, used = COUNTING[limit.measure], record.used + record.held
    wait = 0.0 if used < limit.amount else counting.wait(record, limit, moment)
    return LimitStanding(limit, used, record.held, wait, counting.resets_in(record, moment), moment.wall)
