"""How each measure is counted, in the record of a limit. Pure: no I/O.

Requests of a minute count when they are taken. Those under way, and the tokens that they are thought to take, are held
by their process until they are settled; then the tokens that they took are used.
"""

from typing import NamedTuple

from gateway.core.rate_limits import Measure, RateLimit
from gateway.usage.limits.arithmetic import calendar_periods, sliding_minute
from gateway.usage.limits.arithmetic.calendar_periods import Period
from gateway.usage.limits.arithmetic.record import Record

CONCURRENT, REQUESTS, TOKENS_MINUTE, TOKENS_DAY, TOKENS_MONTH = Measure
_OF_TOKENS = frozenset({TOKENS_MINUTE, TOKENS_DAY, TOKENS_MONTH})
# What is said where nobody knows it: when a request that is under way ends, or takes no more than it has taken.
_SOON = 1.0


class PresentMoment(NamedTuple):
    """Now: nanoseconds of a clock that never goes back, the Unix time, and what the calendar says of that."""

    steady: int
    wall: float
    day: Period
    month: Period


class LimitStanding(NamedTuple):
    """How a limit stands. `used` has in it what is `held` for requests under way.

    A request passes in `wait` seconds if nobody takes its place; 0 is now. In `resets_in` seconds nothing counts any
    more of what has been used until now.
    """

    limit: RateLimit
    used: int
    held: int
    wait: float
    resets_in: float

    @property
    def left(self) -> int:
        """What may still be used."""
        return max(self.limit.amount - self.used, 0)

    @property
    def is_spent(self) -> bool:
        """Whether it is reached even without those under way."""
        return self.used - self.held >= self.limit.amount


def is_of_tokens(measure: Measure) -> bool:
    """Whether it counts tokens, not requests."""
    return measure in _OF_TOKENS


def enter(record: Record, moment: PresentMoment) -> None:
    """Forget what does not count any more."""
    measure = record.measure
    if measure is REQUESTS or measure is TOKENS_MINUTE:
        sliding_minute.forget_old(record, moment.steady)
    elif measure is TOKENS_DAY:
        calendar_periods.enter(record, moment.day)
    elif measure is TOKENS_MONTH:
        calendar_periods.enter(record, moment.month)


def take(record: Record, moment: PresentMoment, slot: int, amount: int) -> None:
    """Take `amount` for a request that begins: of tokens, so many are reserved."""
    if record.measure is REQUESTS:
        sliding_minute.use(record, moment.steady, amount)
    else:
        record.hold(slot, amount)


def settle(record: Record, moment: PresentMoment, slot: int, amount: int, used: int) -> None:
    """A request that had taken `amount` is over, and has `used` so much."""
    record.hold(slot, -amount)
    _use(record, moment, used)


def bury(record: Record, moment: PresentMoment, slot: int) -> None:
    """The process is dead. What it had reserved counts as used: the model server worked on for a while."""
    reserved = record.held_by(slot)
    record.hold(slot, -reserved)
    _use(record, moment, reserved)


def standing(record: Record, limit: RateLimit, moment: PresentMoment) -> LimitStanding:
    """How the limit stands. What does not count any more has been forgotten."""
    used = record.used + record.held
    wait = 0.0 if used < limit.amount else _wait(record, limit, moment)
    return LimitStanding(limit, used, record.held, wait, resets_in(record, moment))


def resets_in(record: Record, moment: PresentMoment) -> float:
    """Seconds until nothing counts any more of what has been used. What does not count now has been forgotten."""
    measure = record.measure
    if measure is REQUESTS or measure is TOKENS_MINUTE:
        return sliding_minute.seconds_until_empty(record, moment.steady)
    if measure is TOKENS_DAY or measure is TOKENS_MONTH:
        return _period(measure, moment).ends - moment.wall
    return 0.0


def _use(record: Record, moment: PresentMoment, amount: int) -> None:
    if record.measure is TOKENS_MINUTE and amount:
        sliding_minute.use(record, moment.steady, amount)
    elif record.measure in {TOKENS_DAY, TOKENS_MONTH}:
        record.used += amount


def _wait(record: Record, limit: RateLimit, moment: PresentMoment) -> float:
    if limit.measure in {TOKENS_DAY, TOKENS_MONTH}:
        is_spent = record.used >= limit.amount
        return max(_period(limit.measure, moment).ends - moment.wall, _SOON) if is_spent else _SOON
    most = limit.amount - 1 - record.held
    if limit.measure is CONCURRENT or most < 0:
        return _SOON
    return sliding_minute.seconds_until(record, moment.steady, most)


def _period(measure: Measure, moment: PresentMoment) -> Period:
    return moment.day if measure is TOKENS_DAY else moment.month
