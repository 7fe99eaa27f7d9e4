"""The status page: the page itself, what keeps it live, and its few files. All of it is for reading only."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import fields
from datetime import UTC, datetime
from importlib import import_module
from importlib.resources import files
from time import monotonic
from types import MappingProxyType

from aiohttp import hdrs, web

from gateway import __version__
from gateway.config.settings import Server
from gateway.core import errors
from gateway.core.errors import Refusal
from gateway.core.exchange import EXCHANGE
from gateway.core.notifier import Notifier
from gateway.core.worker_group import WORKER_GROUP, WorkerGroup
from gateway.proxy.relay import RELAY
from gateway.proxy.upstream.readiness import READINESS
from gateway.server.admission import REGISTRY
from gateway.server.handlers import dashboard_view
from gateway.server.handlers.authentication import public
from gateway.server.handlers.dashboard_view import View
from gateway.server.handlers.operator_access import OperatorAccess
from gateway.server.handlers.probes import hello
from gateway.telemetry.access_log import ACCESS

_LEAST_SECONDS = 0.25  # between two updates: the changes meanwhile are sent together
_GLANCE_SECONDS = 1.0  # between two looks at what notifies nobody: how many requests are under way
_KEEPALIVE_SECONDS = 15.0

_FILES = {"status.css": "text/css", "status.js": "text/javascript", "favicon.svg": "image/svg+xml"}
_HEADERS = MappingProxyType(
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
        folder = files("gateway.server.handlers") / "static"
        self.files = {name: (folder / name).read_bytes() for name in _FILES}
        self._watchers: set[asyncio.Timeout] = set()
        self._closed = False

    @asynccontextmanager
    async def until_closed(self) -> AsyncIterator[None]:
        """Cancel the block when the gateway shuts down, wherever it is waiting then."""
        try:
            async with asyncio.timeout(0 if self._closed else None) as limit:
                self._watchers.add(limit)
                yield
        except TimeoutError:
            return
        finally:
            self._watchers.discard(limit)

    async def close(self, _app: web.Application) -> None:
        """Disconnect everybody who watches."""
        self._closed = True
        for limit in self._watchers:
            limit.reschedule(0)


PAGE = web.AppKey("status_page", StatusPage)


def set_up(app: web.Application, server: Server, notifier: Notifier) -> None:
    """Prepare the page's files. Its routes are in `routes`; its templates are loaded on first use."""
    app[PAGE] = StatusPage(server, notifier)
    app.on_shutdown.append(app[PAGE].close)


@public
async def page(request: web.Request) -> web.Response:
    """`/`: how things stand, complete without the script."""
    request.app[PAGE].access.let_in(request)
    rendered = await _rendered()
    html = rendered("status.html", view=_look(request), now=datetime.now(UTC), version=__version__)
    return _answer(html.encode("utf-8", "replace"), "text/html")


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
    status_page = request.app[PAGE]
    status_page.access.let_in(request)
    name = request.match_info["name"]
    if name not in status_page.files:
        raise Refusal(errors.NO_SUCH_PATH)
    return _answer(status_page.files[name], _FILES[name])


@public
async def events(request: web.Request) -> web.StreamResponse:
    """`/events`: each part of the page as a JSON string of HTML, once at first and again whenever it has changed."""
    status_page = request.app[PAGE]
    status_page.access.let_in(request)
    response = web.StreamResponse(headers={**_HEADERS, hdrs.CONTENT_TYPE: "text/event-stream"})
    if request.method == hdrs.METH_HEAD:
        return response
    async with status_page.until_closed():
        await response.prepare(request)
        request[EXCHANGE].first_byte_at = monotonic()
        await _keep_telling(request, response)
    return response


async def _keep_telling(request: web.Request, response: web.StreamResponse) -> None:
    notifier, rendered = request.app[PAGE].notifier, await _rendered()
    told, told_at = None, monotonic()
    await _write(request, response, b"retry: 1000\n\n")
    while True:
        view = _look(request)
        news = _news(rendered, told, view)
        if not news and monotonic() - told_at >= _KEEPALIVE_SECONDS:
            news = b": still here\n\n"
        if news:
            told, told_at = view, monotonic()
            await _write(request, response, news)
        try:
            async with asyncio.timeout(_GLANCE_SECONDS):
                await notifier.wait()
        except TimeoutError:
            continue
        await asyncio.sleep(told_at + _LEAST_SECONDS - monotonic())  # does not wait if this is negative


async def _write(request: web.Request, response: web.StreamResponse, data: bytes) -> None:
    await response.write(data)
    request[EXCHANGE].bytes_out += len(data)


async def _rendered() -> Callable[..., str]:
    templates = await asyncio.to_thread(import_module, "gateway.server.handlers.template_rendering")
    render: Callable[..., str] = templates.rendered
    return render


def _news(rendered: Callable[..., str], told: View | None, view: View) -> bytes:
    """The events for the parts of the page that differ from what was sent."""
    news = b""
    for part in (field.name for field in fields(View)):
        if told is None or getattr(told, part) != getattr(view, part):
            html = rendered(f"status_{part}.html", view=view)
            news += b"event: part\ndata: %b\n\n" % json.dumps(html).encode()
    return news


def _look(request: web.Request) -> View:
    app = request.app
    registry, readiness, access = app[REGISTRY], app[READINESS], app[ACCESS]
    origin, is_local = _origin(request), app[PAGE].access.is_local
    cards = tuple(
        dashboard_view.card(one, readiness.status(one), readiness.health(id_), origin, show_upstream=is_local)
        for id_, one in sorted(registry.snapshot.deployments.items())
    )
    return View(
        summary=dashboard_view.summary(
            cards,
            under_way=app[RELAY].under_way,
            refused=sum(access.metrics.others.refusals.values()),
            started=app[PAGE].started,
            draining=app[RELAY].draining,
            worker=_worker(app[WORKER_GROUP]),
        ),
        problem=registry.problem,
        deployments=cards,
        refusals=tuple(dashboard_view.rows(access.refused)),
    )


def _worker(group: WorkerGroup) -> str:
    return f"{group.number + 1} of {group.size}" if group.size > 1 else ""


def _origin(request: web.Request) -> str:
    """Where the viewer reached the gateway, and so where its clients can. The header only changes what is shown."""
    behind_tls = request.headers.get("X-Forwarded-Proto", "").lower() == "https"
    return f"{'https' if behind_tls else request.scheme}://{request.host}"


def _answer(body: bytes, content_type: str) -> web.Response:
    return web.Response(body=body, content_type=content_type, charset="utf-8", headers=_HEADERS)
