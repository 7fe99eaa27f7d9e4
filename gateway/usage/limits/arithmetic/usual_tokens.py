"""How many tokens a request will take, guessed from those before it: that is reserved while it runs. Pure: no I/O.

No body is parsed, so it is learned, of each key for each endpoint: as many as the longest of late. A mean would not do:
short ones end, and others begin in their place, while long ones stay. So those that run at the end of a budget are the
longest (docs/develop/decisions/0031-limits.md has figures).
"""

from gateway.usage.limits.arithmetic.record import Record

_FORGETTING = 1 / 64  # of the difference to each shorter one: after 44 of them the longest counts half
_LEAST_SHARES = 2  # so many requests, at least, fit a limit together, however much they are thought to take
_UNKNOWN_TOKENS, _UNKNOWN_SHARES = 16_384, 4  # the same where nothing is known


def learn(record: Record, tokens: int) -> None:
    """A request has taken so many."""
    longest = record.learned()
    record.put_learned(tokens if tokens >= longest else longest + (tokens - longest) * _FORGETTING)


def reservation(longest: float, limit: int) -> int:
    """What to reserve of a limit for the next request: at least 1, and never the whole of what may be used.

    `longest` is what was learned; 0 if nothing was.
    """
    if longest == 0:
        return max(1, min(_UNKNOWN_TOKENS, limit // _UNKNOWN_SHARES))
    most = limit // _LEAST_SHARES
    return round(longest) if longest < most else max(1, most)
