"""Tokens a second that are being streamed, from what has passed between two looks: an event of a stream is a token."""

from collections.abc import Iterable
from time import monotonic

from gateway.team.exchanges import CarriedExchange

_LEAST_SECONDS = 1.0  # between two looks that are compared
_MOST_SECONDS = 10.0

_Look = tuple[float, dict[str, float]]  # when, in the monotonic clock, and events by exchange


class Throughput:
    """Compares each look with one a second or more before. What nobody has looked at before counts by its average."""

    def __init__(self) -> None:
        self._before: _Look = (0.0, {})
        self._latest: _Look = (0.0, {})

    def rates(self, exchanges: Iterable[CarriedExchange]) -> dict[str, float]:
        """By deployment, of the streams that are being answered."""
        now, events, found = monotonic(), {}, dict[str, float]()
        if now - self._latest[0] >= _LEAST_SECONDS:
            self._before = self._latest
        at, before = self._before
        for one in exchanges:
            if one.events is None or not one.is_answering:
                continue
            events[one.id] = float(one.events)
            since = now - at if one.id in before and now - at < _MOST_SECONDS else max(one.age, _LEAST_SECONDS)
            rate = max(one.events - before.get(one.id, 0.0), 0.0) / since
            found[one.deployment] = found.get(one.deployment, 0.0) + rate
        if now - self._latest[0] >= _LEAST_SECONDS:
            self._latest = (now, events)
        return found
