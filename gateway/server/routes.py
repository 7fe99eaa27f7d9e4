"""Every route but the proxied endpoints, which `endpoints` lists. A handler is private unless marked `public`."""

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.server.admin_api.routes import add_admin_api
from gateway.server.handlers.authentication import public
from gateway.server.handlers.dashboard import page_or_hello, static
from gateway.server.handlers.metrics_endpoint import scrape
from gateway.server.handlers.probes import alive, hello, nothing, ready
from gateway.server.handlers.proxied_endpoints import health, not_proxied
from gateway.server.loaded_when_asked import loaded_when_asked
from gateway.server.pages.routes import add_pages

ANY = hdrs.METH_ANY


def add_routes(app: web.Application, *, with_operator: bool) -> None:
    """Fill the gateway's router; `with_operator`: with the operator's pages, too."""
    route = app.router.add_route
    add_probes(app)
    if with_operator:
        add_operator_routes(app)
    else:
        route("HEAD", "/", hello)
        route(ANY, "/", nothing)
    for base in ("/api/gguf/{deployment_id}", "/api/gguf/{deployment_id}/v1"):
        _read(app, f"{base}/health", health)
        route("HEAD", base, hello)
        route("HEAD", f"{base}/", hello)
    _read(app, "/api/gguf/{deployment_id}/api/hello", hello)
    route(ANY, "/api/gguf/{rest:(?s:.*)}", not_proxied)  # (?s: an escaped line feed, too, is answered by it


def add_probes(app: web.Application) -> None:
    """Add what load balancers and supervisors ask for."""
    _read(app, "/healthz", alive)
    _read(app, "/readyz", ready)


def add_operator_routes(app: web.Application) -> None:
    """Add what is for the operator alone, on the gateway's port or on one of its own."""
    _read(app, "/metrics", scrape)
    app.router.add_route("GET", "/", public(loaded_when_asked("gateway.server.pages.front_page", "front_page")))
    app.router.add_route("HEAD", "/", page_or_hello)
    _read(app, "/events", public(loaded_when_asked("gateway.server.handlers.dashboard_events", "events")))
    _read(app, "/static/{name}", static)
    add_admin_api(app)
    add_pages(app)


def _read(app: web.Application, path: str, handler: Handler) -> None:
    app.router.add_route("GET", path, handler)
    app.router.add_route("HEAD", path, handler)
