"""How far beyond a limit on tokens requests come that run beside each other: in virtual time, with the store itself."""

import heapq
from collections.abc import Callable
from datetime import UTC
from itertools import count
from random import Random
from typing import NamedTuple

import pytest

from gateway.core.rate_limits import Measure
from gateway.usage.limits.store.limit_store import MetLimits, Taken
from gateway.usage.limits.store.memory_store import MemoryStore
from tests.unit.gateway.usage.limits.set_clock import SetClock, claim

USUAL = b"usual".ljust(16, b"\0")
Size = Callable[[Random], int]


class Overshoot(NamedTuple):
    """Tokens beyond the limit in the end, the longest answer, and the bound that the reservations set."""

    tokens: int
    longest: int
    bound: int


def even(random: Random) -> int:
    return random.randint(200, 1800)


def mixed(random: Random) -> int:
    """Nine short ones, and one that is forty times as long."""
    return 200 if random.random() < 0.9 else 8000


def heavy(random: Random) -> int:
    return max(1, min(32_768, round(random.lognormvariate(6.2, 1.2))))


def played(size: Size, at_a_time: int, limit: int, seed: int, *, is_known: bool = True) -> Overshoot:
    """Ask until all is used: `at_a_time` requests, each of which takes as long as its answer, more or less."""
    random, store = Random(seed), MemoryStore(UTC, SetClock())
    if is_known:
        for _ in range(50):
            settle(store, store.take(MetLimits([claim(Measure.TOKENS_PER_DAY, 10**12, "before")], USUAL)), size(random))
    budget, numbers = [claim(Measure.TOKENS_PER_DAY, limit)], count()
    running: list[tuple[float, int, int, Taken]] = []
    now, used, longest, bound = 0.0, 0, 0, 0
    while True:
        while len(running) < at_a_time and isinstance(found := store.take(MetLimits(budget, USUAL)), Taken):
            tokens = size(random)
            longer = sum(max(more - each.amounts[0], 0) for _, _, more, each in running)
            bound = tokens + longer
            heapq.heappush(running, (now + tokens * random.uniform(0.8, 1.2), next(numbers), tokens, found))
        if not running:
            return Overshoot(used - limit, longest, bound)
        now, _, tokens, found = heapq.heappop(running)
        settle(store, found, tokens)
        used, longest = used + tokens, max(longest, tokens)


def settle(store: MemoryStore, found: object, tokens: int) -> None:
    assert isinstance(found, Taken)
    store.settle(found, tokens, was_sent=True)


@pytest.mark.parametrize("size", [even, mixed, heavy])
@pytest.mark.parametrize("at_a_time", [1, 4, 16, 64])
def test_it_is_one_answer_and_what_others_take_beyond_what_was_reserved(size: Size, at_a_time: int) -> None:
    for seed in range(5):
        for is_known in (True, False):
            found = played(size, at_a_time, 100_000, seed, is_known=is_known)
            assert 0 <= found.tokens < found.bound
            assert found.tokens < at_a_time * found.longest


@pytest.mark.slow
@pytest.mark.parametrize("at_a_time", [4, 16, 64])
@pytest.mark.parametrize("limit", [100_000, 1_000_000])
@pytest.mark.parametrize(("size", "most"), [(even, 1.0), (mixed, 1.8), (heavy, 2.6)])
def test_it_is_one_answer_unless_others_are_longer_than_any_before(
    size: Size, most: float, limit: int, at_a_time: int
) -> None:
    runs = (played(size, at_a_time, limit, seed) for seed in range(9))
    found = sorted(each.tokens / each.longest for each in runs)
    assert found[4] < 1
    assert found[-1] < most  # of sizes that have no end, some are longer than all before
