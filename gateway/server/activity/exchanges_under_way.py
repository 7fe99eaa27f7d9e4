"""The requests that this process carries, as rows; and how to end one of them by its id."""

from collections.abc import Iterator
from time import monotonic

from gateway.core.excerpt import Excerpt
from gateway.core.exchange import Ending, Exchange
from gateway.proxy.relay import Relay
from gateway.team.exchanges import CarriedExchange


class ExchangesUnderWay:
    """Those of one process, which is `number` of its group.

    A request's own id is its client's to choose. Here it is the nanosecond in which it came, in its process.
    """

    def __init__(self, relay: Relay, number: int) -> None:
        self._relay = relay
        self._number = number

    def rows(self) -> list[CarriedExchange]:
        """All of them, in no order. Nothing of them is counted as it passes: a row is made when somebody looks."""
        now = monotonic()
        return [self._row(one, now) for one in self._carried()]

    def end(self, exchange_id: str) -> bool:
        """Break one off, if it is one of these."""
        return self._relay.cut(lambda one: self._id(one) == exchange_id, Ending.ENDED) > 0

    def _carried(self) -> Iterator[Exchange]:
        return (one for one in self._relay.exchanges_under_way() if one.key and one.deployment)

    def _id(self, exchange: Exchange) -> str:
        return f"act_{self._number}_{int(exchange.started * 1e9):x}"

    def _row(self, one: Exchange, now: float) -> CarriedExchange:
        size, events = (0, None) if one.excerpt is None else _passed(one.excerpt)
        is_answering = one.first_byte_at is not None
        names = (one.key or "", one.account or "", one.deployment or "", one.endpoint or "")
        return CarriedExchange(self._id(one), *names, now - one.started, size, events, is_answering)


def _passed(excerpt: Excerpt) -> tuple[int, int | None]:
    """Bytes and events of an answer so far; None events where it is no stream."""
    return excerpt.size, excerpt.events if excerpt.has_events else None
