"""Which hours or days of usage a span of time covers. Pure: no I/O."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_FIRST = datetime(2000, 1, 1, tzinfo=UTC)  # long before there was any usage: what can be asked for is further than that
_DEFAULT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Hours:
    """From `since` on, and before `until`; both are the beginning of an hour in UTC, or `until` is now."""

    since: datetime
    until: datetime
    source = "hours"


@dataclass(frozen=True, slots=True)
class Days:
    """From `first` to `last`, both of them whole: days of the calendar, as they are stored."""

    since: datetime
    until: datetime
    first: str
    last: str
    source = "days"


@dataclass(frozen=True, slots=True)
class AskedSpan:
    """The span that was asked for. Where it is None, `since` is 7 days ago, and `until` is now."""

    since: datetime | None
    until: datetime | None
    now: datetime

    def within_reason(self) -> tuple[datetime, datetime]:
        """Beginning and end, neither before there was any usage nor long after now."""
        latest = self.now + _DAY
        end = min(max(self.until or self.now, _FIRST), latest)
        return min(max(end - _DEFAULT if self.since is None else self.since, _FIRST), latest), end


def hours_of(asked: AskedSpan) -> Hours:
    """The hours that the span touches."""
    begin, end = asked.within_reason()
    floor = begin.replace(minute=0, second=0, microsecond=0)
    ceiling = _FIRST - ((_FIRST - end) // _HOUR) * _HOUR
    return Hours(floor, min(ceiling, max(end, asked.now)))


def days_of(asked: AskedSpan, zone: ZoneInfo) -> Days:
    """The days of the calendar in this zone that the span touches."""
    begin, end = asked.within_reason()
    first, last = begin.astimezone(zone).date(), (end - timedelta(microseconds=1)).astimezone(zone).date()
    whole = min(_start(last + _DAY, zone), max(end, asked.now))
    return Days(_start(first, zone), whole, first.isoformat(), last.isoformat())


def _start(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
