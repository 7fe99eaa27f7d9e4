"""The proxied routes: find the endpoint, find the deployment, ask whether it is ready, carry the request."""

from aiohttp import web

from gateway import errors
from gateway.auth import ACCOUNT, REGISTRY
from gateway.deployment import Deployment
from gateway.endpoints import ENDPOINTS, Endpoint
from gateway.errors import Refusal
from gateway.exchange import EXCHANGE
from gateway.readiness import READINESS
from gateway.relay import RELAY
from gateway.upstream import UPSTREAMS

PREFIX = "/api/gguf/"


async def inference(request: web.Request) -> web.StreamResponse:
    """`/api/gguf/{deployment_id}{endpoint}`. The path is compared as it was sent, before any percent-decoding."""
    app = request.app
    exchange = request[EXCHANGE]
    deployment_id, endpoint = _target(request)
    exchange.endpoint = endpoint.path
    deployment = _deployment(request, deployment_id)
    exchange.deployment = deployment.id
    app[READINESS].require_ready(deployment)
    try:
        return await app[RELAY].carry(request, exchange, app[UPSTREAMS].of(deployment), endpoint)
    except Refusal as refusal:
        if refusal.row is errors.UNREACHABLE:
            app[READINESS].doubt(deployment.id)
        raise


def _target(request: web.Request) -> tuple[str, Endpoint]:
    path = request.rel_url.raw_path
    deployment_id, slash, rest = path.removeprefix(PREFIX).partition("/")
    endpoint = ENDPOINTS.get(slash + rest) if path.startswith(PREFIX) else None
    if endpoint is None:
        raise Refusal(errors.NO_SUCH_PATH)
    if request.method != endpoint.method:
        raise Refusal(errors.WRONG_METHOD, endpoint.method, Allow=endpoint.method)
    return deployment_id, endpoint


def _deployment(request: web.Request, deployment_id: str) -> Deployment:
    deployment = request.app[REGISTRY].snapshot.deployment(request[ACCOUNT], deployment_id)
    if deployment is None:
        raise Refusal(errors.NO_DEPLOYMENT)
    return deployment
