"""Who is calling a route of the gateway's own. Safe by default: a route is private unless it is marked public."""

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.core.exchange import EXCHANGE
from gateway.core.http.headers import presented_digest
from gateway.server.admission import ADMISSION

_public: set[object] = set()
_authenticating: set[object] = set()


def public(handler: Handler) -> Handler:
    """Mark a handler that serves anybody."""
    _public.add(handler)
    return handler


def authenticates_itself(handler: Handler) -> Handler:
    """Mark a handler that asks for an admin token or a session itself: a model key opens nothing there."""
    _authenticating.add(handler)
    return handler


def is_public(handler: object) -> bool:
    """Whether this handler is marked `public`."""
    return handler in _public


def does_authenticate_itself(handler: object) -> bool:
    """Whether this handler is marked `authenticates_itself`."""
    return handler in _authenticating


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """401 for a private route without a valid key."""
    match = request.match_info
    if match.http_exception is None and match.handler not in _public | _authenticating:
        identify(request)
    return await handler(request)


def identify(request: web.Request) -> None:
    """Name the account whose key the request presents.

    Raises Refusal (401): a missing, unknown, revoked, expired or contradictory key all take the same path.
    """
    admission, digest = request.app[ADMISSION], presented_digest(request.headers)
    key = admission.key(digest)
    if key is None:
        raise admission.bad_key(digest)
    exchange = request[EXCHANGE]
    exchange.account, exchange.key, exchange.person = key.account, key.id, key.person
