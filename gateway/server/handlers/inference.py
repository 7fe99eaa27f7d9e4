"""The proxied endpoints: find the deployment, ask whether it is ready, carry the request."""

from aiohttp import web

from gateway.core import errors
from gateway.core.account import digest_of
from gateway.core.deployment import is_id
from gateway.core.endpoints import ENDPOINTS, PREFIX, Endpoint
from gateway.core.errors import Refusal
from gateway.core.exchange import EXCHANGE
from gateway.proxy.relay import RELAY
from gateway.proxy.upstream.connection_pool import UPSTREAMS
from gateway.proxy.upstream.readiness import READINESS
from gateway.registry.base import Snapshot
from gateway.server.handlers.authentication import REGISTRY
from gateway.telemetry.logs import masked


def target_of(request: web.Request) -> tuple[str, Endpoint] | None:
    """The deployment id and the endpoint that `/api/gguf/{id}{endpoint}` names; None for any other request.

    The path is compared as it was sent, before any percent-decoding.
    """
    path = request.rel_url.raw_path
    deployment_id, slash, rest = path.removeprefix(PREFIX).partition("/")
    endpoint = ENDPOINTS.get(slash + rest) if path.startswith(PREFIX) else None
    return (deployment_id, endpoint) if endpoint is not None and request.method == endpoint.method else None


async def inference(
    app: web.Application, request: web.Request, account: str, deployment_id: str, endpoint: Endpoint
) -> web.StreamResponse:
    """Answer a request of `account` to a deployment. Raises Refusal: 404, 503, and all of the relay's."""
    exchange = request[EXCHANGE]
    exchange.endpoint = endpoint.path
    snapshot = app[REGISTRY].snapshot
    deployment = snapshot.deployment(account, deployment_id)
    if deployment is None:
        named = _named(deployment_id, snapshot)
        raise Refusal(errors.NO_DEPLOYMENT, cause=f"{named} is no deployment of this account")
    exchange.deployment = deployment.id
    app[READINESS].require_ready(deployment)
    try:
        return await app[RELAY].carry(request, exchange, app[UPSTREAMS].of(deployment), endpoint)
    except Refusal as refusal:
        if refusal.row is errors.UNREACHABLE:
            app[READINESS].doubt(deployment.id)
        raise


def _named(asked_for: str, snapshot: Snapshot) -> str:
    """What log and status page call a deployment that there is not: by its id, unless that may be a pasted key."""
    if not is_id(asked_for) or digest_of(asked_for) in snapshot.keys or masked(asked_for) != asked_for:
        return "what was asked for"
    return asked_for


async def not_proxied(request: web.Request) -> web.StreamResponse:
    """What is left under a base URL: a path that is not in the table, or one of it with another method."""
    _, slash, rest = request.rel_url.raw_path.removeprefix(PREFIX).partition("/")
    endpoint = ENDPOINTS.get(slash + rest)
    if endpoint is None:
        raise Refusal(errors.NO_SUCH_PATH)
    raise Refusal(errors.WRONG_METHOD, endpoint.method, Allow=endpoint.method)
