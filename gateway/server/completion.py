"""What follows an exchange, whichever way it came in and however it ended.

What has to see the end of every exchange belongs in `Completion.complete`, and nowhere else.
"""

from time import monotonic

from aiohttp import web

from gateway.core import errors
from gateway.core.answer.counted_usage import with_counted
from gateway.core.answer.excerpt import ends_of
from gateway.core.answer.usage import read_usage
from gateway.core.exchange import FINISHED, Ending, Exchange, TakenPlace
from gateway.core.rate_limits import Allotment
from gateway.proxy.upstream.health.readiness import Readiness
from gateway.telemetry.access_log import AccessLog
from gateway.usage.ledger.ledger import Ledger

_UNREACHABLE = errors.UNREACHABLE.reason
# Of the refusals instead of an answer, those that broke off what the model server was at.
_BROKEN_OFF = {row.reason for row in (errors.TIMED_OUT, errors.DRAINING, errors.ENDED, errors.BAD_KEY)}


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
        _read_usage(exchange)
        if exchange.place is not None:
            _settle_place(exchange, exchange.place)
        if exchange.usage is not None and not exchange.usage.tokens_in:  # after that: how much was cached nobody knows
            self._ledger.prompt_sizes.add_to(exchange)
        if exchange.allotment is not None:
            self._settle_limits(exchange, exchange.allotment)
        if exchange.key is not None and exchange.deployment is not None:
            self._ledger.add(exchange)
        self._access.log(exchange, request, peer)

    def _settle_limits(self, exchange: Exchange, allotment: Allotment) -> None:
        """Where nobody knows its tokens, it took what such requests usually do."""
        usage = exchange.usage
        if usage is not None:
            tokens = usage.tokens_in + usage.tokens_out if usage.knows_prompt else None
        else:
            tokens = None if _was_worked_on(exchange) else 0
        allotment.settle(tokens, was_sent=exchange.sent_at is not None)
        exchange.allotment = None  # as the excerpt
        if not self._ledger.is_kept and exchange.ending is FINISHED:
            self._ledger.prompt_sizes.learn((exchange,))


def _read_usage(exchange: Exchange) -> None:
    """Note what its answer states of tokens, and what is counted of one that broke off; and keep no more of it."""
    passed = exchange.excerpt
    if exchange.body is not None and exchange.usage is None:  # else it was settled with limits
        exchange.usage = read_usage(*ends_of(exchange.body))
    elif passed is not None:
        exchange.usage = exchange.usage or read_usage(passed.first, passed.last())
        if exchange.ending is not FINISHED and passed.has_events:
            exchange.usage = with_counted(exchange.usage, passed)
    exchange.body = exchange.excerpt = None  # the ledger keeps exchanges for up to a second


def _settle_place(exchange: Exchange, place: TakenPlace) -> None:
    """Where nobody knows its tokens, it took what such requests usually do."""
    usage = exchange.usage
    if usage is not None and usage.knows_prompt:
        place.settle(usage.tokens_in - usage.cached + usage.tokens_out)
    else:
        place.settle(None if exchange.first_byte_at is not None or _was_worked_on(exchange) else 0)


def _was_worked_on(exchange: Exchange) -> bool:
    """Whether the model server worked on an exchange that it did not finish.

    An answer that is no stream brings no byte before it is whole: who leaves before that has used tokens all the same.
    """
    if exchange.sent_at is None or exchange.ending is FINISHED:
        return False
    return exchange.ending is not Ending.REFUSED or exchange.reason in _BROKEN_OFF


COMPLETION = web.AppKey("completion", Completion)
