"""Names that are there once: of a person, and of a valid key in its account."""

import pytest

from tests.harness.pages.team_pages import Team
from tests.unit.gateway.team.admin_client import AdminClient


@pytest.mark.parametrize("name", ["Ärger", "ärger"])
async def test_a_persons_name_is_taken_in_every_alphabet(admin: AdminClient, team: Team, name: str) -> None:
    await team.person("Ärger")
    await team.person("ben")
    ben = (await admin.ask("GET", "/people?search=ben")).json["items"][0]
    for method, path in (("POST", "/invitations"), ("PATCH", f"/people/{ben['id']}")):
        reply = await admin.ask(method, path, {"name": name})
        assert reply.status == 409
        assert reply.json["error"]["message"] == f"There is somebody called {name!r} already. Choose another name."


async def test_a_key_that_works_again_needs_its_name(admin: AdminClient) -> None:
    old = (await admin.ask("POST", "/keys", {"account": "acme", "name": "laptop"})).json["id"]
    successor = (await admin.ask("POST", f"/keys/{old}/rotate", {"grace_seconds": 0})).json["id"]
    again = await admin.ask("PATCH", f"/keys/{old}", {"expires_at": None})
    assert again.status == 409
    assert f"Account acme has a valid key 'laptop' already, {successor}" in again.json["error"]["message"]
    assert (await admin.ask("PATCH", f"/keys/{old}", {"networks": ["::1"]})).status == 200
    assert (await admin.ask("PATCH", f"/keys/{old}", {"expires_at": None, "name": "desk"})).json["state"] == "valid"
