"""`/metrics` for Prometheus: the counters and current gauges of all workers together.

It is written in pieces, and requests are served between any two of them: of very many deployments it is megabytes.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator
from datetime import UTC, datetime
from functools import partial
from time import monotonic

from aiohttp import hdrs, web

from gateway.config.server_settings import Server
from gateway.core import errors
from gateway.core.deployment import Deployment, Status
from gateway.core.exchange import EXCHANGE, Ending
from gateway.core.worker_group import WORKER_GROUP, WorkerGroup
from gateway.proxy.queue.arbiter import UNKNOWN_SLOTS
from gateway.proxy.relay import RELAY
from gateway.proxy.upstream.connection_pool import ConnectionPool
from gateway.proxy.upstream.connection_pools import POOLS
from gateway.proxy.upstream.health.readiness import READINESS, Readiness
from gateway.server.activity.notice_boards import BOARDS
from gateway.server.admission import REGISTRY
from gateway.server.handlers.authentication import public
from gateway.server.handlers.operator_access import OperatorAccess
from gateway.telemetry import usage_counts
from gateway.telemetry.access_log import ACCESS
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.prometheus_format import CONTENT_TYPE, DeploymentGauges, Exposition
from gateway.telemetry.worker_metrics import Gauge, Packer, WorkerCounts

_PUBLISH_SECONDS = 1.0  # how old the other workers' numbers may be
_UNREACHABLE = errors.UNREACHABLE.reason
_STATUSES = (Status.DEPLOYING.value, Status.PAUSED.value, Status.READY.value, _UNREACHABLE)
_NEVER_CONNECTED: Collection[tuple[str, int]] = (("in_use", 0), ("idle", 0), ("waiting", 0))

METRICS_ACCESS = web.AppKey("metrics_access", OperatorAccess)
_EXPOSITION = web.AppKey("exposition", Exposition)


def set_up(app: web.Application, server: Server) -> None:
    """Decide who may scrape."""
    app[METRICS_ACCESS] = OperatorAccess("/metrics", server.metrics, server.status_page_hosts)
    app[_EXPOSITION] = Exposition(_STATUSES)
    app[ACCESS].metrics.usage.most_keys = server.usage.metrics_by_key
    if app[WORKER_GROUP].size > 1:
        app.cleanup_ctx.append(_publish_counters)


@public
async def scrape(request: web.Request) -> web.StreamResponse:
    """The numbers, in the text format 0.0.4."""
    request.app[METRICS_ACCESS].let_in(request)
    response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})
    if request.method == hdrs.METH_HEAD:
        return response
    counts, unwritten = await _of_all_workers(request.app), await _unwritten_seconds(request.app)
    try:
        await response.prepare(request)
        request[EXCHANGE].first_byte_at = monotonic()
        for piece in _pieces(request.app, counts, unwritten):
            if piece:
                await response.write(piece)
                request[EXCHANGE].bytes_out += len(piece)
            await asyncio.sleep(0)
    except ConnectionError:
        request[EXCHANGE].ending = Ending.CLIENT_LEFT
    return response


async def _of_all_workers(app: web.Application) -> WorkerCounts:
    """What all have counted. Where there are several, it is added up in a thread."""
    own = WorkerCounts(app[ACCESS].metrics, _under_way(app), {})
    group = app[WORKER_GROUP]
    return own if group.size == 1 else await asyncio.to_thread(_sum, own, group)


def _sum(own: WorkerCounts, group: WorkerGroup) -> WorkerCounts:
    metrics = Metrics()
    under_way, connections = Counter(own.under_way), Counter[tuple[str, ...]]()
    metrics.add_all(own.metrics)
    for packet in group.other_counters():
        other = WorkerCounts.unpacked(packet)
        metrics.add_all(other.metrics)
        under_way.update(other.under_way)
        connections.update(other.connections)
    return WorkerCounts(metrics, under_way, connections)


async def _publish_counters(app: web.Application) -> AsyncIterator[None]:
    """Take over what a dead worker of this number had counted, and publish what this one counts."""
    group, metrics, packer = app[WORKER_GROUP], app[ACCESS].metrics, Packer()
    metrics.add_all(WorkerCounts.unpacked(group.own_counters()).metrics)

    async def publish_for_ever() -> None:
        while True:
            await asyncio.to_thread(_publish, app, app[ACCESS].metrics, packer, _under_way(app))
            await asyncio.sleep(_PUBLISH_SECONDS)

    publishing = asyncio.create_task(publish_for_ever(), name="metrics")
    yield
    publishing.cancel()
    await asyncio.wait([publishing])


def _publish(app: web.Application, metrics: Metrics, packer: Packer, under_way: Gauge) -> None:
    connections: dict[tuple[str, ...], int] = {
        (name, state): number
        for name, pool in app[POOLS].known().items()
        for state, number in pool.connections.items()
        if number
    }
    app[WORKER_GROUP].publish_counters(packer.packed(metrics, under_way, connections))


def _under_way(app: web.Application) -> Gauge:
    return Counter((name,) for name in app[RELAY].deployments_under_way())


async def _unwritten_seconds(app: web.Application) -> float:
    """For how long the database has taken no usage of some worker; 0 while it does, and where there is none."""
    since = await app[BOARDS].usage_waiting_since()
    return 0.0 if since is None else max(0.0, (datetime.now(UTC) - since).total_seconds())


def _pieces(app: web.Application, counts: WorkerCounts, unwritten: float) -> Iterator[bytes]:
    registry = app[REGISTRY]
    pools = app[POOLS].known()
    gauges = {
        name: partial(_gauges, app[READINESS], one, pools.get(name), counts)
        for name, one in registry.snapshot.deployments.items()
    }
    traffic, refusals = counts.metrics.traffic.copy().items(), counts.metrics.refusals.copy()
    yield from app[_EXPOSITION].pieces(
        traffic, gauges, refusals, stale=registry.problem is not None, unwritten=unwritten
    )
    yield from usage_counts.pieces(counts.metrics.usage)


def _gauges(
    readiness: Readiness, deployment: Deployment, pool: ConnectionPool | None, counts: WorkerCounts
) -> DeploymentGauges:
    name, seen = deployment.id, readiness.health(deployment.id).seen
    connections = _NEVER_CONNECTED if pool is None else pool.connections.items()
    return DeploymentGauges(
        counts.under_way.get((name,), 0),
        tuple((state, number + counts.connections.get((name, state), 0)) for state, number in connections),
        _status(readiness.status(deployment), seen),
        seen == "ok" if seen else None,
        pool.line.places if pool is not None else deployment.limits.connections or UNKNOWN_SLOTS,
    )


def _status(status: Status, seen: str) -> str:
    """What clients meet: a ready deployment whose upstream is away is "unreachable", and no model is served."""
    return _UNREACHABLE if status is Status.READY and seen not in {"", "ok"} else status.value
