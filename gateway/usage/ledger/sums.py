"""What the ledger adds up, and the batches in which it is written. Pure: no I/O."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from gateway.core.exchange import FINISHED, Exchange
from gateway.core.usage_sums import SUMS
from gateway.telemetry.metrics import BOUNDS, count_in_buckets
from gateway.usage.ledger.prompt_sizes import PromptSizes

PERIOD_SECONDS = 900  # in which neither hour nor day changes: zones begin their days at a quarter of an hour
Values = tuple[int | float, ...]
_BUCKETS = len(BOUNDS) + 1


class AccountingPeriod(NamedTuple):
    """When an exchange ended: the hour, in UTC, and the day in the zone of `server.time_zone`, like 2026-11-28."""

    hour: datetime
    day: str


class Who(NamedTuple):
    """Whose use it was, of what, and how it ended. `key`, `endpoint` and `ending` are empty where hours were merged."""

    account: str
    key: str
    deployment: str
    endpoint: str
    ending: str


class DurationBuckets:
    """How many exchanges of a deployment took how long: for each measure, numbers by BOUNDS, and one above."""

    __slots__ = ("duration", "first_byte", "queue")

    def __init__(self) -> None:
        self.queue = [0] * _BUCKETS  # of those that got a place
        self.first_byte = [0] * _BUCKETS  # of those that were answered, as the next
        self.duration = [0] * _BUCKETS

    def add_all(self, other: "DurationBuckets") -> None:
        """Add those of another."""
        for measure in self.__slots__:
            numbers = zip(getattr(self, measure), getattr(other, measure), strict=True)
            setattr(self, measure, [mine + others for mine, others in numbers])

    def buckets(self) -> Iterator[tuple[str, int, int]]:
        """Measure, bucket and number of each that is not 0."""
        for measure in self.__slots__:
            for bucket, number in enumerate(getattr(self, measure)):
                if number:
                    yield measure, bucket, number


class Sums:
    """What the exchanges of one key, deployment, endpoint and ending add up to."""

    __slots__ = ("ended_at", "latency", "person", *SUMS)

    def __init__(self, latency: DurationBuckets) -> None:
        self.latency = latency  # which rows of a deployment share
        self.person = ""
        self.ended_at = 0.0  # the last of them, in seconds since 1970
        self.requests = self.answered = 0
        self.tokens_in = self.tokens_cached = self.tokens_out = self.tokens_counted = 0
        self.queue_seconds = self.slot_seconds = self.first_byte_seconds = self.duration_seconds = 0.0

    def add(self, exchanges: list[Exchange]) -> None:
        """Add exchanges, at least one. All at once, in local variables: one by one it cost three times as much."""
        self.person = exchanges[-1].person or ""
        self.requests += len(exchanges)
        self._add_times(exchanges)
        tokens_in = cached = tokens_out = counted = 0
        for usage in [one.usage for one in exchanges]:
            if usage is not None:
                tokens_in += usage.tokens_in
                cached += usage.cached
                tokens_out += usage.tokens_out
                counted += usage.counted
        self.tokens_in += tokens_in
        self.tokens_cached += cached
        self.tokens_out += tokens_out
        self.tokens_counted += counted

    def _add_times(self, exchanges: list[Exchange]) -> None:
        queues = [one.sent_at - one.started for one in exchanges if one.sent_at is not None]
        slots = [one.ended_at - one.sent_at for one in exchanges if one.sent_at is not None]
        first_bytes = [one.first_byte_at - one.started for one in exchanges if one.first_byte_at is not None]
        durations = [one.ended_at - one.started for one in exchanges if one.first_byte_at is not None]
        unplaced = [one.ended_at - one.started for one in exchanges if one.sent_at is None]
        self.answered += len(first_bytes)
        self.queue_seconds += sum(queues) + sum(unplaced)
        self.slot_seconds += sum(slots)
        self.first_byte_seconds += sum(first_bytes)
        self.duration_seconds += sum(queues) + sum(slots) + sum(unplaced)
        count_in_buckets(self.latency.queue, queues)
        count_in_buckets(self.latency.first_byte, first_bytes)
        count_in_buckets(self.latency.duration, durations)

    def add_sums(self, other: "Sums") -> None:
        """Add those of another row, whoever's it is; how long they took is not among them."""
        self.ended_at = max(self.ended_at, other.ended_at)
        for name in SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def values(self) -> Values:
        """In the order of SUMS."""
        return tuple(getattr(self, name) for name in SUMS)


class PeriodSums:
    """The sums of one period."""

    __slots__ = ("latency", "rows")

    def __init__(self) -> None:
        self.rows: dict[Who, Sums] = {}
        self.latency: dict[tuple[str, str], DurationBuckets] = {}  # by account and deployment

    def add(self, exchanges: Iterable[Exchange], at: float, prompt_sizes: PromptSizes | None = None) -> None:
        """Add exchanges that ended `at` a moment, in seconds since 1970, or in the second before.

        `prompt_sizes` learn from those that finished.
        """
        groups: defaultdict[tuple[str | None, ...], list[Exchange]] = defaultdict(list)
        for one in exchanges:
            groups[one.account, one.key, one.deployment, one.endpoint, one.ending._value_].append(one)
        for who, group in groups.items():
            row = self.row(Who(*(part or "" for part in who)))
            row.add(group)
            row.ended_at = at
            if prompt_sizes is not None and group[0].ending is FINISHED:
                prompt_sizes.learn(group)

    def add_sums(self, other: "PeriodSums") -> None:
        """Add those of a later second."""
        for who, later in other.rows.items():
            row = self.row(who)
            row.add_sums(later)
            row.person = later.person
        for place, buckets in other.latency.items():
            self.latency[place].add_all(buckets)

    def values(self) -> Iterator[tuple[Who, Values]]:
        """Of each who used anything."""
        return ((who, row.values()) for who, row in self.rows.items())

    @property
    def is_merged(self) -> bool:
        """Whether keys are no longer told apart."""
        return not any(who.key for who in self.rows)

    def merged(self) -> "PeriodSums":
        """The same sums by account and deployment only."""
        whole = PeriodSums()
        whole.latency = self.latency
        for who, row in self.rows.items():
            whole.row(Who(who.account, "", who.deployment, "", "")).add_sums(row)
        return whole

    def row(self, who: Who) -> Sums:
        """The row of somebody, a new one if there is none yet."""
        row = self.rows.get(who)
        if row is None:
            latency = self.latency.setdefault((who.account, who.deployment), DurationBuckets())
            row = self.rows[who] = Sums(latency)
        return row


class SumsRow(NamedTuple):
    """One row of a batch, for the hour and for the day."""

    period: AccountingPeriod
    who: Who
    person: str
    values: Values


class BucketRow(NamedTuple):
    """How many exchanges of an hour fell into one bucket."""

    hour: datetime
    account: str
    deployment: str
    measure: str
    bucket: int
    number: int


class Batch:
    """What is written at once. Its `id` is written with it: a batch that is written again changes nothing.

    Nothing is added to its sums any more, so that a thread may read it.
    """

    def __init__(self, periods: dict[AccountingPeriod, PeriodSums]) -> None:
        self.id = uuid.uuid4().hex
        self._periods = periods

    @property
    def requests(self) -> int:
        """How many exchanges are in it."""
        return sum(row.requests for sums in self._periods.values() for row in sums.rows.values())

    def usage(self) -> Iterator[SumsRow]:
        """The sums, a row for each who used anything."""
        for period, sums in self._periods.items():
            for who, row in sums.rows.items():
                yield SumsRow(period, Who(*who), row.person, row.values())

    def latency(self) -> Iterator[BucketRow]:
        """How long exchanges took."""
        for period, sums in self._periods.items():
            for place, one in sums.latency.items():
                for measure, bucket, number in one.buckets():
                    yield BucketRow(period.hour, *place, measure, bucket, number)

    def key_uses(self) -> dict[str, datetime]:
        """When each key was last used, to the minute."""
        last: dict[str, float] = {}
        for sums in self._periods.values():
            for who, row in sums.rows.items():
                last[who.key] = max(row.ended_at, last.get(who.key, 0.0))
        return {key: datetime.fromtimestamp(at // 60 * 60, UTC) for key, at in last.items() if key}


def period_at(seconds: float, zone: tzinfo) -> AccountingPeriod:
    """The period of a moment, in seconds since 1970."""
    hour = datetime.fromtimestamp(seconds // 3600 * 3600, UTC)
    return AccountingPeriod(hour, datetime.fromtimestamp(seconds, zone).date().isoformat())
