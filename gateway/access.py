"""Names every request, logs it in one line whatever happens, and turns a Refusal into the contract's JSON."""

import asyncio
import logging
import secrets
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway import errors
from gateway.changes import Changes
from gateway.errors import Refusal
from gateway.exchange import EXCHANGE, Ending, Exchange
from gateway.headers import ALWAYS, REQUEST_ID, is_sane_request_id
from gateway.metrics import Metrics

_REMEMBERED = 50

log = logging.getLogger("gateway.access")


@dataclass(frozen=True, slots=True)
class Refused:
    """What the gateway answered itself, for the status page. `cause` is the operator's, not the client's."""

    at: datetime
    status: int
    reason: str
    account: str | None
    deployment: str | None
    endpoint: str | None
    cause: str


class Access:
    """Remembers the last refusals and counts what is under way."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self.refused: deque[Refused] = deque(maxlen=_REMEMBERED)
        self.metrics = Metrics()
        self.under_way = 0

    def remember(self, exchange: Exchange, refusal: Refusal) -> None:
        """Note one refusal."""
        row, seen = refusal.row, exchange
        self.refused.append(
            Refused(
                datetime.now(UTC), row.status, row.reason, seen.account, seen.deployment, seen.endpoint, refusal.cause
            )
        )
        self._changes.ring()


_CLOSING = {row.reason for row in (errors.BAD_REQUEST, errors.EXPECTATION, errors.DRAINING)}

ACCESS = web.AppKey("access", Access)


@web.middleware
async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    """One exchange, one log line. A client that leaves is no error, whenever it does."""
    given = request.headers.get(REQUEST_ID, "")
    exchange = Exchange(given if is_sane_request_id(given) else secrets.token_hex(8))
    request[EXCHANGE] = exchange
    access = request.app[ACCESS]
    access.under_way += 1
    try:
        response = await handler(request)
    except asyncio.CancelledError:
        exchange.ending = Ending.CLIENT_LEFT
        raise
    else:
        exchange.status = response.status
        return response
    finally:
        access.under_way -= 1
        access.metrics.add(exchange)
        _write_line(f"{request.method} {request.path}"[:120], exchange)


@web.middleware
async def answer_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The last stop of every error before the client. Nothing reaches it once an answer has begun: see `relay`."""
    try:
        return await handler(request)
    except Refusal as refusal:
        return _refuse(request, refusal)
    except web.HTTPMethodNotAllowed as error:
        methods = ", ".join(sorted(error.allowed_methods))
        return _refuse(request, Refusal(errors.WRONG_METHOD, methods, Allow=methods))
    except web.HTTPNotFound:
        return _refuse(request, Refusal(errors.NO_SUCH_PATH))
    except Exception:  # a fault of ours must not look like one of aiohttp's
        log.exception("request %s: a fault of the gateway", request[EXCHANGE].id)
        return _refuse(request, Refusal(errors.FAULT))


def _refuse(request: web.Request, refusal: Refusal) -> web.Response:
    exchange = request[EXCHANGE]
    exchange.ending, exchange.reason, exchange.cause = Ending.REFUSED, refusal.row.reason, refusal.cause
    request.app[ACCESS].remember(exchange, refusal)
    response = refusal_response(refusal)
    exchange.bytes_out = len(refusal.body)
    # What is left of the request, or of something that only looked like one, is not read as the next request.
    if not request.content.is_eof() or refusal.row.reason in _CLOSING or request.method == "CONNECT":
        response.force_close()
    return response


def refusal_response(refusal: Refusal) -> web.Response:
    """The answer that a refusal is, headers and all."""
    response = web.Response(status=refusal.row.status, body=refusal.body, headers=refusal.headers)
    response.headers[hdrs.CONTENT_TYPE] = "application/json; charset=utf-8"
    return response


def refuse_unread(app: web.Application, refusal: Refusal) -> web.Response:
    """The answer to bytes that are no HTTP request: there is no request to name, and nothing of it is repeated."""
    exchange = Exchange(secrets.token_hex(8))
    exchange.ending, exchange.reason, exchange.status = Ending.REFUSED, refusal.row.reason, refusal.row.status
    app[ACCESS].remember(exchange, refusal)
    app[ACCESS].metrics.add(exchange)
    response = refusal_response(refusal)
    response.force_close()
    _stamp(response, exchange.id)
    _write_line("unreadable", exchange)
    return response


async def stamp(request: web.Request, response: web.StreamResponse) -> None:
    """What every answer carries. Connected to aiohttp's `on_response_prepare`, so nothing gets round it."""
    _stamp(response, request[EXCHANGE].id)


def _stamp(response: web.StreamResponse, request_id: str) -> None:
    headers = response.headers
    headers[REQUEST_ID] = request_id
    headers.pop(hdrs.SERVER, None)
    for name, value in ALWAYS.items():
        headers.setdefault(name, value)


def _write_line(asked: str, exchange: Exchange) -> None:
    if log.isEnabledFor(logging.INFO):
        fields = {"request": _fields(asked, exchange)}
        log.handle(log.makeRecord(log.name, logging.INFO, "", 0, "request", (), None, extra=fields))


def _fields(asked: str, exchange: Exchange) -> dict[str, object]:
    fields: dict[str, object] = {
        "id": exchange.id,
        "account": exchange.account,
        "key": exchange.key,
        "deployment": exchange.deployment,
        "endpoint": exchange.endpoint or asked,
        "status": exchange.status,
        "bytes_in": exchange.bytes_in,
        "bytes_out": exchange.bytes_out,
        "first_byte_ms": _milliseconds(exchange.first_byte_at, exchange.started),
        "total_ms": _milliseconds(monotonic(), exchange.started),
        "ending": exchange.ending.value,
    }
    if exchange.usage is not None:
        fields["tokens_in"] = exchange.usage.tokens_in
        fields["tokens_out"] = exchange.usage.tokens_out
        fields["tokens_per_second"] = exchange.usage.tokens_per_second
    if exchange.reason:
        fields["reason"] = exchange.reason
    if exchange.cause:
        fields["cause"] = exchange.cause
    return fields


def _milliseconds(at: float | None, start: float) -> float | None:
    return None if at is None else round((at - start) * 1000, 2)
