"""Who is calling: the one place that turns a key into an account. Safe by default: a route is private unless public."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway import errors
from gateway.account import digest_of
from gateway.errors import Refusal
from gateway.exchange import EXCHANGE
from gateway.headers import presented_key
from gateway.registry.base import Registry

REGISTRY = web.AppKey("registry", Registry)
ACCOUNT = web.RequestKey("account", str)

_public: set[object] = set()

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def public(handler: _Handler) -> _Handler:
    """Mark a handler that serves anybody."""
    _public.add(handler)
    return handler


def is_public(handler: object) -> bool:
    """Whether `public` was said of this handler."""
    return handler in _public


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Set `request[ACCOUNT]`, or 401. Unknown, revoked, expired and contradictory keys take the same path."""
    match = request.match_info
    if match.http_exception is not None or match.handler in _public:
        return await handler(request)
    presented = presented_key(request.headers)
    # No key has no digest: the SHA-256 of nothing may stand in a configuration by mistake, and must open nothing.
    digest = b"" if presented is None else digest_of(presented)
    key = request.app[REGISTRY].snapshot.key(digest, datetime.now(UTC))
    if key is None:
        raise Refusal(errors.BAD_KEY)
    request[ACCOUNT] = key.account
    exchange = request[EXCHANGE]
    exchange.account, exchange.key = key.account, key.id
    return await handler(request)
