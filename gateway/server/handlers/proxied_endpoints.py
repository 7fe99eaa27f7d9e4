"""The proxied endpoints: what a path asks for, and the request carried if it is admitted."""

from typing import cast

from aiohttp import web

from gateway.core import errors
from gateway.core.endpoints import PREFIX, Endpoint, endpoint_at
from gateway.core.errors import Refusal
from gateway.core.exchange import EXCHANGE
from gateway.core.http.base_urls import right_base_url
from gateway.core.http.headers import presented_digest
from gateway.proxy.queue.deployment_line import told_of
from gateway.proxy.relay import RELAY, Destination
from gateway.proxy.upstream.health.readiness import READINESS
from gateway.server.admission import ADMISSION, REGISTRY, Admitted, Rejected, RequestedTarget
from gateway.server.fast_path.demultiplexer import Demultiplexer
from gateway.telemetry.access_log import ACCESS


def asked_of(request: web.Request) -> RequestedTarget | None:
    """What a request for a proxied endpoint, `/api/gguf/{id}{endpoint}`, asks for; None for any other request.

    The path is compared as it was sent, before any percent-decoding.
    """
    deployment_id, endpoint, _ = _parts(request)
    if endpoint is None or endpoint.own or request.method not in endpoint.methods:
        return None
    return RequestedTarget(presented_digest(request.headers), deployment_id, endpoint)


async def answer_proxied(app: web.Application, request: web.Request, asked: RequestedTarget) -> web.StreamResponse:
    """Answer a request to a deployment. Raises Refusal: what admission says, and all of the relay's."""
    exchange = request[EXCHANGE]
    connection = cast(Demultiplexer, request.protocol)
    decision = _decision_on(app, request, asked, connection.decision_on(asked))
    connection.has_proved_key = connection.has_proved_key or decision.key is not None
    if isinstance(decision, Rejected):
        raise decision.refusal
    refusal = None if decision.allowance is None else decision.allowance.take(exchange)
    if refusal is not None:
        if decision.claimant is not None:
            refusal.headers.update(told_of(await decision.pool.line.prospect(decision.claimant)))
        raise refusal
    return await app[RELAY].carry(request, exchange, Destination(asked.endpoint, decision.pool, decision.claimant))


async def not_proxied(request: web.Request) -> web.StreamResponse:
    """What is left under a base URL: a path that is not in the table, or one of it with another method."""
    deployment_id, endpoint, path = _parts(request)
    if endpoint is None:
        own = request.app[REGISTRY].snapshot.deployment(request[EXCHANGE].account or "", deployment_id)
        raise Refusal(errors.NO_SUCH_PATH, "" if own is None else right_base_url(path, own.id))
    methods = ", ".join(endpoint.methods)
    raise Refusal(errors.WRONG_METHOD, methods, Allow=methods)


async def health(request: web.Request) -> web.Response:
    """A deployment's readiness as `/health` of a llama-server: 200, or the refusal that a request would get now.

    It is known from the last probe, and takes no connection to the upstream. Raises Refusal.
    """
    deployment_id, endpoint, _ = _parts(request)
    if endpoint is None:
        raise Refusal(errors.NO_SUCH_PATH)
    asked = RequestedTarget(presented_digest(request.headers), deployment_id, endpoint)
    decision = _decision_on(request.app, request, asked)
    if isinstance(decision, Rejected):
        raise decision.refusal
    seen = request.app[READINESS].health(deployment_id).seen
    if seen not in {"", "ok"}:  # "": pinned as ready, and not probed yet
        raise Refusal(errors.UNREACHABLE, cause=seen)
    return web.Response(body=b'{"status":"ok"}', content_type="application/json")  # as a llama-server spells it


def _decision_on(
    app: web.Application, request: web.Request, asked: RequestedTarget, known: Admitted | Rejected | None = None
) -> Admitted | Rejected:
    """Admission's decision, noted on the exchange; `known` is that of the fast path, if it took one."""
    decision = known or app[ADMISSION].admit(asked)
    if isinstance(decision, Rejected) and decision.wants_address:
        decision = app[ADMISSION].admit(asked, app[ACCESS].client_of(request))
    decision.note_on(request[EXCHANGE])
    return decision


def _parts(request: web.Request) -> tuple[str, Endpoint | None, str]:
    """The deployment's id, the endpoint and the path below its base URL that a request names, whatever its method."""
    path = request.rel_url.raw_path
    deployment_id, slash, rest = path.removeprefix(PREFIX).partition("/")
    below = slash + rest
    return deployment_id, endpoint_at(below) if path.startswith(PREFIX) else None, below
