"""What a client is told of its limits: in the head of each answer, and where it has reached one.

OpenAI's names and durations (platform.openai.com/docs/guides/rate-limits), and on Anthropic's endpoints Anthropic's,
with moments of RFC 3339 (docs.anthropic.com/en/api/rate-limits). SDKs of both wait as `Retry-After` says, up to a
minute, unless `x-should-retry` forbids it.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from math import ceil

from gateway.core import errors
from gateway.core.endpoints import ApiProtocol
from gateway.core.errors import Refusal
from gateway.core.rate_limits import Measure, RateLimit, SubjectKind
from gateway.usage.limits.arithmetic.counting import LimitStanding
from gateway.usage.limits.store.limit_store import Told

_WHOSE = {
    SubjectKind.KEY: "this key",
    SubjectKind.PERSON: "whoever this key belongs to",
    SubjectKind.ACCOUNT: "this account",
}
_CONCURRENT, _REQUESTS = Measure.CONCURRENT_REQUESTS, Measure.REQUESTS_PER_MINUTE
_ANTHROPIC = ApiProtocol.ANTHROPIC
_BUDGETS = frozenset({Measure.TOKENS_PER_DAY, Measure.TOKENS_PER_MONTH})


def lines(protocol: ApiProtocol, told: Iterable[Told], now: float) -> bytes:
    """The headers that say how a request's strictest limits stand, as lines of a head.

    `now` is the Unix time.
    """
    requests: Told | None = None
    tokens: Told | None = None
    for one in told:
        if one[0]:
            tokens = one if tokens is None or one[2] < tokens[2] else tokens
        elif requests is None or one[2] < requests[2]:
            requests = one
    write = _anthropic if protocol is _ANTHROPIC else _openai
    said = "" if requests is None else write("requests", requests, now)
    if tokens is not None:
        said += write("tokens", tokens, now)
    return said.encode("ascii")


def refusal(protocol: ApiProtocol, standings: list[LimitStanding], now: float, zone: tzinfo) -> Refusal:
    """The 429 for these limits, all of which are reached: it names the one that holds for longest."""
    longest = max(standings, key=lambda one: one.wait)
    limit = longest.limit
    seconds = ceil(longest.wait)
    told = [
        (one.limit.measure is not _REQUESTS, one.limit.amount, one.left, one.resets_in)
        for one in standings
        if one.limit.measure is not _CONCURRENT
    ]
    named = [line.split(": ", 1) for line in lines(protocol, told, now).decode("ascii").splitlines()]
    headers = {"Retry-After": str(seconds), **dict(named)}
    cause, words = f"the limit {limit.id} is reached", _in_words(limit)
    if limit.measure in _BUDGETS and longest.is_spent:
        new = datetime.fromtimestamp(round(now + longest.wait), zone).isoformat()
        return Refusal(errors.BUDGET_SPENT, f"{words}; it is new at {new}", cause=cause, **headers)
    reserved = ", the last of them reserved for requests that run" if limit.measure in _BUDGETS else ""
    return Refusal(errors.RATE_LIMITED, f"{words}{reserved}; try again in {seconds} s", cause=cause, **headers)


def _in_words(limit: RateLimit) -> str:
    """A limit in words, like `30 requests a minute for this key`."""
    what = f"{limit.amount:,} at a time" if limit.measure is _CONCURRENT else limit.measure.counted(limit.amount)
    return f"{what} for {_WHOSE[limit.subject_kind]}{' and deployment' if limit.deployment else ''}"


def _openai(name: str, told: Told, now: float) -> str:
    _, amount, left, resets_in = told
    return (
        f"x-ratelimit-limit-{name}: {amount}\r\n"
        f"x-ratelimit-remaining-{name}: {max(0, left)}\r\n"
        f"x-ratelimit-reset-{name}: {_duration(ceil(resets_in))}\r\n"
    )


def _anthropic(name: str, told: Told, now: float) -> str:
    _, amount, left, resets_in = told
    return (
        f"anthropic-ratelimit-{name}-limit: {amount}\r\n"
        f"anthropic-ratelimit-{name}-remaining: {max(0, left)}\r\n"
        f"anthropic-ratelimit-{name}-reset: {_moment(ceil(now + resets_in))}\r\n"
    )


@lru_cache(maxsize=256)
def _duration(seconds: int) -> str:
    """As Go writes durations: `1s`, `6m0s`, `24h0m0s`."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}s" if hours else f"{minutes}m{seconds}s" if minutes else f"{seconds}s"


@lru_cache(maxsize=256)
def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
