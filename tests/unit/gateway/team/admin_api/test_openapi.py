"""The description of the admin API, by itself."""

from typing import Any

import orjson
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.server.admin_api.openapi import description
from gateway.team.operations.table import OPERATIONS
from tests.harness.pages.team_pages import Team
from tests.unit.gateway.team.admin_client import AdminClient, a_token


def test_each_operation_is_described_with_its_scope() -> None:
    described = {
        said["operationId"]: said["x-required-scope"]
        for methods in description()["paths"].values()
        for said in methods.values()
    }
    assert described.pop("events.watch") == "events:read"
    assert described == {name: one.scope for name, one in OPERATIONS.items()}


async def test_each_header_of_an_answer_is_described(admin: AdminClient, team: Team) -> None:
    narrow, new = admin.by_token(await a_token(team, "audit:read")), {"account": "acme", "name": "laptop"}
    replies = [
        *[await admin.ask("POST", "/keys", new, Idempotency_Key="one") for _ in range(2)],
        await narrow.ask("POST", "/keys", new),
        await admin.by_token("gwa_none").ask("POST", "/keys", new),
    ]
    described = description()["paths"]["/keys"]["post"]["responses"]
    for name in ("ETag", "Idempotent-Replayed", "WWW-Authenticate"):
        with_it = {str(reply.status) for reply in replies if name in reply.headers}
        assert with_it == {status for status, said in described.items() if name in said.get("headers", {})}


def faults(said: dict[str, Any]) -> list[str]:
    """What the description does wrong. A `\\p{...}` is right, as in ECMA-262; Python's `re` lacks it."""
    found = [error.message for error in OpenAPIV31SpecValidator(said).iter_errors()]
    return [message for message in found if not (message.endswith("is not a 'regex'") and "\\p{" in message)]


@pytest.mark.slow
def test_the_description_is_what_openapi_3_1_allows() -> None:
    said = orjson.loads(orjson.dumps(description()))
    assert said["openapi"].startswith("3.1.")
    assert faults(said) == []
    said["paths"]["/keys"]["get"]["responses"] = []
    assert faults(said) != []
