"""Puts the gateway together: middlewares in order, contexts in order."""

from collections.abc import AsyncIterator
from datetime import UTC, tzinfo

from aiohttp import web

from gateway.config.server_settings import Probes, Server
from gateway.core.http.cors import Cors
from gateway.core.http.forwarding import TrustedProxies
from gateway.core.notifier import Notifier
from gateway.core.worker_group import ALONE, WORKER_GROUP, WorkerGroup
from gateway.proxy.disconnect.dead_peer_watch import DEAD_PEER
from gateway.proxy.queue.arbiter_connection import ArbiterConnection
from gateway.proxy.queue.lines import Lines
from gateway.proxy.relay import RELAY, Relay
from gateway.proxy.upstream.connection_pool import FreeDescriptor
from gateway.proxy.upstream.connection_pools import POOLS, ConnectionPools
from gateway.proxy.upstream.health.readiness import READINESS, Readiness
from gateway.registry.base import Registry
from gateway.server.activity import notice_boards, watchers
from gateway.server.activity.revoked_answers import RevokedAnswers
from gateway.server.admission import ADMISSION, REGISTRY, Admission
from gateway.server.completion import COMPLETION, Completion
from gateway.server.handlers import authentication, dashboard, metrics_endpoint, preflight
from gateway.server.handlers.probes import SHUTDOWN, Shutdown
from gateway.server.handlers.viewer_base import PAGES_URL, PUBLIC_URL
from gateway.server.refusal_response import REFUSER, Refuser
from gateway.server.routes import add_operator_routes, add_probes, add_routes
from gateway.server.team import team_database
from gateway.telemetry import access_log
from gateway.telemetry.masking import know_keys
from gateway.usage.ledger.ledger import LEDGER, Ledger, writer_for
from gateway.usage.limits.rate_limiter import LIMITER, RateLimiter

# Only for what the router answers: the proxied endpoints do not come this way (see `request_pipeline`).
MIDDLEWARES = (access_log.measure, preflight.answer_preflight, authentication.authenticate)

NOTIFIER = web.AppKey("notifier", Notifier)
_FIRST_LOOK_SECONDS = 0.3  # so that a restarted gateway does not call healthy deployments "deploying"


def create_app(
    server: Server, registry: Registry, group: WorkerGroup = ALONE, free_descriptor: FreeDescriptor = lambda: False
) -> web.Application:
    """The gateway as an aiohttp application. `registry` is opened and closed with it."""
    app = web.Application(middlewares=MIDDLEWARES)
    app[WORKER_GROUP], app[REGISTRY] = group, registry
    app[NOTIFIER] = notifier = Notifier()
    app[preflight.CORS] = cors = Cors(server.cors_origins)
    proxies = TrustedProxies(server.trusted_proxies)
    app[access_log.ACCESS] = access = access_log.AccessLog(notifier, cors, proxies)
    app[REFUSER] = Refuser(access, anthropic_errors=server.anthropic_errors)
    app[DEAD_PEER] = dead_peer = server.timeouts.dead_peer
    app[POOLS] = pools = ConnectionPools(_lines(group), free_descriptor, dead_peer)
    app[RELAY] = relay = Relay(server.limits.body_bytes, server.timeouts.upload_silence)
    app[READINESS] = readiness = _readiness(server.probes, pools, notifier, relay)
    zone = _zone(server.time_zone)
    app[LIMITER] = limiter = RateLimiter(registry, zone)
    app[ADMISSION] = Admission(registry, readiness, pools, relay, limiter)
    app[SHUTDOWN] = Shutdown()
    app[LEDGER] = ledger = Ledger(writer_for(registry.place), zone, access.metrics.usage, server.usage.hours_days)
    app[COMPLETION] = Completion(access, readiness, ledger)
    app.on_response_prepare.append(access_log.stamp)
    app.cleanup_ctx.extend((registry_context, limits_context, readiness_context, ledger.kept))
    RevokedAnswers(registry, relay)
    notice_boards.set_up(app)
    watchers.set_up(app)
    team_database.set_up(app, server)
    app[PUBLIC_URL], app[PAGES_URL] = server.public_url or "", server.pages_url or ""
    dashboard.set_up(app, server, notifier)
    metrics_endpoint.set_up(app, server)
    add_routes(app, with_operator=server.admin is None)
    return app


def _readiness(probes: Probes, pools: ConnectionPools, notifier: Notifier, relay: Relay) -> Readiness:
    return Readiness(
        pools,
        notifier,
        probes.interval,
        probes.timeout,
        unreachable_after=probes.unreachable_after,
        silence_of=relay.silence_of,
    )


def _zone(name: str) -> tzinfo:
    """In which days and months begin. UTC, the default, needs no database of zones: 3 ms and 0.3 MB of a start."""
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def _lines(group: WorkerGroup) -> Lines:
    """Those of this process alone, or its part of those of all workers."""
    file = group.arbiter
    return Lines() if file is None else Lines(lambda deliver: ArbiterConnection(file, deliver).tell)


def create_admin_app(app: web.Application) -> web.Application:
    """What the operator sees of `app`, the gateway, as an application for a port of its own."""
    admin = web.Application(middlewares=MIDDLEWARES)
    for key, value in app.items():
        admin[key] = value
    admin.on_response_prepare.append(access_log.stamp)
    admin.on_shutdown.extend((app[watchers.WATCHERS].close, app[team_database.TEAM].settle))
    add_probes(admin)
    add_operator_routes(admin)
    return admin


async def registry_context(app: web.Application) -> AsyncIterator[None]:
    """The registry is open while the gateway serves."""
    registry = app[REGISTRY]
    await registry.open()
    know_keys(lambda digest: digest in registry.snapshot.keys)
    yield
    await registry.close()


async def limits_context(app: web.Application) -> AsyncIterator[None]:
    """Limits are counted while the gateway serves; what requests have taken is settled when all of them are over."""
    limiter = app[LIMITER]
    limiter.open()
    yield
    limiter.close()


async def readiness_context(app: web.Application) -> AsyncIterator[None]:
    """Deployments are probed while the gateway serves, always those of the newest snapshot."""
    registry, readiness = app[REGISTRY], app[READINESS]

    def follow() -> None:
        readiness.watch(registry.snapshot.deployments)

    registry.listeners.append(follow)
    follow()
    await readiness.first_look(_FIRST_LOOK_SECONDS)
    yield
    registry.listeners.remove(follow)
    await readiness.close()
    app[POOLS].close()
