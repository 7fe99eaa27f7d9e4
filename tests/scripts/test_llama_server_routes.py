"""Every route of llama.cpp's llama-server is either proxied, or named as refused with its reason."""

import re

import pytest

from gateway.core.endpoints import ENDPOINTS, NEVER
from scripts.conforming import suite

# `ctx_http.get ("/health", ...)`, as tools/server/server.cpp registers them.
_ROUTE = re.compile(r'ctx_http\.(get|post|del|put|patch) *\( *"([^"]+)"')
_CALL = re.compile(r"ctx_http\.(?:get|post|del|put|patch) *\(")
_METHODS = {"get": "GET", "post": "POST", "del": "DELETE", "put": "PUT", "patch": "PATCH"}
_SERVED = {f"{endpoint.method} {endpoint.path}" for endpoint in ENDPOINTS.values()}


def routes(source: str) -> set[str]:
    """The routes in the text of server.cpp: method and path."""
    return {f"{_METHODS[found[1]]} {found[2]}" for found in _ROUTE.finditer(source)}


@pytest.mark.tools
@pytest.mark.timeout(600)
def test_every_route_of_llama_server_is_proxied_or_refused_with_a_reason() -> None:
    try:
        source = suite.fetch_routes().read_text(encoding="utf-8")
    except suite.SuiteError as error:
        pytest.skip(f"llama.cpp's routes were not read: {error}")
    found = routes(source)
    assert len(found) > 40
    assert len(_CALL.findall(source)) == len(_ROUTE.findall(source)), "a path that is not written out"
    assert found - _SERVED - set(NEVER) == set(), "add it to the table in gateway/core/endpoints.py, or to NEVER there"


def test_no_route_is_both_proxied_and_refused() -> None:
    assert _SERVED.isdisjoint(NEVER)
    assert all(re.fullmatch(r"[a-z].+[^.]", reason) for reason in NEVER.values())


def test_a_new_route_would_be_noticed() -> None:
    source = 'ctx_http.get ("/v1/new",   ex_wrapper(routes.get_new)); // x\n    ctx_http.del("/x", y);'
    assert routes(source) == {"GET /v1/new", "DELETE /x"}
