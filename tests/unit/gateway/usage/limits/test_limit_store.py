"""What a store promises, whoever keeps its records: all claims or none, tokens reserved and settled, time passing."""

from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path

import pytest

from gateway.core.rate_limits import Measure
from gateway.usage.limits.store.limit_store import CountedLimit, Exceeded, MetLimits, Taken
from gateway.usage.limits.store.memory_store import MemoryStore
from gateway.usage.limits.store.record_store import RecordStore
from gateway.usage.limits.store.shared_file import SharedFile
from tests.unit.gateway.usage.limits.set_clock import NOON, SetClock, claim

USUAL = b"usual".ljust(16, b"\0")
CONCURRENT, REQUESTS, TOKENS_MINUTE, TOKENS_DAY, TOKENS_MONTH = Measure
OF_TOKENS = pytest.mark.parametrize("measure", [TOKENS_MINUTE, TOKENS_DAY, TOKENS_MONTH])


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, clock: SetClock, tmp_path: Path) -> Iterator[RecordStore]:
    makes: dict[str, Callable[[], RecordStore]] = {
        "memory": lambda: MemoryStore(UTC, clock),
        "file": lambda: SharedFile(tmp_path / "limits", UTC, clock),
    }
    store = makes[request.param]()
    yield store
    store.close()


def taken(store: RecordStore, *claims: CountedLimit) -> Taken:
    found = store.take(MetLimits(claims, USUAL))
    assert isinstance(found, Taken)
    return found


def refused(store: RecordStore, *claims: CountedLimit) -> Exceeded:
    found = store.take(MetLimits(claims, USUAL))
    assert isinstance(found, Exceeded)
    return found


def teach(store: RecordStore, tokens: int) -> None:
    """Let it learn that a request takes so many."""
    for _ in range(25):
        store.settle(taken(store, claim(TOKENS_DAY, 10**9, "teacher")), tokens, was_sent=True)


def test_a_request_is_taken_of_all_claims_or_of_none(store: RecordStore) -> None:
    wide, narrow = claim(REQUESTS, 5, "wide"), claim(REQUESTS, 1, "narrow")
    taken(store, wide, narrow)
    for _ in range(3):
        [exceeded] = refused(store, wide, narrow).standings
        assert exceeded.limit is narrow.limit
    assert [one.used for one in store.look([wide, narrow])] == [1, 1]


def test_a_shadow_limit_is_counted_and_stops_nobody(store: RecordStore) -> None:
    shadow = claim(REQUESTS, 1, is_shadow=True)
    for _ in range(3):
        taken(store, shadow)
    assert [(one.used, one.left) for one in store.look([shadow])] == [(3, 0)]


def test_requests_under_way_are_counted_until_they_are_over(store: RecordStore) -> None:
    two = claim(CONCURRENT, 2)
    first, _ = taken(store, two), taken(store, two)
    assert refused(store, two).standings[0].wait == 1
    store.settle(first, 5, was_sent=True)
    taken(store, two)
    refused(store, two)


def test_a_request_that_was_never_sent_takes_nothing(store: RecordStore) -> None:
    claims = [claim(measure, 10) for measure in Measure]
    for _ in range(20):
        store.settle(taken(store, *claims), 0, was_sent=False)
    assert [one.used for one in store.look(claims)] == [0] * 5


@OF_TOKENS
def test_one_after_the_other_pass_until_the_line_is_crossed(store: RecordStore, measure: Measure) -> None:
    budget = claim(measure, 1000)
    for _ in range(4):
        store.settle(taken(store, budget), 300, was_sent=True)
    refused(store, budget)
    assert store.look([budget])[0].used == 1200  # the fourth crossed it


@OF_TOKENS
@pytest.mark.parametrize("size", [30, 100, 499, 900])
def test_beside_each_other_pass_no_more_than_fit_and_one(store: RecordStore, measure: Measure, size: int) -> None:
    budget = claim(measure, 1000)
    teach(store, size)
    under_way = []
    while isinstance(found := store.take(MetLimits([budget], USUAL)), Taken):
        under_way.append(found)
    assert 2 <= len(under_way) <= -(-1000 // size) + 1
    for each in under_way:
        store.settle(each, size, was_sent=True)
    assert 1000 - 3 * size <= store.look([budget])[0].used < 1000 + size


def test_an_answer_of_unknown_length_is_charged_what_was_reserved(store: RecordStore) -> None:
    budget = claim(TOKENS_DAY, 1000)
    found = taken(store, budget)
    assert store.look([budget])[0].used == 250
    store.settle(found, None, was_sent=True)
    assert store.look([budget])[0].used == 250


@pytest.mark.parametrize("measure", [TOKENS_DAY, TOKENS_MONTH])
def test_a_budget_that_is_reserved_but_not_used_is_not_spent(store: RecordStore, measure: Measure) -> None:
    budget = claim(measure, 1000)
    first, *_ = [taken(store, budget) for _ in range(4)]  # a quarter each, since nothing is known of their size
    [standing] = refused(store, budget).standings
    assert (standing.wait, standing.is_spent) == (1.0, False)
    store.settle(first, 10, was_sent=True)
    taken(store, budget)


def test_tokens_count_from_when_they_were_told(store: RecordStore, clock: SetClock) -> None:
    budget = claim(TOKENS_MINUTE, 100)
    found = taken(store, budget)
    clock.pass_by(300)
    store.settle(found, 500, was_sent=True)
    clock.pass_by(59)
    assert 0 < refused(store, budget).standings[0].wait <= 1
    clock.pass_by(1)
    taken(store, budget)


def test_a_day_and_a_month_end_when_they_say(store: RecordStore, clock: SetClock) -> None:
    day, month = claim(TOKENS_DAY, 10), claim(TOKENS_MONTH, 10)
    store.settle(taken(store, day, month), 50, was_sent=True)
    waits = [one.wait for one in refused(store, day, month).standings]
    assert [NOON % 86_400 + waits[0], waits[1] - waits[0]] == [86_400, 2 * 86_400]
    clock.pass_by(waits[0] - 1)
    refused(store, day)
    clock.pass_by(1)
    taken(store, day)
    refused(store, month)
    clock.pass_by(waits[1] - waits[0])
    taken(store, month)


@pytest.mark.parametrize("step", [-3600.0, 3600.0, -86_400.0])
def test_a_clock_that_is_set_gives_no_minute_back(store: RecordStore, clock: SetClock, step: float) -> None:
    one = claim(REQUESTS, 1)
    taken(store, one)
    clock.unix += step
    refused(store, one)


def test_a_limit_that_is_raised_goes_on_where_it_was(store: RecordStore) -> None:
    taken(store, claim(REQUESTS, 1))
    refused(store, claim(REQUESTS, 1))
    taken(store, claim(REQUESTS, 2))
    refused(store, claim(REQUESTS, 2))


def test_many_limits_are_kept_apart(store: RecordStore) -> None:
    claims = [claim(REQUESTS, 3, f"k{number}") for number in range(300)]
    for each in claims:
        taken(store, each)
    assert [one.used for one in store.look(claims)] == [1] * 300
