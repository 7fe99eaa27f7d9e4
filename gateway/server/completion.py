"""What follows an exchange, whichever way it came in and however it ended.

What has to see the end of every exchange belongs in `Completion.complete`, and nowhere else.
"""

from time import monotonic

from aiohttp import web

from gateway.core import errors
from gateway.core.answer.counted_usage import with_counted
from gateway.core.answer.usage import read_usage
from gateway.core.exchange import FINISHED, Exchange
from gateway.proxy.upstream.readiness import Readiness
from gateway.telemetry.access_log import AccessLog
from gateway.usage.ledger.ledger import Ledger
from gateway.usage.limits.rate_limiter import settle

_UNREACHABLE = errors.UNREACHABLE.reason


class Completion:
    """Called once for each exchange, when nothing of its answer is left to be sent."""

    def __init__(self, access: AccessLog, readiness: Readiness, ledger: Ledger) -> None:
        self._access = access
        self._readiness = readiness
        self._ledger = ledger

    def complete(self, exchange: Exchange, request: web.Request | None = None, peer: str | None = None) -> None:
        """Have an unreachable upstream probed, read the usage, add it to the ledger, settle with limits, count and log.

        `request` names the path in the log where there is no endpoint; `peer` the client where there is no `request`.
        """
        exchange.ended_at = monotonic()
        if exchange.reason == _UNREACHABLE:
            self._readiness.doubt(exchange.deployment or "")
        passed = exchange.excerpt
        if passed is not None:
            exchange.usage = read_usage(passed.first, passed.last())
            if exchange.ending is not FINISHED and passed.has_events:
                exchange.usage = with_counted(exchange.usage, passed)
            exchange.excerpt = None  # the ledger keeps exchanges for a second
        if exchange.place is not None:
            usage = exchange.usage
            if usage is not None:
                exchange.place.settle(usage.tokens_in - usage.cached + usage.tokens_out)
            else:  # it took what such requests usually do, unless nothing came of it
                exchange.place.settle(0 if exchange.first_byte_at is None else None)
        if exchange.key is not None and exchange.deployment is not None:
            self._ledger.add(exchange)
        if exchange.allotment is not None:
            settle(exchange.allotment, exchange)
        self._access.log(exchange, request, peer)


COMPLETION = web.AppKey("completion", Completion)
