"""A clock that stands where a test puts it, and limits to count by it."""

from gateway.core.rate_limits import Measure, RateLimit, SubjectKind
from gateway.usage.limits.rate_limiter import counted_limit
from gateway.usage.limits.store.limit_store import CountedLimit, MachineClock

NOON = 1_795_860_000.0  # 2026-11-28, 10:00 UTC


class SetClock(MachineClock):
    """Both times of a machine: `at` since it was started, and the `unix` time, which somebody may set."""

    def __init__(self, at: float = 1000.5, unix: float = NOON) -> None:
        self.at, self.unix = at, unix

    def steady(self) -> int:
        return round(self.at * 1e9)

    def wall(self) -> float:
        return self.unix

    def pass_by(self, seconds: float) -> None:
        """Both go on."""
        self.at += seconds
        self.unix += seconds


def claim(measure: Measure, amount: int, subject: str = "k1", *, is_shadow: bool = False) -> CountedLimit:
    """A limit on a key."""
    return counted_limit(RateLimit(f"{subject}/{measure}", SubjectKind.KEY, subject, measure, amount, None, is_shadow))
