"""What is shown of a deployment: its state in words, what it carries now, and how long it usually takes to start."""

from typing import NamedTuple

from aiohttp import web

from gateway.core.deployment import Deployment as Served
from gateway.core.deployment import Limits, Status
from gateway.proxy.queue.arbiter import UNKNOWN_SLOTS
from gateway.proxy.upstream.connection_pools import POOLS
from gateway.proxy.upstream.health.readiness import READINESS
from gateway.server.activity.notice_boards import BOARDS, Carried
from gateway.server.activity.throughput import Throughput
from gateway.server.admission import REGISTRY
from gateway.server.handlers import dashboard_view
from gateway.server.handlers.dashboard import PAGE
from gateway.server.handlers.viewer_base import base_url_of
from gateway.team.models.deployments import Deployment

_NOWHERE = "http://localhost"  # a member does not see where it is


class DeploymentCard(NamedTuple):
    """One deployment at a glance. `rate` is tokens a second; None where nothing streams.

    `usually_takes` is in seconds, what this gateway has seen from its beginning to Ready; None where it has seen none.
    """

    standing: dashboard_view.Card
    version: int
    is_paused: bool
    in_use: int
    places: int | None
    waiting: int
    limits: Limits
    rate: float | None
    usually_takes: float | None
    has_why: bool


class Glance(NamedTuple):
    """What all workers carry at one moment, with the rate of each deployment."""

    carried: Carried
    rates: dict[str, float]


async def glance(app: web.Application) -> Glance:
    """Look at what is carried now."""
    carried = await app[BOARDS].carried()
    return Glance(carried, _METER.rates(carried.exchanges))


def card_of(request: web.Request, one: Deployment, seen: Glance, *, is_admins: bool) -> DeploymentCard:
    """The card. A change that was just made shows, though the gateway may not serve by it yet."""
    app = request.app
    served = app[REGISTRY].snapshot.deployments.get(one.id)
    shown = served or Served(one.id, one.account, one.upstream or _NOWHERE, status=one.status)
    status, health = _status(app, one, served), app[READINESS].health(one.id)
    base_url = base_url_of(request, app[PAGE].clients_port)
    standing = dashboard_view.card(shown, status, health, base_url, show_upstream=is_admins)
    in_use, waiting = seen.carried.connections.get(one.id, (0, 0))
    return DeploymentCard(
        standing,
        one.version,
        one.status is Status.PAUSED,
        in_use,
        _places(app, served, shown),
        waiting,
        shown.limits,
        _rounded(seen.rates.get(one.id)),
        app[READINESS].usual_start(one.id) if standing.tone == "deploying" else None,
        standing.tone in {"trouble", "deploying"} and standing.health not in {"", "ok"},
    )


def _places(app: web.Application, served: Served | None, shown: Served) -> int | None:
    """How many requests may be at its upstream at a time; None while its server has not said how many slots it has."""
    if shown.limits.connections or served is None:
        return shown.limits.connections
    places = app[POOLS].of(served).line.places
    return None if places == UNKNOWN_SLOTS else places


def _status(app: web.Application, one: Deployment, served: Served | None) -> Status:
    if one.status is not Status.AUTO:
        return one.status
    is_known = served is not None and served.status is Status.AUTO
    return app[READINESS].status(served) if is_known and served is not None else Status.DEPLOYING


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 1 if rate < 10 else 0)


_METER = Throughput()
