"""Names, counts and logs every request, and remembers what was refused."""

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
from gateway.core.http.cors import Cors
from gateway.core.http.forwarding import FORWARDED_FOR, TrustedProxies
from gateway.core.http.headers import ALWAYS, is_sane_request_id, request_id_fields
from gateway.core.notifier import Notifier
from gateway.telemetry.logs import log_request
from gateway.telemetry.masking import is_key, masked, masked_by_form
from gateway.telemetry.metrics import Metrics

_REMEMBERED = 50
_MOST_ASKED = 400  # characters in which a key is looked for

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

    def __init__(self, notifier: Notifier, cors: Cors, trusted_proxies: TrustedProxies) -> None:
        self._notifier = notifier
        self._cors = cors
        self._trusted_proxies = trusted_proxies
        self.refused: deque[RecentRefusal] = deque(maxlen=_REMEMBERED)
        self.metrics = Metrics()
        self._random = Random()  # noqa: S311  an id may be guessable, and this saves a system call

    def start(self, given_id: str | None, origin: str | None = None) -> Exchange:
        """Note a new request. It keeps the id its client has given it, if that is a valid one.

        `origin` is that of the web page that sends it, if one does.
        """
        if given_id is not None and is_sane_request_id(given_id) and not is_key(given_id):
            exchange = Exchange(given_id)
        else:
            exchange = Exchange(self._random.getrandbits(64).to_bytes(8).hex())  # a format takes six times as long
        if self._cors.is_on:
            exchange.cors = self._cors.headers(origin)
        return exchange

    def log(self, exchange: Exchange, request: web.Request | None = None, peer: str | None = None) -> None:
        """It has been answered, or given up: count and log it. `request` names the path where there is no endpoint.

        Who presents no good key is noted by address: that of the `request`, or of the connection's `peer`.
        """
        self.metrics.add(exchange)
        if log.isEnabledFor(logging.INFO):
            if exchange.key is None:
                exchange.client = peer if request is None else self.client_of(request)
            log_request(log_fields(exchange, request))

    def client_of(self, request: web.Request) -> str | None:
        """The address of a request's client; through a proxy only if it is a configured one."""
        return self._trusted_proxies.client_of(request.remote, request.headers.getall(FORWARDED_FOR, ()))

    def note_refusal(self, exchange: Exchange, refusal: Refusal, size: int, request: web.Request | None = None) -> None:
        """The gateway answers this exchange itself, with a body of `size` bytes: remember with what, and why.

        Where there is no endpoint, `request` names the path for the status page, if a good key vouches for it.
        """
        row, seen = refusal.row, exchange
        named = masked(_asked(request)) if seen.endpoint is None and seen.key is not None else seen.endpoint
        exchange.ending = Ending.FAULT if row is errors.FAULT else Ending.REFUSED
        exchange.reason, exchange.cause = row.reason, refusal.cause
        exchange.bytes_out = size
        now = datetime.now(UTC)
        self.refused.append(
            RecentRefusal(now, row.status, row.reason, seen.account, seen.deployment, named, refusal.cause)
        )
        self._notifier.notify()


ACCESS = web.AppKey("access", AccessLog)


@web.middleware
async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Note when the answer of a handler begins and how long it is. A stream's handler notes that itself."""
    response = await handler(request)
    if isinstance(response, web.Response):
        exchange = request[EXCHANGE]
        exchange.first_byte_at = monotonic()
        exchange.bytes_out = 0 if request.method == hdrs.METH_HEAD else response.content_length or 0
    return response


async def stamp(request: web.Request, response: web.StreamResponse) -> None:
    """Set the headers that every answer of a handler carries. Connected to aiohttp's `on_response_prepare`."""
    headers = response.headers
    exchange = request[EXCHANGE]
    headers.update({**request_id_fields(exchange.id), **exchange.cors.fields})
    headers.pop(hdrs.SERVER, None)
    for name, value in ALWAYS.items():
        headers.setdefault(name, value)


def log_fields(exchange: Exchange, request: web.Request | None) -> dict[str, Any]:
    """The fields of a request's log line; `docs/operate/operating.md` explains each. Untrusted text is masked."""
    fields: dict[str, Any] = {
        "id": masked_by_form(exchange.id),
        "account": exchange.account,
        "key": exchange.key,
        "deployment": exchange.deployment,
        "endpoint": exchange.endpoint or _asked(request),
        "status": exchange.status,
        "bytes_in": exchange.bytes_in,
        "bytes_out": exchange.bytes_out,
        "first_byte_ms": _milliseconds(exchange.first_byte_at, exchange.started),
        "total_ms": _milliseconds(exchange.ended_at, exchange.started),
        "ending": exchange.ending._value_,
    }
    if exchange.usage is not None:
        fields["tokens_in"] = exchange.usage.tokens_in
        fields["tokens_out"] = exchange.usage.tokens_out
        fields["tokens_per_second"] = exchange.usage.tokens_per_second
    if exchange.client is not None:
        fields["client"] = exchange.client
    if exchange.reason:
        fields["reason"] = exchange.reason
    if exchange.cause:
        fields["cause"] = masked(exchange.cause)
    return fields


def _asked(request: web.Request | None) -> str:
    """Method and path; masked before they are cut, or the beginning of a key would be left."""
    return "unreadable" if request is None else masked(f"{request.method} {request.path}"[:_MOST_ASKED])[:120]


def _milliseconds(at: float | None, start: float) -> float | None:
    return None if at is None else int((at - start) * 100_000) / 100  # round() costs twenty times as much
