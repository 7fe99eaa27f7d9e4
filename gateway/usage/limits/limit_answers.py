"""What a client is told of its limits: in the head of each answer, and where it has reached one.

OpenAI's names and durations (platform.openai.com/docs/guides/rate-limits), and on Anthropic's endpoints Anthropic's,
with moments of RFC 3339 (docs.anthropic.com/en/api/rate-limits). SDKs of both wait as `Retry-After` says, up to a
minute, unless `x-should-retry` forbids it.
"""

import math
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo

from gateway.core import errors
from gateway.core.endpoints import ApiProtocol
from gateway.core.errors import Refusal
from gateway.core.rate_limits import Measure, RateLimit, SubjectKind
from gateway.usage.limits.arithmetic.counting import Standing, is_of_tokens

_WHOSE = {
    SubjectKind.KEY: "this key",
    SubjectKind.PERSON: "whoever this key belongs to",
    SubjectKind.ACCOUNT: "this account",
}
_WHAT = {
    Measure.CONCURRENT_REQUESTS: "{} at a time",
    Measure.REQUESTS_PER_MINUTE: "{} requests a minute",
    Measure.TOKENS_PER_MINUTE: "{} tokens a minute",
    Measure.TOKENS_PER_DAY: "{} tokens a day",
    Measure.TOKENS_PER_MONTH: "{} tokens a month",
}
_BUDGETS = frozenset({Measure.TOKENS_PER_DAY, Measure.TOKENS_PER_MONTH})


def fields(protocol: ApiProtocol, standings: Iterable[Standing], now: float) -> dict[str, str]:
    """The headers that say how a request's strictest limits stand; `now` is the Unix time. None of shadow limits."""
    enforced = [one for one in standings if not one.limit.is_shadow]
    requests = [one for one in enforced if one.limit.measure is Measure.REQUESTS_PER_MINUTE]
    tokens = [one for one in enforced if is_of_tokens(one.limit.measure)]
    found: dict[str, str] = {}
    for name, some in (("requests", requests), ("tokens", tokens)):
        if some:
            strictest = min(some, key=lambda one: one.left)
            write = _anthropic if protocol is ApiProtocol.ANTHROPIC else _openai
            found.update(write(name, strictest, now))
    return found


def lines(found: dict[str, str]) -> bytes:
    """Headers as lines of a head."""
    return "".join([f"{name}: {value}\r\n" for name, value in found.items()]).encode("ascii")


def refusal(protocol: ApiProtocol, standings: list[Standing], now: float, zone: tzinfo) -> Refusal:
    """The 429 for these limits, all of which are reached: it names the one that holds for longest."""
    longest = max(standings, key=lambda one: one.wait)
    limit = longest.limit
    seconds = math.ceil(longest.wait)
    headers = {"Retry-After": str(seconds), **fields(protocol, standings, now)}
    cause = f"the limit {limit.id} is reached"
    if limit.measure in _BUDGETS:
        new = datetime.fromtimestamp(round(now + longest.wait), zone).isoformat()
        return Refusal(errors.BUDGET_SPENT, f"{said(limit)}; it is new at {new}", cause=cause, **headers)
    return Refusal(errors.RATE_LIMITED, f"{said(limit)}; try again in {seconds} s", cause=cause, **headers)


def said(limit: RateLimit) -> str:
    """A limit in words, like `30 requests a minute for this key`."""
    what = _WHAT[limit.measure].format(limit.amount)
    return f"{what} for {_WHOSE[limit.subject_kind]}{' and deployment' if limit.deployment else ''}"


def _openai(name: str, standing: Standing, now: float) -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{name}": str(standing.limit.amount),
        f"x-ratelimit-remaining-{name}": str(standing.left),
        f"x-ratelimit-reset-{name}": _duration(math.ceil(standing.resets_in)),
    }


def _anthropic(name: str, standing: Standing, now: float) -> dict[str, str]:
    reset = datetime.fromtimestamp(math.ceil(now + standing.resets_in), UTC)
    return {
        f"anthropic-ratelimit-{name}-limit": str(standing.limit.amount),
        f"anthropic-ratelimit-{name}-remaining": str(standing.left),
        f"anthropic-ratelimit-{name}-reset": reset.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _duration(seconds: int) -> str:
    """As Go writes durations: `1s`, `6m0s`, `24h0m0s`."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}s" if hours else f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
