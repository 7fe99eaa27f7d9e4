"""In no 60 seconds is more used than was let through, and a wait that is told is the one that it takes."""

import math

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.rate_limits import Measure
from gateway.usage.limits.arithmetic import sliding_minute
from gateway.usage.limits.arithmetic.record import Record

SECOND = sliding_minute.SECOND
SOME = st.integers(0, 90 * SECOND) | st.integers(0, 2 * SECOND)
STEPS = st.lists(SOME | st.sampled_from([each * SECOND for each in (0, 1, 59, 60, 61, 130)]), max_size=80)
START = st.integers(0, 10**15)


def blank() -> Record:
    return Record.blank(b"digest", Measure.REQUESTS_PER_MINUTE)


@given(START, STEPS, st.integers(1, 5))
def test_no_minute_has_more_than_the_limit(start: int, steps: list[int], limit: int) -> None:
    record, now, passed = blank(), start, list[int]()
    for step in steps:
        now += step
        sliding_minute.forget_old(record, now)
        if record.used < limit:
            sliding_minute.use(record, now, 1)
            passed.append(now)
        assert sum(1 for moment in passed if now - moment < 60 * SECOND) <= limit
        assert record.used <= limit


@given(START, STEPS, st.integers(1, 5))
def test_who_waits_as_told_passes_and_is_told_a_minute_at_most(start: int, steps: list[int], limit: int) -> None:
    record, now = blank(), start
    for step in steps:
        now += step
        sliding_minute.forget_old(record, now)
        if record.used < limit:
            sliding_minute.use(record, now, 1)
            continue
        wait = sliding_minute.seconds_until(record, now, limit - 1)
        assert 1 <= math.ceil(wait) <= 60
        now += math.ceil(wait) * SECOND
        sliding_minute.forget_old(record, now)
        assert record.used < limit


@given(START, STEPS)
def test_all_is_forgotten_after_a_minute(start: int, steps: list[int]) -> None:
    record, now = blank(), start
    for step in steps:
        now += step
        sliding_minute.forget_old(record, now)
        sliding_minute.use(record, now, 3)
    sliding_minute.forget_old(record, now + 60 * SECOND)
    assert record.used == 0


def test_what_is_given_back_is_free_at_once() -> None:
    record = blank()
    sliding_minute.use(record, 10 * SECOND + 5, 2)
    sliding_minute.give_back(record, 10, 1)
    assert record.used == 1
    sliding_minute.give_back(record, 10, 5)
    assert record.used == 0


def test_a_clock_that_began_anew_begins_the_minute_anew() -> None:
    record = blank()
    sliding_minute.use(record, 100_000 * SECOND, 1)
    record.oldest = 100_000
    sliding_minute.forget_old(record, 5 * SECOND)
    assert record.used == 0
