"""The mock serves whatever the gateway proxies, and says what a text model says where it cannot do it."""

from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.core.endpoints import ENDPOINTS
from mockserver import BackgroundMock
from mockserver.server.routes import ROUTES


def test_the_mock_has_every_endpoint_that_the_gateway_proxies() -> None:
    there = {(method, path) for method, path, _ in ROUTES}
    asked = {(endpoint.method, endpoint.upstream_path or endpoint.path) for endpoint in ENDPOINTS.values()}
    assert asked - there == set()


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/v1/systemone", {"questions": []}, 501, "This model is not a decision model"),
        ("/v1/chat/completions/control", {"action": "reasoning_end"}, 400, "missing completion id"),
        ("/v1/chat/completions/control", {"id": "x", "action": "stop"}, 400, "unknown control action"),
        ("/v1/chat/completions/control", {"id": "x", "action": "reasoning_end"}, 200, "no active completion"),
    ],
)
async def test_what_it_cannot_do_is_refused_in_llama_servers_words(
    mock_llama_server: BackgroundMock, path: str, body: dict[str, Any], status: int, said: str
) -> None:
    async with ClientSession() as session, session.post(mock_llama_server.url + path, json=body) as answer:
        assert answer.status == status
        assert said in await answer.text()
