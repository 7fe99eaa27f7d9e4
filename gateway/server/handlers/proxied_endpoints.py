"""The proxied endpoints: what a path asks for, and the request carried if it is admitted."""

from typing import cast

from aiohttp import web

from gateway.core import errors
from gateway.core.endpoints import ENDPOINTS, PREFIX
from gateway.core.errors import Refusal
from gateway.core.exchange import EXCHANGE
from gateway.core.headers import presented_digest
from gateway.proxy.relay import RELAY
from gateway.server.admission import ADMISSION, Rejected, RequestedTarget
from gateway.server.demultiplexer import Demultiplexer


def asked_of(request: web.Request) -> RequestedTarget | None:
    """What a request for a proxied endpoint, `/api/gguf/{id}{endpoint}`, asks for; None for any other request.

    The path is compared as it was sent, before any percent-decoding.
    """
    path = request.rel_url.raw_path
    deployment_id, slash, rest = path.removeprefix(PREFIX).partition("/")
    endpoint = ENDPOINTS.get(slash + rest) if path.startswith(PREFIX) else None
    if endpoint is None or request.method not in endpoint.methods:
        return None
    return RequestedTarget(presented_digest(request.headers), deployment_id, endpoint)


async def inference(app: web.Application, request: web.Request, asked: RequestedTarget) -> web.StreamResponse:
    """Answer a request to a deployment. Raises Refusal: what admission says, and all of the relay's."""
    exchange = request[EXCHANGE]
    decision = cast(Demultiplexer, request.protocol).decision_on(asked) or app[ADMISSION].admit(asked)
    decision.note_on(exchange)
    if isinstance(decision, Rejected):
        raise decision.refusal
    return await app[RELAY].carry(request, exchange, decision.pool, asked.endpoint)


async def not_proxied(request: web.Request) -> web.StreamResponse:
    """What is left under a base URL: a path that is not in the table, or one of it with another method."""
    _, slash, rest = request.rel_url.raw_path.removeprefix(PREFIX).partition("/")
    endpoint = ENDPOINTS.get(slash + rest)
    if endpoint is None:
        raise Refusal(errors.NO_SUCH_PATH)
    methods = ", ".join(endpoint.methods)
    raise Refusal(errors.WRONG_METHOD, methods, Allow=methods)
