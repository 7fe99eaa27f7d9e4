"""Days and months of the calendar, in a time zone, and what was used in the present one. Pure: no I/O."""

from collections.abc import Callable
from datetime import date, datetime, timedelta, tzinfo
from typing import NamedTuple

from gateway.usage.limits.arithmetic.record import Record


class Period(NamedTuple):
    """A day or a month: its `number`, one more than that of the one before, and where it lies (Unix time)."""

    number: int
    begins: float
    ends: float


class Calendar:
    """The days and months of a time zone, each looked up once."""

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        self._day = self._month = Period(0, 0.0, 0.0)

    def day(self, now: float) -> Period:
        """The day of a moment (Unix time)."""
        if not self._day.begins <= now < self._day.ends:
            self._day = self._period(now, date.toordinal, lambda day: day, lambda day: day + timedelta(days=1))
        return self._day

    def month(self, now: float) -> Period:
        """The month of a moment (Unix time)."""
        if not self._month.begins <= now < self._month.ends:
            self._month = self._period(now, _number_of_month, lambda day: day.replace(day=1), _next_month)
        return self._month

    def _period(
        self,
        now: float,
        number: Callable[[date], int],
        first: Callable[[date], date],
        following: Callable[[date], date],
    ) -> Period:
        day = datetime.fromtimestamp(now, self.zone).date()
        return Period(number(day), self._begin(first(day)), self._begin(following(day)))

    def _begin(self, day: date) -> float:
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).timestamp()


def enter(record: Record, period: Period) -> None:
    """Forget what was used before the period.

    A clock that goes back a little, over the end of a period, does not begin it twice: what was begun goes on. One that
    was far off, and is put right, has what was used meanwhile counted in the period that it is.
    """
    step = period.number - record.period
    if step == 1:
        record.used = 0
    elif step not in {0, -1}:
        _leap(record, period.number)
    if step != -1:
        record.period = period.number


def _leap(record: Record, number: int) -> None:
    """Nobody has asked for a while, or the clock was set: note what was used in the period that is left.

    The note lies in a bucket, for which a calendar has no other use.
    """
    noted, left = record.bucket(0)
    is_back = left == number
    if is_back:
        record.put_bucket(0, 0, 0)
    else:
        noted = 0
        record.put_bucket(0, record.used, record.period)
    record.used = max(record.used if is_back else 0, noted) if number > record.period else record.used + noted


def _number_of_month(day: date) -> int:
    return 12 * day.year + day.month - 1


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
