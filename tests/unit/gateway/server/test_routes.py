"""Who may call what: taken from the router itself, so that a new route without a rule fails here."""

from pathlib import Path

from gateway.config.settings import Server
from gateway.registry.yaml_file import YamlRegistry
from gateway.server.app import create_app
from gateway.server.handlers.authentication import is_public

READ = (
    "/healthz",
    "/readyz",
    "/metrics",  # on loopback only, like the status page
    "/",
    "/events",
    "/static/{name}",
    "/api/gguf/{deployment_id}/api/hello",
)
BASES = ("/api/gguf/{deployment_id}", "/api/gguf/{deployment_id}/v1")
PUBLIC = {f"{method} {path}" for path in READ for method in ("GET", "HEAD")} | {
    f"HEAD {base}{slash}" for base in BASES for slash in ("", "/")
}


def test_only_these_routes_serve_anybody(tmp_path: Path) -> None:
    app = create_app(Server(), YamlRegistry(tmp_path / "gateway.yaml"))
    routes = {
        f"{route.method} {route.resource.canonical}": is_public(route.handler)
        for route in app.router.routes()
        if route.resource is not None
    }
    assert {name for name, public in routes.items() if public} == PUBLIC
    health = {f"{method} {base}/health" for method in ("GET", "HEAD") for base in BASES}
    assert {name for name, public in routes.items() if not public} == {"* /api/gguf/{rest}", *health}
