"""Who is calling: the one place that turns a key into an account. Safe by default: a route is private unless public."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.core import errors
from gateway.core.account import digest_of
from gateway.core.errors import Refusal
from gateway.core.exchange import EXCHANGE
from gateway.core.headers import presented_key
from gateway.registry.base import Registry

REGISTRY = web.AppKey("registry", Registry)

_public: set[object] = set()

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def public(handler: _Handler) -> _Handler:
    """Mark a handler that serves anybody."""
    _public.add(handler)
    return handler


def is_public(handler: object) -> bool:
    """Whether this handler is marked `public`."""
    return handler in _public


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """401 for a private route without a valid key."""
    match = request.match_info
    if match.http_exception is None and match.handler not in _public:
        identify(request.app, request)
    return await handler(request)


def identify(app: web.Application, request: web.Request) -> str:
    """The account whose key the request presents.

    Raises Refusal (401): a missing, unknown, revoked, expired or contradictory key all take the same path.
    """
    presented = presented_key(request.headers)
    # Without a key the digest is empty: a configuration may hold the SHA-256 of "" by mistake; it must open nothing.
    digest = b"" if presented is None else digest_of(presented)
    key = app[REGISTRY].snapshot.key(digest, datetime.now(UTC))
    if key is None:
        raise Refusal(errors.BAD_KEY)
    exchange = request[EXCHANGE]
    exchange.account, exchange.key = key.account, key.id
    return key.account
