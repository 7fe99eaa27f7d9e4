"""The status page: the page itself and its few files. All of it is for reading only."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, partial
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from aiohttp import web

from gateway import __version__
from gateway.config.server_settings import Server
from gateway.core import errors
from gateway.core.errors import Refusal
from gateway.core.notifier import Notifier
from gateway.core.worker_group import WORKER_GROUP, WorkerGroup
from gateway.proxy.relay import RELAY
from gateway.proxy.upstream.health.readiness import READINESS
from gateway.server.admission import REGISTRY
from gateway.server.handlers.authentication import public
from gateway.server.handlers.dashboard_feed import Feed
from gateway.server.handlers.operator_access import OperatorAccess
from gateway.server.handlers.probes import hello
from gateway.server.handlers.viewer_base import base_url_of
from gateway.telemetry.access_log import ACCESS

if TYPE_CHECKING:
    from gateway.server.handlers.dashboard_drawing import Facts

_FILES = {
    "status.css": "text/css",
    "status.js": "text/javascript",
    "clipboard.js": "text/javascript",
    "fitting.js": "text/javascript",
    "relative_times.js": "text/javascript",
    "favicon.svg": "image/svg+xml",
}
_IDLE_FEEDS = 2
HEADERS = MappingProxyType(
    {
        "Content-Security-Policy": (
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
            "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        ),
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
)


class StatusPage:
    """What the page needs to know for as long as the gateway serves."""

    def __init__(self, server: Server, notifier: Notifier) -> None:
        self.access = OperatorAccess("the status page", server.status_page, server.status_page_hosts)
        self.notifier = notifier
        self.started = datetime.now(UTC)
        self.clients_port: int | None = None  # where the page has a port of its own: the one for clients
        self._feeds: dict[str, Feed] = {}  # by URL

    def feed(self, base_url: str, facts: "Callable[[], Facts]") -> Feed:
        """The page under this URL. Of those that nobody watches, the last few are kept."""
        if base_url not in self._feeds:
            for idle in [url for url, feed in self._feeds.items() if not feed.is_watched][:-_IDLE_FEEDS]:
                del self._feeds[idle]
            self._feeds[base_url] = Feed(facts, self.notifier)
        return self._feeds[base_url]


PAGE = web.AppKey("status_page", StatusPage)


def set_up(app: web.Application, server: Server, notifier: Notifier) -> None:
    """Prepare the page. Its routes are in `routes`; all that draws it is loaded on first use."""
    app[PAGE] = StatusPage(server, notifier)


@public
async def page(request: web.Request) -> web.Response:
    """`/`: how things stand, complete without the script."""
    request.app[PAGE].access.let_in(request)
    await asyncio.to_thread(import_module, "gateway.server.handlers.dashboard_drawing")
    drawing = await feed_of(request).draw()
    has_database = request.app[REGISTRY].place is not None
    html = await asyncio.to_thread(drawing.page, now=datetime.now(UTC), version=__version__, has_database=has_database)
    return _answer(html, "text/html")


@public
async def page_or_hello(request: web.Request) -> web.StreamResponse:
    """HEAD of `/`: the page's head for those who may see the page; for all others, who only look, `hello`."""
    try:
        return await page(request)
    except Refusal:
        return await hello(request)


@public
async def static(request: web.Request) -> web.Response:
    """`/static/{name}`: one of the page's files, from memory. There is no directory behind it."""
    request.app[PAGE].access.let_in(request)
    name = request.match_info["name"]
    if name not in _FILES:
        raise Refusal(errors.NO_SUCH_PATH)
    return _answer(_content(name), _FILES[name])


@cache
def _content(name: str) -> bytes:
    from importlib.resources import files  # what it imports in turn would be 2 ms of a start

    return files("gateway.server.handlers").joinpath("static", name).read_bytes()


def feed_of(request: web.Request) -> Feed:
    """The page under the URL at which it is asked for."""
    app, page = request.app, request.app[PAGE]
    base_url = base_url_of(request, page.clients_port)
    return page.feed(base_url, lambda: _facts(app, base_url))


def _facts(app: web.Application, base_url: str) -> "Facts":
    from gateway.server.handlers import dashboard_view
    from gateway.server.handlers.dashboard_drawing import Facts

    registry, readiness, access = app[REGISTRY], app[READINESS], app[ACCESS]
    summary = partial(
        dashboard_view.summary,
        under_way=app[RELAY].under_way,
        refused=sum(access.metrics.refusals.values()),
        started=app[PAGE].started,
        draining=app[RELAY].draining,
        worker=_worker(app[WORKER_GROUP]),
    )
    return Facts(
        registry.snapshot.deployments,
        lambda deployment: (readiness.status(deployment), readiness.health(deployment.id)),
        summary,
        registry.problem,
        tuple(access.refused),
        base_url,
        app[PAGE].access.is_local,
    )


def _worker(group: WorkerGroup) -> str:
    return f"{group.number + 1} of {group.size}" if group.size > 1 else ""


def _answer(body: bytes, content_type: str) -> web.Response:
    return web.Response(body=body, content_type=content_type, charset="utf-8", headers=HEADERS)
