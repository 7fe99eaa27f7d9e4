"""Every route but the proxied endpoints, which `endpoints` lists. A handler is private unless marked `public`."""

from aiohttp import hdrs, web

from gateway.server.handlers.dashboard import events, page, page_or_hello, static
from gateway.server.handlers.metrics_endpoint import scrape
from gateway.server.handlers.probes import alive, hello, ready
from gateway.server.handlers.proxied_endpoints import not_proxied

ANY = hdrs.METH_ANY
_READ = {
    "/healthz": alive,
    "/readyz": ready,
    "/metrics": scrape,
    "/events": events,
    "/static/{name}": static,
    "/api/gguf/{deployment_id}/api/hello": hello,
}


def add_routes(app: web.Application) -> None:
    """Fill the router. The order matters: the first match answers."""
    route = app.router.add_route
    for path, handler in _READ.items():
        route("GET", path, handler)
        route("HEAD", path, handler)
    route("GET", "/", page)
    route("HEAD", "/", page_or_hello)
    route("HEAD", "/api/gguf/{deployment_id}", hello)
    route(ANY, "/api/gguf/{rest:(?s:.*)}", not_proxied)  # (?s: an escaped line feed, too, is answered by it
