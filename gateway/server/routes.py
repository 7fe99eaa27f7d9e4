"""Every route but the proxied endpoints, which `endpoints` lists. A handler is private unless marked `public`."""

from aiohttp import hdrs, web

from gateway.server.handlers.dashboard import events, page, static
from gateway.server.handlers.metrics_endpoint import scrape
from gateway.server.handlers.probes import alive, hello, ready
from gateway.server.handlers.proxied_endpoints import health, not_proxied

ANY = hdrs.METH_ANY


def add_routes(app: web.Application) -> None:
    """Fill the router. The order matters: the first match answers."""
    route = app.router.add_route
    route("GET", "/healthz", alive)
    route("GET", "/readyz", ready)
    route("GET", "/metrics", scrape)
    route("GET", "/", page)
    route("HEAD", "/", hello)
    route("GET", "/events", events)
    route("GET", "/static/{name}", static)
    for base in ("/api/gguf/{deployment_id}", "/api/gguf/{deployment_id}/v1"):
        route("GET", f"{base}/health", health)
        route("HEAD", base, hello)
        route("HEAD", f"{base}/", hello)
    route("HEAD", "/api/gguf/{deployment_id}/api/hello", hello)
    route("GET", "/api/gguf/{deployment_id}/api/hello", hello)
    route(ANY, "/api/gguf/{rest:(?s:.*)}", not_proxied)  # (?s: an escaped line feed, too, is answered by it
