"""In no 60 seconds is more used than was let through, and a wait that is told is the one that it takes."""

import math

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.rate_limits import Measure
from gateway.usage.limits.arithmetic import sliding_minute
from gateway.usage.limits.arithmetic.record import Record

STEPS = st.lists(st.floats(0, 90) | st.floats(0, 2) | st.sampled_from([0.0, 1.0, 59.0, 60.0, 61.0, 130.0]), max_size=80)


def blank() -> Record:
    return Record.blank(b"digest", Measure.REQUESTS_PER_MINUTE)


@given(st.floats(0, 1e6), STEPS, st.integers(1, 5))
def test_no_minute_has_more_than_the_limit(start: float, steps: list[float], limit: int) -> None:
    record, now, passed = blank(), start, list[float]()
    for step in steps:
        now += step
        sliding_minute.forget_old(record, now)
        if record.used < limit:
            sliding_minute.use(record, now, 1)
            passed.append(now)
        assert sum(1 for moment in passed if now - moment < 60) <= limit
        assert record.used <= limit


@given(st.floats(0, 1e6), STEPS, st.integers(1, 5))
def test_who_waits_as_told_passes_and_is_told_a_minute_at_most(start: float, steps: list[float], limit: int) -> None:
    record, now = blank(), start
    for step in steps:
        now += step
        sliding_minute.forget_old(record, now)
        if record.used < limit:
            sliding_minute.use(record, now, 1)
            continue
        wait = sliding_minute.seconds_until(record, now, limit - 1)
        assert wait is not None
        assert 1 <= math.ceil(wait) <= 60
        now += math.ceil(wait)
        sliding_minute.forget_old(record, now)
        assert record.used < limit


@given(st.floats(0, 1e6), STEPS)
def test_all_is_forgotten_after_a_minute_and_a_second(start: float, steps: list[float]) -> None:
    record, now = blank(), start
    for step in steps:
        now += step
        sliding_minute.forget_old(record, now)
        sliding_minute.use(record, now, 3)
    sliding_minute.forget_old(record, now + 60.000001)
    assert record.used == 0


def test_what_is_given_back_is_free_at_once() -> None:
    record = blank()
    sliding_minute.use(record, 10.5, 2)
    sliding_minute.give_back(record, 10, 1)
    assert record.used == 1
    sliding_minute.give_back(record, 10, 5)
    assert record.used == 0


def test_a_clock_that_began_anew_begins_the_minute_anew() -> None:
    record = blank()
    sliding_minute.use(record, 100_000.0, 1)
    record.oldest = 100_000
    sliding_minute.forget_old(record, 5.0)
    assert record.used == 0
