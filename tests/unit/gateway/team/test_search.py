"""What a search in a list finds: capital letters of any script count as small ones, and nothing else does."""

import pytest
from yarl import URL

from gateway.team.models.keys import NewKey
from tests.harness.pages.team_pages import Team
from tests.unit.gateway.team.admin_client import AdminClient


async def found(admin: AdminClient, path: str, search: str) -> list[str]:
    reply = await admin.ask("GET", str(URL(path).with_query(search=search)))
    assert reply.status == 200
    return [one.get("name", one["id"]) for one in reply.json["items"]]


@pytest.mark.parametrize(
    ("name", "search"),
    [
        ("Ägidius Öz", "ägidius ö"),
        ("straße", "STRASSE"),
        ("ΟΔΟΣ", "οδοσ"),
        ("Жук", "ЖУК"),
        ("Jürgen 50%_", "ÜRGEN 50%_"),
    ],
)
async def test_capitals_of_any_script_are_found_as_small_ones(
    team: Team, admin: AdminClient, name: str, search: str
) -> None:
    for one in (name, "other"):
        await team.do("keys.create", asked=NewKey(account="acme", name=one))
        await team.person(one)
    assert [await found(admin, path, search) for path in ("/keys", "/people")] == [[name], [name]]


@pytest.mark.parametrize("path", ["/keys", "/people", "/deployments"])
async def test_a_search_for_what_no_name_has_finds_nothing(team: Team, admin: AdminClient, path: str) -> None:
    await team.do("keys.create", asked=NewKey(account="acme", name="laptop"))
    await team.person("ada")
    await admin.ask("POST", "/deployments", {"id": "one", "account": "acme", "upstream": "http://127.0.0.1:9"})
    assert await found(admin, path, "\0") == []
