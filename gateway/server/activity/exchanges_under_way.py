"""The requests that this process carries, as rows; and how to end one of them, or to move it in line, by its id."""

import asyncio
from collections.abc import Iterator
from time import monotonic

from gateway.core.answer.excerpt import Excerpt
from gateway.core.exchange import Ending, Exchange
from gateway.proxy.queue.deployment_line import DeploymentLine
from gateway.proxy.relay import Relay
from gateway.proxy.upstream.connection_pools import ConnectionPools
from gateway.team.exchanges import CarriedExchange


class ExchangesUnderWay:
    """Those of one process, which is `number` of its group.

    A request's own id is its client's to choose. Here it is the nanosecond in which it came, in its process.
    """

    def __init__(self, relay: Relay, pools: ConnectionPools, number: int) -> None:
        self._relay = relay
        self._pools = pools
        self._number = number

    async def look(self) -> None:
        """Find out what those who wait can expect."""
        lines = [pool.line for pool in self._pools.known().values() if pool.line.waiting]
        await asyncio.gather(*(line.look() for line in lines))

    def rows(self) -> list[CarriedExchange]:
        """All of them, in no order, as they were when `look` was last called.

        Nothing of them is counted as it passes: a row is made when somebody looks.
        """
        now = monotonic()
        return [self._row(one, now) for one in self._carried()]

    def end(self, exchange_id: str) -> bool:
        """Break one off, if it is one of these."""
        return self._relay.cut(lambda one: self._id(one) == exchange_id, Ending.ENDED) > 0

    def move_to_front(self, exchange_id: str) -> bool:
        """Let one be the next in line, if it is one of these."""
        for one in self._carried():
            if self._id(one) == exchange_id and (line := self._line(one)) is not None:
                line.move_to_front(one.ticket)
                return True
        return False

    def _line(self, exchange: Exchange) -> DeploymentLine | None:
        """That in which it waits, if it does."""
        pool = self._pools.known().get(exchange.deployment or "")
        return pool.line if pool is not None and exchange.ticket and exchange.sent_at is None else None

    def _carried(self) -> Iterator[Exchange]:
        return (one for one in self._relay.exchanges_under_way() if one.key and one.deployment)

    def _id(self, exchange: Exchange) -> str:
        return f"act_{self._number}_{int(exchange.started * 1e9):x}"

    def _row(self, one: Exchange, now: float) -> CarriedExchange:
        size, events = (0, None) if one.excerpt is None else _passed(one.excerpt)
        is_answering = one.first_byte_at is not None
        names = (one.key or "", one.account or "", one.deployment or "", one.endpoint or "")
        line = self._line(one)
        position, wait = (line.outlooks.get(one.ticket) if line is not None else None) or (None, None)
        is_batch = line is not None and line.is_batch(one.ticket)
        return CarriedExchange(
            self._id(one), *names, now - one.started, size, events, is_answering, position, wait, is_batch
        )


def _passed(excerpt: Excerpt) -> tuple[int, int | None]:
    """Bytes and events of an answer so far; None events where it is no stream."""
    return excerpt.size, excerpt.events if excerpt.has_events else None
