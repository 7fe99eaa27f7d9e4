"""What the admin API makes of requests that nobody sends by intention: each is one sentence, and changes nothing."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.harness.pages.team_pages import Team, team_serving
from tests.unit.gateway.team.admin_client import AdminClient, Reply, a_token, admin_client

pytestmark = pytest.mark.asyncio(loop_scope="module")
_ERRORS = {"error", "errors"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def team(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Team]:
    """One for all of them: what is refused changes nothing."""
    async with team_serving(tmp_path_factory.mktemp("team"), "acme", "beta") as team:
        yield team


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin(team: Team) -> AsyncIterator[AdminClient]:
    async with admin_client(team) as client:
        yield client


async def a_key(admin: AdminClient, name: str) -> Any:
    return (await admin.ask("POST", "/keys", {"account": "acme", "name": name})).json


def says_one_sentence(reply: Reply) -> bool:
    return (
        set(reply.json) <= _ERRORS
        and set(reply.json["error"]) == {"type", "message"}
        and b"Traceback" not in reply.body
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 422),
        (b"not JSON", 422),
        (b"\xff\xfe", 422),
        (b"[]", 422),
        (b"null", 422),
        (b'"acme"', 422),
        (b'{"id": "new", "id": "other"}', 422),
        (b'{"id": "new", "unknown": 1}', 422),
        (b'{"id": "n\\u0000w"}', 422),
        (b'{"id": "\\ud800"}', 422),
        (b'{"id": 1e999}', 422),
        (b'{"id": ' + b"9" * 5000 + b"}", 422),
        (b'{"id": NaN}', 422),
        (b'{"id": ["new"]}', 422),
        (b'{"id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 422),
        (b'{"id": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}", 422),
        (b'{"id": "' + b"x" * 10_000_000 + b'"}', 413),
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_a_body_that_cannot_be_is_refused(admin: AdminClient, body: bytes, status: int) -> None:
    reply = await admin.ask("POST", "/accounts", body)
    assert reply.status == status
    assert says_one_sentence(reply)
    assert [one["id"] for one in (await admin.ask("GET", "/accounts")).json["items"]] == ["acme", "beta"]


@pytest.mark.parametrize(
    "body",
    [b"{" + b",".join(b'"%x": 1' % number for number in range(3000)) + b"}", b'{"id": [1' + b", 1" * 3000 + b"]}"],
    ids=["fields", "a list"],
)
async def test_not_each_mistake_of_thousands_is_named(admin: AdminClient, body: bytes) -> None:
    reply = await admin.ask("POST", "/accounts", body)
    assert (reply.status, reply.json["errors"]) == (422, [])
    assert says_one_sentence(reply)


async def test_a_hundred_mistakes_of_a_request_are_named(admin: AdminClient) -> None:
    body = b"{" + b",".join(b'"%d": 1' % number for number in range(1500)) + b"}"
    reply = await admin.ask("POST", "/accounts", body)
    assert (reply.status, len(reply.json["errors"])) == (422, 100)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/json" + ";" * 300, ""]
)
async def test_a_body_of_another_type_is_a_415(admin: AdminClient, kind: str) -> None:
    reply = await admin.ask("POST", "/accounts", b'{"id": "new"}', Content_Type=kind)
    assert reply.status == 415
    assert says_one_sentence(reply)


async def test_a_field_named_twice_is_named(admin: AdminClient) -> None:
    reply = await admin.ask("POST", "/keys", b'{"account": "acme", "name": "a", "account": "beta"}')
    assert reply.json["errors"] == [{"field": "account", "message": "is named twice"}]


@pytest.mark.parametrize(
    "values",
    [
        [2**70, "key_0"],
        ["2026-01-01T00:00:00+00:00", "\ud800"],
        ["2026-01-01T00:00:00", "key_0"],
        ["9999-12-31T23:59:59-23:59", "key_0"],
        ["2026-01-01T00:00:00+00:00", None],
        ["2026-01-01T00:00:00+00:00"],
        {"created_at": 1},
        None,
    ],
    ids=repr,
)
async def test_a_forged_cursor_is_refused(admin: AdminClient, values: object) -> None:
    for path in ("/keys", "/invitations"):
        forged = base64.urlsafe_b64encode(json.dumps(values).encode()).decode()
        reply = await admin.ask("GET", f"{path}?cursor={forged}")
        assert (reply.status, reply.json["errors"][0]["field"]) == (422, "cursor")


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**200, 1.5, True], ids=repr)
async def test_a_cursor_beyond_all_rows_is_refused(admin: AdminClient, number: float) -> None:
    forged = base64.urlsafe_b64encode(json.dumps([number]).encode()).decode()
    assert (await admin.ask("GET", f"/audit?cursor={forged}")).status == 422


@pytest.mark.parametrize("text", ["!", "%00", "x" * 2001, "%ff", "W10", "\N{SNOWMAN}"])
async def test_a_cursor_that_is_no_base64_is_refused(admin: AdminClient, text: str) -> None:
    assert (await admin.ask("GET", f"/keys?cursor={text}")).status == 422


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit=1&limit=2", "limit=9999999999", "x=1"])
async def test_a_query_that_cannot_be_is_refused(admin: AdminClient, query: str) -> None:
    reply = await admin.ask("GET", f"/keys?{query}")
    assert reply.status == 422
    assert says_one_sentence(reply)


@pytest.mark.parametrize("search", ["%00", "%25", "_", "%ED%A0%80", "%F0%9F%98%80", "'%20OR%201=1%20--", "%5C"])
async def test_a_search_finds_only_what_it_says(admin: AdminClient, search: str) -> None:
    await a_key(admin, "laptop")
    reply = await admin.ask("GET", f"/keys?search={search}")
    assert (reply.status, bool(reply.json["items"])) == (200, search == "_")  # which all keys begin with, after `gw`


@pytest.mark.parametrize("name", ["%00", "%ED%A0%80", "..%2F..", "%20", "x" * 65, "%E2%80%AE", "'--"])
async def test_an_id_that_cannot_be_is_missing(admin: AdminClient, team: Team, name: str) -> None:
    for method, path in (("GET", "/keys/{}"), ("GET", "/people/{}"), ("DELETE", "/accounts/{}"), ("PATCH", "/keys/{}")):
        body = b"{}" if method == "PATCH" else None
        reply = await admin.ask(method, path.format(name), body)
        assert reply.status == 404
        assert says_one_sentence(reply)


@pytest.mark.parametrize("field", [{"enabled": 0}, {"enabled": "no"}, {"expires_at": 0}, {"name": 1}, {"name": None}])
async def test_a_field_of_another_type_is_refused(admin: AdminClient, field: dict[str, object]) -> None:
    key = await a_key(admin, f"set {field}")
    reply = await admin.ask("PATCH", f"/keys/{key['id']}", field)
    assert (reply.status, reply.json["errors"][0]["field"]) == (422, next(iter(field)))
    assert (await admin.ask("GET", f"/keys/{key['id']}")).json["version"] == key["version"]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", 1, "must be text"),
        ("name", None, "must not be null"),
        ("deployments", "demo", "must be a list"),
        ("deployments", [], "must not be empty"),
        (
            "networks",
            ["10.0.0.0/99"],
            "is neither an address nor a network like 10.0.0.0/8, with no bit beyond its prefix",
        ),
        ("network", "::1", "unknown field; did you mean `networks`?"),
    ],
)
async def test_a_mistake_is_told_once_in_words_of_json(
    admin: AdminClient, field: str, value: object, said: str
) -> None:
    reply = await admin.ask("POST", "/keys", {"account": "acme", "name": "told", field: value})
    assert [one["message"] for one in reply.json["errors"]] == [said]
    limits = await admin.ask(
        "POST", "/deployments", {"id": "a", "account": "acme", "upstream": "http://a", "limits": 1}
    )
    assert limits.json["errors"] == [{"field": "limits", "message": "must be an object"}]


async def test_a_missing_scope_is_told_before_a_mistake(admin: AdminClient, team: Team) -> None:
    reader = admin.by_token(await a_token(team, "keys:read"))
    for body in (b"{", b"{}", b'{"bogus": 1}'):
        reply = await reader.ask("POST", "/keys", body)
        assert reply.status == 403
        assert 'error="insufficient_scope", scope="keys:write"' in reply.headers["WWW-Authenticate"]


async def test_an_account_named_twice_is_one_of_an_invitation(admin: AdminClient) -> None:
    reply = await admin.ask("POST", "/invitations", {"name": "twice", "accounts": ["beta", "acme", "beta"]})
    assert reply.json["accounts"] == ["beta", "acme"]


@pytest.mark.parametrize("grace", [True, "60", "PT1H", 1.5, -1, 1e300, 10**30])
async def test_a_grace_is_a_whole_number_of_seconds(admin: AdminClient, grace: object) -> None:
    key = await a_key(admin, f"rotated after {grace}")
    reply = await admin.ask("POST", f"/keys/{key['id']}/rotate", {"grace_seconds": grace})
    assert (reply.status, reply.json["errors"][0]["field"]) == (422, "grace_seconds")
