"""Days and months are those of the time zone, and what was used in one is not given back by a clock that is set."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.rate_limits import Measure
from gateway.usage.limits.arithmetic.calendar_periods import Calendar, enter
from gateway.usage.limits.arithmetic.record import Record

BERLIN = ZoneInfo("Europe/Berlin")
DAY = 86_400.0


def at(text: str, zone: ZoneInfo = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


@pytest.mark.parametrize(
    ("moment", "begins", "ends", "hours"),
    [
        ("2026-11-28T12:00", "2026-11-28T00:00", "2026-11-29T00:00", 24),
        ("2026-03-29T12:00", "2026-03-29T00:00", "2026-03-30T00:00", 23),
        ("2026-10-25T02:30", "2026-10-25T00:00", "2026-10-26T00:00", 25),
        ("2026-12-31T23:59", "2026-12-31T00:00", "2027-01-01T00:00", 24),
    ],
)
def test_a_day_is_that_of_the_zone(moment: str, begins: str, ends: str, hours: int) -> None:
    day = Calendar(BERLIN).day(at(moment))
    assert (day.begins, day.ends) == (at(begins), at(ends))
    assert day.ends - day.begins == hours * 3600


def test_a_month_is_that_of_the_calendar() -> None:
    calendar = Calendar(BERLIN)
    february, december = calendar.month(at("2028-02-29T10:00")), calendar.month(at("2027-12-31T23:00"))
    assert (february.begins, february.ends) == (at("2028-02-01T00:00"), at("2028-03-01T00:00"))
    assert (december.begins, december.ends) == (at("2027-12-01T00:00"), at("2028-01-01T00:00"))
    assert february.number == december.number + 2


@given(st.floats(0, 4e9), st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia"]))
def test_every_moment_lies_in_its_day_and_its_month(moment: float, zone: str) -> None:
    calendar = Calendar(ZoneInfo(zone))
    for period in (calendar.day(moment), calendar.month(moment)):
        assert period.begins <= moment < period.ends
    assert calendar.day(calendar.day(moment).ends).number > calendar.day(moment).number


def spent(used: int, moment: float) -> tuple[Record, Calendar]:
    record, calendar = Record.blank(b"digest", Measure.TOKENS_PER_DAY), Calendar(UTC)
    enter(record, calendar.day(moment))
    record.used = used
    return record, calendar


def test_a_new_day_begins_at_nothing() -> None:
    record, calendar = spent(7, 10 * DAY - 1)
    enter(record, calendar.day(10 * DAY))
    assert record.used == 0


def test_a_clock_that_goes_back_over_midnight_begins_no_day_twice() -> None:
    record, calendar = spent(7, 10 * DAY + 1)
    enter(record, calendar.day(10 * DAY - 1))
    assert record.used == 7
    enter(record, calendar.day(10 * DAY + 2))
    assert record.used == 7


def test_a_clock_that_was_years_ahead_locks_nobody_out_for_years() -> None:
    record, calendar = spent(7, 9000 * DAY)
    enter(record, calendar.day(10 * DAY))
    assert record.used == 7
    enter(record, calendar.day(11 * DAY))
    assert record.used == 0


@pytest.mark.parametrize("wrong", [0, 7, 13, 9000])
def test_a_clock_that_is_set_and_set_right_begins_no_day_anew(wrong: int) -> None:
    record, calendar = spent(7, 10 * DAY)
    enter(record, calendar.day(wrong * DAY))
    record.used += 2
    enter(record, calendar.day(10 * DAY))
    assert record.used == 9
    enter(record, calendar.day(11 * DAY))
    assert record.used == 0


@pytest.mark.parametrize("wrong", [7, 13])
def test_a_day_after_a_wrong_clock_is_as_any_other(wrong: int) -> None:
    record, calendar = spent(7, 10 * DAY)
    enter(record, calendar.day(wrong * DAY))
    for day in range(10, 20):
        enter(record, calendar.day(day * DAY))
    assert record.used == 0


def test_a_day_begins_at_nothing_after_days_on_which_nobody_asked() -> None:
    record, calendar = spent(7, 10 * DAY)
    for day in (14, 21, 22, 25):
        enter(record, calendar.day(day * DAY))
        assert record.used == 0
        record.used = 5
