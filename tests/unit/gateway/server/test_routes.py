"""Who may call what: taken from the router itself, so that a new route without a rule fails here."""

from pathlib import Path

from gateway.config.server_settings import Server
from gateway.registry.yaml_file import YamlRegistry
from gateway.server.app import create_app
from gateway.server.handlers.authentication import does_authenticate_itself, is_public
from gateway.server.pages.routes import ROUTES as PAGES

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
ASKING = {"* /api/admin/v1/{path}"} | {
    f"{asked} {path}" for method, path, _ in PAGES for asked in ((method, "HEAD") if method == "GET" else (method,))
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
    private = {name for name, public in routes.items() if not public}
    assert private - ASKING == {"* /api/gguf/{rest}", *health}
    assert private >= ASKING


def test_only_the_teams_routes_ask_for_a_session_or_a_token_themselves(tmp_path: Path) -> None:
    app = create_app(Server(), YamlRegistry(tmp_path / "gateway.yaml"))
    found = {
        f"{route.method} {route.resource.canonical}"
        for route in app.router.routes()
        if route.resource is not None and does_authenticate_itself(route.handler)
    }
    assert found == ASKING
