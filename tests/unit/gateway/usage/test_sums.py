"""What an exchange adds to the sums, and the batches that they become."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import String

from gateway.core.answer.usage import Usage
from gateway.core.exchange import Ending, Exchange
from gateway.core.usage_sums import SUMS
from gateway.registry.database.usage_tables import usage_days, usage_hours
from gateway.usage.ledger.sums import (
    AccountingPeriod,
    Batch,
    DurationBuckets,
    PeriodSums,
    Sums,
    Who,
    period_at,
)

NOON = AccountingPeriod(datetime(2026, 11, 28, 12, tzinfo=UTC), "2026-11-28")
WHO = Who("acme", "key_1", "chat", "/v1/messages", "finished")


def exchange(waited: float | None = 0.0, first_byte: float | None = 0.2, took: float = 1.0, **tokens: int) -> Exchange:
    """One that is over after as many seconds."""
    made = Exchange("x")
    made.started = made.ended_at - took
    made.account, made.key, _, _, _ = WHO
    made.deployment, made.endpoint = "chat", "/v1/messages"
    made.sent_at = None if waited is None else made.started + waited
    made.first_byte_at = None if first_byte is None else made.started + first_byte
    made.usage = Usage(**tokens) if tokens else None
    return made


def values(*exchanges: Exchange) -> dict[str, float]:
    sums = Sums(DurationBuckets())
    sums.add(list(exchanges))
    return dict(zip(SUMS, sums.values(), strict=True))


def test_the_sums_are_the_columns_of_both_tables() -> None:
    for table in (usage_hours, usage_days):
        assert tuple(column.name for column in table.columns)[1:] == (*Who._fields, "person", *SUMS)


def test_tokens_and_requests_are_added_up() -> None:
    two = exchange(tokens_in=10, tokens_out=5, cached=4), exchange(tokens_in=3, tokens_out=2)
    assert [values(*two)[name] for name in SUMS[:6]] == [2, 2, 13, 4, 7, 0]


def test_time_in_line_and_time_in_a_slot_are_told_apart() -> None:
    found = values(exchange(waited=3.0, first_byte=3.5, took=10.0))
    assert [found[name] for name in SUMS[6:]] == pytest.approx([3.0, 7.0, 3.5, 10.0], abs=0.1)


def test_who_got_no_place_has_waited_all_the_time_and_was_not_answered() -> None:
    found = values(exchange(waited=None, first_byte=None, took=2.0))
    assert [found[name] for name in SUMS[6:]] == pytest.approx([2.0, 0.0, 0.0, 2.0], abs=0.1)
    assert (found["requests"], found["answered"]) == (1, 0)


def test_how_long_exchanges_took_is_counted_in_buckets() -> None:
    sums = PeriodSums()
    sums.add((exchange(took=0.4), exchange(took=0.4), exchange(took=2000.0), exchange(None, None)), at=0)
    found = {(row.measure, row.bucket): row.number for row in Batch({NOON: sums}).latency()}
    assert found == {("queue", 0): 3, ("first_byte", 4): 3, ("duration", 5): 2, ("duration", 15): 1}


def test_the_rows_of_a_deployment_share_its_buckets() -> None:
    sums = PeriodSums()
    for key in ("key_1", "key_2"):
        sums.row(WHO._replace(key=key)).add([exchange()])
    assert [row.number for row in Batch({NOON: sums}).latency()] == [2, 2, 2]


def test_batches_have_ids_of_their_own() -> None:
    assert Batch({}).id != Batch({}).id


def test_a_batch_knows_when_each_key_was_last_used_to_the_minute() -> None:
    sums = PeriodSums()
    for endpoint, at in (("/v1/messages", 125.0), ("/v1/embeddings", 61.0)):
        sums.row(WHO._replace(endpoint=endpoint)).ended_at = at
    sums.row(WHO._replace(key="")).ended_at = 500.0
    assert Batch({NOON: sums}).key_uses() == {"key_1": datetime(1970, 1, 1, 0, 2, tzinfo=UTC)}


@pytest.mark.parametrize(
    ("moment", "zone", "hour", "day"),
    [
        ("2026-11-28T12:59:59+00:00", "UTC", 12, "2026-11-28"),
        ("2026-11-28T23:00:00+00:00", "Europe/Berlin", 23, "2026-11-29"),
        ("2026-11-28T18:29:59+00:00", "Asia/Kolkata", 18, "2026-11-28"),
        ("2026-11-28T18:30:00+00:00", "Asia/Kolkata", 18, "2026-11-29"),
        ("2026-11-28T18:15:00+00:00", "Asia/Kathmandu", 18, "2026-11-29"),
        ("2026-03-29T00:59:59+00:00", "Europe/Berlin", 0, "2026-03-29"),
    ],
)
def test_a_moment_is_in_an_hour_of_utc_and_on_a_day_of_its_zone(moment: str, zone: str, hour: int, day: str) -> None:
    period = period_at(datetime.fromisoformat(moment).timestamp(), ZoneInfo(zone))
    assert (period.hour.hour, period.hour.minute, period.day) == (hour, 0, day)


def test_endings_fit_into_their_column() -> None:
    kind = usage_hours.c.ending.type
    assert isinstance(kind, String)
    assert kind.length is not None
    assert max(len(ending) for ending in Ending) <= kind.length
