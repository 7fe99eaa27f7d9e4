"""How many tokens a request will take, guessed from those before it: that is reserved while it runs. Pure: no I/O.

No body is parsed, so it is learned, of each key for each endpoint: as many as the longest of late. A mean would not do:
short ones end, and others begin in their place, while long ones stay. So those that run at the end of a budget are the
longest (docs/develop/decisions/0031-limits.md has figures). A minute forgets a long one soon, or it would let few run
beside each other all day: what goes beyond one minute is missing in the next. A day or a month does not.
"""

from gateway.usage.limits.arithmetic.record import Record

OF_MINUTE, OF_PERIOD = 0, 1  # of what is learned, which part a limit reserves by
_SOON, _LATE = 1 / 64, 1 / 2048  # of the difference to each shorter one is forgotten: half after 44, or 1,400 of them
_LEAST_SHARES = 2  # so many requests, at least, fit a limit together, however much they are thought to take
_UNKNOWN_TOKENS, _UNKNOWN_SHARES = 16_384, 4  # the same where nothing is known


def learn(record: Record, tokens: int) -> None:
    """A request has taken so many."""
    learned = record.learned
    soon, late = learned
    learned[OF_MINUTE] = tokens if tokens >= soon else soon + (tokens - soon) * _SOON
    learned[OF_PERIOD] = tokens if tokens >= late else late + (tokens - late) * _LATE


def reservation(longest: float, limit: int) -> int:
    """What to reserve of a limit for the next request: at least 1, and never the whole of what may be used.

    `longest` is the part of what was learned that the limit goes by; 0 if nothing was.
    """
    if longest == 0:
        return max(1, min(_UNKNOWN_TOKENS, limit // _UNKNOWN_SHARES))
    most = limit // _LEAST_SHARES
    return round(longest) if longest < most else max(1, most)
