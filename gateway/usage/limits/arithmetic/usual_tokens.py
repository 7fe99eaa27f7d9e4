"""How many tokens a request will take, guessed from those before it: that is reserved while it runs. Pure: no I/O.

No body is parsed, so it is learned, of each key for each endpoint, as TCP learns how long an answer takes (RFC 6298 2):
a moving mean, and the mean deviation from it. Where all requests take the same, just that is reserved after a few.
"""

from gateway.usage.limits.arithmetic.record import Record

_OF_MEAN, _OF_DEVIATION = 1 / 8, 1 / 4  # how much the newest counts: RFC 6298's alpha and beta
_DEVIATIONS = 2  # that are added to the mean
_LEAST_SHARES = 2  # so many requests, at least, fit a limit together, however much they are thought to take
_UNKNOWN_TOKENS, _UNKNOWN_SHARES = 16_384, 4  # the same where nothing is known


def learn(record: Record, tokens: int) -> None:
    """A request has taken so many."""
    mean, deviation = record.learned()
    if mean == 0:
        record.put_learned(tokens, tokens / 2)
    else:
        off = tokens - mean
        record.put_learned(mean + _OF_MEAN * off, deviation + _OF_DEVIATION * (abs(off) - deviation))


def reservation(record: Record, limit: int) -> int:
    """What to reserve of a limit for the next request: at least 1, and never the whole of what may be used."""
    mean, deviation = record.learned()
    if mean == 0:
        return max(1, min(_UNKNOWN_TOKENS, limit // _UNKNOWN_SHARES))
    return max(1, min(round(mean + _DEVIATIONS * deviation), limit // _LEAST_SHARES))
