"""Names, counts and logs every request, and turns a Refusal into a response."""

import logging
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from time import monotonic
from typing import Any

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.core import errors
from gateway.core.errors import Refusal
from gateway.core.exchange import EXCHANGE, Ending, Exchange
from gateway.core.headers import ALWAYS, REQUEST_ID, is_sane_request_id
from gateway.core.notifier import Notifier
from gateway.proxy.client_connection import ClientConnection
from gateway.proxy.response_writer import in_one_piece
from gateway.telemetry.logs import log_request, masked
from gateway.telemetry.metrics import Metrics

_REMEMBERED = 50

log = logging.getLogger("gateway.access")


@dataclass(frozen=True, slots=True)
class RecentRefusal:
    """What the gateway answered itself, for the status page. `cause` is the operator's, not the client's."""

    at: datetime
    status: int
    reason: str
    account: str | None
    deployment: str | None
    endpoint: str | None
    cause: str


class AccessLog:
    """Sees every request come and go, and remembers the last refusals."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self.refused: deque[RecentRefusal] = deque(maxlen=_REMEMBERED)
        self.metrics = Metrics()
        self._random = Random()  # noqa: S311  an id may be guessable, and this saves a system call

    def start(self, given_id: str | None) -> Exchange:
        """Note a new request. It keeps the id its client has given it, if that is a valid one."""
        if given_id is not None and is_sane_request_id(given_id):
            return Exchange(given_id)
        return Exchange(f"{self._random.getrandbits(64):016x}")

    def log(self, exchange: Exchange, request: web.Request | None = None) -> None:
        """It has been answered, or given up: count and log it. `request` names the path where there is no endpoint."""
        self.metrics.add(exchange)
        if log.isEnabledFor(logging.INFO):
            log_request(log_fields(exchange, request))

    def refuse(self, request: web.Request, refusal: Refusal) -> web.Response:
        """The response to a refused request. It closes the connection where what follows is not safe to read."""
        response = self._refusal(request[EXCHANGE], refusal)
        if request.method == hdrs.METH_HEAD:
            request[EXCHANGE].bytes_out = 0
        # What is left of this request, or of what only looked like one, must not be read as the next.
        if not request.content.is_eof() or _closes(refusal) or request.method == "CONNECT":
            response.force_close()
        return response

    def refuse_unread(self, exchange: Exchange, refusal: Refusal) -> web.Response:
        """The response to bytes that are not an HTTP request. It repeats none of them."""
        exchange.status = refusal.row.status
        response = self._refusal(exchange, refusal)
        response.force_close()
        return response

    def refuse_at_once(self, exchange: Exchange, refusal: Refusal, connection: ClientConnection) -> None:
        """Write, as aiohttp would, the refusal of a request that has been received whole, and note it."""
        fields = self._note(exchange, refusal)
        exchange.status = refusal.row.status
        if _closes(refusal):
            fields[hdrs.CONNECTION] = "close"
        connection.send(in_one_piece(refusal.row.status, fields, refusal.body))
        if _closes(refusal) and connection.transport is not None:
            connection.transport.close()

    def _refusal(self, exchange: Exchange, refusal: Refusal) -> web.Response:
        return web.Response(status=refusal.row.status, body=refusal.body, headers=self._note(exchange, refusal))

    def _note(self, exchange: Exchange, refusal: Refusal) -> dict[str, str]:
        """Remember a refusal. Returns the headers of its response."""
        row, seen = refusal.row, exchange
        exchange.ending = Ending.FAULT if row is errors.FAULT else Ending.REFUSED
        exchange.reason, exchange.cause = row.reason, refusal.cause
        exchange.bytes_out = len(refusal.body)
        now = datetime.now(UTC)
        self.refused.append(
            RecentRefusal(now, row.status, row.reason, seen.account, seen.deployment, seen.endpoint, refusal.cause)
        )
        self._notifier.notify()
        return {**ALWAYS, **refusal.headers, REQUEST_ID: exchange.id, hdrs.CONTENT_TYPE: _JSON}


_JSON = "application/json; charset=utf-8"
_CLOSING = {row.reason for row in (errors.BAD_REQUEST, errors.EXPECTATION, errors.DRAINING)}


def _closes(refusal: Refusal) -> bool:
    return refusal.row.reason in _CLOSING


ACCESS = web.AppKey("access", AccessLog)


@web.middleware
async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Note when the answer of a handler begins and how long it is. A stream's handler notes that itself."""
    response = await handler(request)
    if isinstance(response, web.Response):
        exchange = request[EXCHANGE]
        exchange.first_byte_at = monotonic()
        exchange.bytes_out = response.content_length or 0
    return response


async def stamp(request: web.Request, response: web.StreamResponse) -> None:
    """Set the headers that every answer of a handler carries. Connected to aiohttp's `on_response_prepare`."""
    headers = response.headers
    headers[REQUEST_ID] = request[EXCHANGE].id
    headers.pop(hdrs.SERVER, None)
    for name, value in ALWAYS.items():
        headers.setdefault(name, value)


def log_fields(exchange: Exchange, request: web.Request | None) -> dict[str, Any]:
    """The fields of a request's log line; `docs/operate/operating.md` explains each. Untrusted text is masked."""
    fields: dict[str, Any] = {
        "id": masked(exchange.id),
        "account": exchange.account,
        "key": exchange.key,
        "deployment": exchange.deployment,
        "endpoint": exchange.endpoint or masked(_asked(request)),
        "status": exchange.status,
        "bytes_in": exchange.bytes_in,
        "bytes_out": exchange.bytes_out,
        "first_byte_ms": _milliseconds(exchange.first_byte_at, exchange.started),
        "total_ms": _milliseconds(monotonic(), exchange.started),
        "ending": exchange.ending._value_,
    }
    if exchange.usage is not None:
        fields["tokens_in"] = exchange.usage.tokens_in
        fields["tokens_out"] = exchange.usage.tokens_out
        fields["tokens_per_second"] = exchange.usage.tokens_per_second
    if exchange.reason:
        fields["reason"] = exchange.reason
    if exchange.cause:
        fields["cause"] = masked(exchange.cause)
    return fields


def _asked(request: web.Request | None) -> str:
    return "unreadable" if request is None else f"{request.method} {request.path}"[:120]


def _milliseconds(at: float | None, start: float) -> float | None:
    return None if at is None else int((at - start) * 100_000) / 100  # round() costs twenty times as much
