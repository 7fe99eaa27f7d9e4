"""What somebody has chosen to look at: a span of time, by what rows are told apart, of which deployment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Self
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from gateway.team.models.usage import LatencyQuery, UsageQuery
from gateway.team.operation_error import FieldError, Invalid

SPANS = {"24h": "24 hours", "7d": "7 days", "30d": "30 days"}
_DAYS = {"7d": 6, "30d": 29}  # whole ones before today
_HOURS = timedelta(hours=24)
_CUSTOM = "custom"
SUBJECTS = {"key": "Key", "person": "Person", "account": "Account", "deployment": "Deployment"}
_BY_HOUR = timedelta(days=2)  # at most; else a row, or a bar, is a day
_MOST_DAYS = 400
IN_CHARTS, IN_TABLE = 8, 100  # subjects, beside all others together


@dataclass(frozen=True, slots=True)
class Choices:
    """A choice, as a query has it. `first` and `last` are the days chosen by hand, both whole."""

    span: str
    by: str
    deployment: str
    first: date | None
    last: date | None
    since: datetime
    until: datetime
    has_hours: bool  # whether the hours of this span are still kept

    @classmethod
    def of(cls, query: Mapping[str, str], now: datetime, zone: ZoneInfo, hours_days: int) -> Self:
        """What a query asks for; what it does not say, or nobody knows, is as by default. Raises Invalid for days."""
        span, by = query.get("span", ""), query.get("by", "")
        by, deployment = by if by in SUBJECTS else "key", query.get("deployment", "").strip()[:64]
        today = now.astimezone(zone).date()
        if span != _CUSTOM:
            span = span if span in SPANS else "24h"
            begin = _start(today - timedelta(days=_DAYS[span]), zone) if span in _DAYS else now - _HOURS
            return cls(span, by, deployment, None, None, begin, now, has_hours=True)
        last = _day(query.get("to", ""), today)
        first = _day(query.get("from", ""), last)
        first, last = min(first, last), max(first, last)
        if (last - first).days >= _MOST_DAYS:
            message = f"These are more than {_MOST_DAYS} days: ask the command line, or the admin API, for as much."
            raise Invalid(message, [FieldError("from", "lies too long before")])
        begin, end = _start(first, zone), _start(last + timedelta(days=1), zone)
        has_hours = begin >= now - timedelta(days=hours_days)
        return cls(span, by, deployment, first, last, begin, end, has_hours)

    @property
    def time(self) -> str:
        """How time is divided."""
        return "hour" if self.has_hours and self.until - self.since <= _BY_HOUR else "day"

    def totals(self) -> UsageQuery:
        """A row for each subject."""
        return self._query(self.by, IN_TABLE)

    def times(self) -> UsageQuery:
        """A row for each subject in each hour or on each day."""
        return self._query(f"{self.time},{self.by}", IN_CHARTS)

    def latency(self, by: str) -> LatencyQuery:
        """How long what took."""
        return LatencyQuery(by=by, since=self.since, until=self.until, deployment=self.deployment or None)

    def as_query(self, **changed: str) -> str:
        """The same choice with something else in it."""
        days = {"from": self.first.isoformat(), "to": self.last.isoformat()} if self.first and self.last else {}
        said = {"span": self.span, "by": self.by, "deployment": self.deployment, **days, **changed}
        return urlencode({name: value for name, value in said.items() if value})

    def _query(self, by: str, top: int) -> UsageQuery:
        until = self.until - timedelta(microseconds=1) if self.span == _CUSTOM else self.until
        return UsageQuery(by=by, top=top, since=self.since, until=until, deployment=self.deployment or None)


def _day(text: str, otherwise: date) -> date:
    """A day as a form sends it. Raises Invalid for what is none."""
    if not text:
        return otherwise
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = date.min
    if not 2000 <= found.year < 2200:
        raise Invalid("A day is written like 2026-11-28.", [FieldError("from", "is no day")])
    return found


def _start(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)
