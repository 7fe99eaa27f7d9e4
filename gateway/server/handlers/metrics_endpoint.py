"""`/metrics` for Prometheus: the counters and current gauges of all workers together."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from importlib import import_module

from aiohttp import hdrs, web

from gateway.config.settings import Server
from gateway.core import errors
from gateway.core.deployment import Status
from gateway.core.worker_group import WORKER_GROUP
from gateway.proxy.relay import RELAY
from gateway.proxy.upstream.connection_pool import POOLS
from gateway.proxy.upstream.readiness import READINESS
from gateway.server.admission import REGISTRY
from gateway.server.handlers.authentication import public
from gateway.server.handlers.operator_access import OperatorAccess
from gateway.telemetry import worker_metrics
from gateway.telemetry.access_log import ACCESS

METRICS_ACCESS = web.AppKey("metrics_access", OperatorAccess)

_PUBLISH_SECONDS = 1.0  # how old the other workers' numbers may be
_SUMMED = ("gguf_open_exchanges", "gguf_upstream_connections")  # the other gauges are the same in every worker
_UNREACHABLE = errors.UNREACHABLE.reason
_STATUSES = (Status.DEPLOYING.value, Status.PAUSED.value, Status.READY.value, _UNREACHABLE)

_Gauges = dict[str, tuple[str, tuple[str, ...], dict[tuple[str, ...], float]]]


def set_up(app: web.Application, server: Server) -> None:
    """Decide who may scrape."""
    app[METRICS_ACCESS] = OperatorAccess("/metrics", server.metrics, server.status_page_hosts)
    if app[WORKER_GROUP].size > 1:
        app.cleanup_ctx.append(_publish_counters)


@public
async def scrape(request: web.Request) -> web.Response:
    """The numbers, in the text format 0.0.4."""
    app = request.app
    app[METRICS_ACCESS].let_in(request)
    exposition = await asyncio.to_thread(import_module, "gateway.telemetry.prometheus_format")
    gauges, others = _gauges(app), tuple(app[WORKER_GROUP].other_counters())
    counts = app[ACCESS].metrics.counts()
    for other in others:
        worker_metrics.add_counts(counts, other)
        worker_metrics.add_standing(_standing(gauges), other)
    return web.Response(
        body=exposition.expose(counts, gauges),
        headers={hdrs.CONTENT_TYPE: exposition.CONTENT_TYPE},
    )


async def _publish_counters(app: web.Application) -> AsyncIterator[None]:
    """Take over what a dead worker of this number had counted, and publish what this one counts."""
    group, metrics = app[WORKER_GROUP], app[ACCESS].metrics
    worker_metrics.add_counts(metrics.others, group.own_counters())

    async def publish_for_ever() -> None:
        while True:
            group.publish_counters(worker_metrics.packed(metrics.counts(), _standing(_gauges(app))))
            await asyncio.sleep(_PUBLISH_SECONDS)

    publishing = asyncio.create_task(publish_for_ever(), name="metrics")
    yield
    publishing.cancel()
    await asyncio.wait([publishing])


def _standing(gauges: _Gauges) -> worker_metrics.Standing:
    return {name: gauges[name][2] for name in _SUMMED}


def _status(status: Status, seen: str) -> str:
    """What clients meet: a ready deployment whose upstream is away is "unreachable", and no model is served."""
    return _UNREACHABLE if status is Status.READY and seen not in {"", "ok"} else status.value


def _gauges(app: web.Application) -> _Gauges:
    registry = app[REGISTRY]
    deployments = registry.snapshot.deployments
    under_way = Counter(app[RELAY].deployments_under_way())
    connections: dict[tuple[str, ...], float] = {
        (name, state): float(number)
        for name, upstream in app[POOLS].known().items()
        for state, number in upstream.connections.items()
    }
    seen = {name: app[READINESS].health(name).seen for name in deployments}
    found = {name: _status(app[READINESS].status(one), seen[name]) for name, one in deployments.items()}
    return {
        "gguf_open_exchanges": (
            "Answers under way.",
            ("deployment",),
            {(name,): float(under_way[name]) for name in deployments},
        ),
        "gguf_upstream_connections": ("Connections, and requests for one.", ("deployment", "state"), connections),
        "gguf_deployment_status": (
            "1 for the status a deployment has, 0 for the others.",
            ("deployment", "status"),
            {(name, one): float(one == found[name]) for name in deployments for one in _STATUSES},
        ),
        "gguf_upstream_up": (
            "Whether the last probe found a healthy model server.",
            ("deployment",),
            {(name,): float(health == "ok") for name, health in seen.items() if health},
        ),
        "gguf_configuration_stale": (
            "1 while the newest configuration cannot be used.",
            (),
            {(): float(registry.problem is not None)},
        ),
    }
