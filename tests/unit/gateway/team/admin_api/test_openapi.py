"""The description of the admin API, by itself."""

from gateway.server.admin_api.openapi import description
from gateway.team.operations.table import OPERATIONS


def test_each_operation_is_described_with_its_scope() -> None:
    described = {
        said["operationId"]: said["x-required-scope"]
        for methods in description()["paths"].values()
        for said in methods.values()
    }
    assert described.pop("events.watch") == "events:read"
    assert described == {name: one.scope for name, one in OPERATIONS.items()}
