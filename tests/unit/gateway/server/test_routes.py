"""Who may call what: taken from the router itself, so that a new route without a rule fails here."""

from pathlib import Path

from gateway.config.settings import Server
from gateway.registry.yaml_file import YamlRegistry
from gateway.server.app import create_app
from gateway.server.handlers.authentication import is_public

PUBLIC = {
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",  # on loopback only, like the status page
    "GET /",
    "HEAD /",
    "GET /events",
    "GET /static/{name}",
    "HEAD /api/gguf/{deployment_id}",
    "HEAD /api/gguf/{deployment_id}/",
    "HEAD /api/gguf/{deployment_id}/v1",
    "HEAD /api/gguf/{deployment_id}/v1/",
    "HEAD /api/gguf/{deployment_id}/api/hello",
    "GET /api/gguf/{deployment_id}/api/hello",
}


def test_only_these_routes_serve_anybody(tmp_path: Path) -> None:
    app = create_app(Server(), YamlRegistry(tmp_path / "gateway.yaml"))
    routes = {
        f"{route.method} {route.resource.canonical}": is_public(route.handler)
        for route in app.router.routes()
        if route.resource is not None
    }
    assert {name for name, public in routes.items() if public} == PUBLIC
    assert {name for name, public in routes.items() if not public} == {
        "* /api/gguf/{rest}",
        "GET /api/gguf/{deployment_id}/health",
        "GET /api/gguf/{deployment_id}/v1/health",
    }
