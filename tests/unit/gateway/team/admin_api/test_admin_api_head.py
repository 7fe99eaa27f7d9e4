"""HEAD is answered wherever GET is: as GET, without the body."""

import pytest

from tests.harness.pages.team_pages import Team
from tests.unit.gateway.team.admin_client import AdminClient, Reply, a_token


def fields(reply: Reply) -> dict[str, str]:
    return {name: text for name, text in reply.headers.items() if name != "Date"}


@pytest.mark.parametrize("path", ["/accounts", "/usage", "/openapi.json", "/keys/none", "/keys?limit=x", "/none"])
async def test_head_is_answered_as_get_without_the_body(admin: AdminClient, path: str) -> None:
    whole, head = [await admin.ask(method, path, X_Request_Id="both") for method in ("GET", "HEAD")]
    assert (head.status, fields(head), head.body) == (whole.status, fields(whole), b"")


async def test_head_wants_the_scope_of_get(team: Team, admin: AdminClient) -> None:
    narrow = admin.by_token(await a_token(team, "keys:read"))
    found = [(await narrow.ask("HEAD", path)).status for path in ("/keys", "/accounts", "/events")]
    assert found == [200, 403, 403]
    assert (await admin.by().ask("HEAD", "/keys")).status == 401


async def test_head_of_the_events_ends_with_its_head(admin: AdminClient) -> None:
    reply = await admin.ask("HEAD", "/events")
    assert (reply.status, reply.headers["Content-Type"], reply.body) == (200, "text/event-stream", b"")


async def test_a_wrong_method_is_told_of_head_beside_get(admin: AdminClient) -> None:
    found = [(await admin.ask("PUT", path)).headers["Allow"] for path in ("/accounts", "/events", "/keys/key_0/rotate")]
    assert found == ["GET, HEAD, POST", "GET, HEAD", "POST"]
    assert (await admin.ask("HEAD", "/keys/key_0/rotate")).status == 405
