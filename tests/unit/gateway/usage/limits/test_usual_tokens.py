"""What is reserved is what such requests take: learned at once, bounded, and never the whole of a budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.usage.limits.arithmetic.record import Record
from gateway.usage.limits.arithmetic.usual_tokens import OF_MINUTE, OF_PERIOD, learn, reservation


def after(*tokens: int, by: int = OF_MINUTE) -> float:
    record = Record.blank(b"digest", None)
    for each in tokens:
        learn(record, each)
    return record.learned[by]


@pytest.mark.parametrize(("limit", "reserved"), [(1, 1), (1000, 250), (1_000_000, 16_384)])
def test_who_says_nothing_of_his_size_blocks_a_quarter_at_most(limit: int, reserved: int) -> None:
    assert reservation(after(), limit) == reserved


def test_requests_of_one_size_reserve_just_that() -> None:
    assert reservation(after(*[120] * 20), 10_000) == pytest.approx(120, abs=1)


def test_a_longer_request_counts_at_once_and_is_forgotten_slowly() -> None:
    assert reservation(after(*[100] * 20, 1000), 1_000_000) == 1000
    assert reservation(after(1000, *[100] * 44), 1_000_000) == pytest.approx(550, rel=0.01)
    assert reservation(after(1000, *[100] * 500), 1_000_000) == pytest.approx(100, abs=1)


def test_a_day_and_a_month_forget_it_later() -> None:
    assert reservation(after(*[100] * 20, 1000, by=OF_PERIOD), 1_000_000) == 1000
    assert reservation(after(1000, *[100] * 1420, by=OF_PERIOD), 1_000_000) == pytest.approx(550, rel=0.01)


@given(st.lists(st.integers(1, 10**9), max_size=30), st.integers(1, 10**12))
def test_a_reservation_is_positive_and_leaves_room_for_another(tokens: list[int], limit: int) -> None:
    reserved = reservation(after(*tokens), limit)
    assert 1 <= reserved <= max(1, limit // 2)
