"""Names, counts and logs every request, and remembers what was refused."""

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from time import monotonic

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.core import errors
from gateway.core.errors import Refusal
from gateway.core.exchange import EXCHANGE, Ending, Exchange
from gateway.core.http.cors import Cors
from gateway.core.http.forwarding import FORWARDED_FOR, TrustedProxies
from gateway.core.http.headers import ALWAYS, is_sane_request_id, request_id_fields
from gateway.core.notifier import Notifier
from gateway.telemetry.logs import expect_requests, format_expected
from gateway.telemetry.masking import is_key, masked
from gateway.telemetry.metrics import Metrics

_REMEMBERED = 50
_MOST_ASKED = 400  # characters in which a key is looked for
_MOST_KEPT = 64  # exchanges: to count so many, and to write their lines, takes 0.5 ms
_IDS_AT_ONCE = 64


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
        self._metrics = Metrics()
        self._uncounted: list[Exchange] = []
        self._unwritten: list[Exchange] = []
        self._random = Random()  # noqa: S311  an id may be guessable, and this saves a system call
        self._ids: list[str] = []  # for the next exchanges

    def start(self, given_id: str | None, origin: str | None = None) -> Exchange:
        """Note a new request. It keeps the id its client has given it, if that is a valid one.

        `origin` is that of the web page that sends it, if one does.
        """
        if given_id is not None and is_sane_request_id(given_id) and not is_key(given_id):
            exchange = Exchange(given_id)
        else:
            if not self._ids:
                self._ids = self._new_ids()
            exchange = Exchange(self._ids.pop())
            exchange.has_own_id = True
        if self._cors.is_on:
            exchange.cors = self._cors.headers(origin)
        return exchange

    def _new_ids(self) -> list[str]:
        """Of 64 bits each. Made together, they take a third of the time."""
        digits = self._random.randbytes(8 * _IDS_AT_ONCE).hex()
        return [digits[at : at + 16] for at in range(0, len(digits), 16)]

    def log(self, exchange: Exchange, request: web.Request | None = None, peer: str | None = None) -> None:
        """It has been answered, or given up: count and log it. `request` names the path where there is no endpoint.

        Who presents no good key is noted by address: that of the `request`, or of the connection's `peer`. Nothing of
        the exchange may be changed any more: what is counted, and written, is so together with others.
        """
        if exchange.key is None:
            exchange.client = peer if request is None else self.client_of(request)
        if exchange.endpoint is None:
            exchange.path = _asked(request)
        self._uncounted.append(exchange)
        self._unwritten.append(exchange)
        if len(self._unwritten) == 1:
            expect_requests(self._take_unwritten)
        if len(self._uncounted) >= _MOST_KEPT:
            self._count()
            format_expected()

    @property
    def metrics(self) -> Metrics:
        """What was counted so far. Ask in the event loop's thread; what is returned may be read in another."""
        self._count()
        return self._metrics

    def _count(self) -> None:
        uncounted, self._uncounted = self._uncounted, []
        self._metrics.add(uncounted)

    def _take_unwritten(self) -> list[Exchange]:
        unwritten, self._unwritten = self._unwritten, []
        return unwritten

    def client_of(self, request: web.Request) -> str | None:
        """The address of a request's client; through a proxy only if it is a configured one."""
        return self._trusted_proxies.client_of(request.remote, request.headers.getall(FORWARDED_FOR, ()))

    def note_refusal(self, exchange: Exchange, refusal: Refusal, size: int, request: web.Request | None = None) -> None:
        """The gateway answers this exchange itself, with a body of `size` bytes: remember with what, and why.

        Where there is no endpoint, `request` names the path for the status page, if a good key vouches for it.
        """
        row, endpoint = refusal.row, exchange.endpoint
        if endpoint is None and exchange.key is not None:
            endpoint = masked(_asked(request))
        exchange.ending = Ending.FAULT if row is errors.FAULT else Ending.REFUSED
        exchange.reason, exchange.cause = row.reason, refusal.cause
        exchange.bytes_out = size
        now, account, deployment = datetime.now(UTC), exchange.account, exchange.deployment
        self.refused.append(RecentRefusal(now, row.status, row.reason, account, deployment, endpoint, refusal.cause))
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


def _asked(request: web.Request | None) -> str:
    """Method and path; masked before they are cut, or the beginning of a key would be left."""
    return "unreadable" if request is None else masked(f"{request.method} {request.path}"[:_MOST_ASKED])[:120]
