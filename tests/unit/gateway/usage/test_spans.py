"""Which hours and days a span covers, and percentiles out of buckets."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.telemetry.metrics import BOUNDS, Histogram
from gateway.usage.quantiles import quantile
from gateway.usage.spans import AskedSpan, days_of, hours_of

NOW = datetime(2026, 11, 28, 13, 20, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def test_the_first_and_the_last_hour_are_whole_and_now_is_the_end() -> None:
    span = hours_of(AskedSpan(NOW - timedelta(hours=2), None, NOW))
    assert (span.since, span.until) == (NOW.replace(hour=11, minute=0), NOW)
    past = hours_of(AskedSpan(NOW - timedelta(hours=2), NOW - timedelta(hours=1), NOW))
    assert past.until == NOW.replace(minute=0)


def test_an_hour_that_ends_the_span_is_not_in_it() -> None:
    full = NOW.replace(minute=0)
    assert hours_of(AskedSpan(full - timedelta(hours=1), full, NOW)).until == full


def test_days_are_those_of_the_time_zone() -> None:
    late = datetime(2026, 11, 27, 23, 30, tzinfo=UTC)  # the 28th in Berlin
    span = days_of(AskedSpan(late, None, NOW), BERLIN)
    assert (span.first, span.last) == ("2026-11-28", "2026-11-28")
    assert span.since == datetime(2026, 11, 27, 23, tzinfo=UTC)


def test_a_day_on_which_the_clocks_change_is_whole() -> None:
    begin = datetime(2026, 10, 25, tzinfo=BERLIN)
    span = days_of(AskedSpan(begin, begin + timedelta(days=1), NOW), BERLIN)
    assert (span.first, span.last) == ("2026-10-25", "2026-10-25")
    assert span.until - span.since == timedelta(hours=25)


def test_what_no_clock_has_shown_is_no_error() -> None:
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    for since, until in ((first, last), (last, first), (first, first), (last, last)):
        assert hours_of(AskedSpan(since, until, NOW)).since.year in {2000, 2026}
        assert days_of(AskedSpan(since, until, NOW), BERLIN).first


def test_without_a_beginning_it_is_a_week() -> None:
    assert hours_of(AskedSpan(None, None, NOW)).since == NOW.replace(minute=0) - timedelta(days=7)


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_a_percentile_lies_within_the_bounds_of_its_bucket(share: float) -> None:
    histogram, sample = Histogram(), [0.011 * number for number in range(1, 1001)]
    histogram.add(sample)
    true = sample[int(share * 1000) - 1]
    bucket = next(index for index, bound in enumerate(BOUNDS) if true <= bound)
    assert BOUNDS[bucket - 1] <= quantile(share, histogram.counts) <= BOUNDS[bucket]


def test_what_is_above_all_bounds_is_given_as_the_last() -> None:
    assert quantile(0.5, [*[0] * len(BOUNDS), 3]) == BOUNDS[-1]


def test_a_single_one_in_the_first_bucket_is_within_it() -> None:
    assert 0 < quantile(0.5, [1, *[0] * len(BOUNDS)]) <= BOUNDS[0]


def test_of_nothing_there_is_no_percentile() -> None:
    with pytest.raises(ValueError, match="nothing was counted"):
        quantile(0.5, [0] * (len(BOUNDS) + 1))
