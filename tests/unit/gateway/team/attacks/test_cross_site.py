"""Pages of other sites, and what a browser that somebody is signed in with lets them do: nothing."""

import re

import pytest

from gateway.server.pages.routes import ROUTES
from gateway.team.operations.table import OPERATIONS
from tests.harness.pages.team_pages import COOKIE, Team
from tests.unit.gateway.team.admin_client import PREFIX, AdminClient

_PLACE = re.compile(r"\{[a-z_]+\}")
CHANGING = sorted(
    {(method, _PLACE.sub("one", path)) for method, path, _ in ROUTES if method != "GET"}
    | {(one.method, PREFIX + _PLACE.sub("one", one.path)) for one in OPERATIONS.values() if not one.is_read}
)
FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://["},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "cross-site"},
    {},
]


@pytest.mark.slow
async def test_no_change_is_made_for_a_page_of_another_site(team: Team, stranger: AdminClient) -> None:
    session = await team.person("ada")
    found = []
    for method, path in CHANGING:
        for headers in FOREIGN:
            browser = AdminClient(stranger.session, team.url, {"Cookie": f"{COOKIE}={session}", **headers})
            reply = await browser.ask(method, team.url + path)
            if reply.status != 403 or "Set-Cookie" in reply.headers or b"another site" not in reply.body:
                found.append((method, path, headers, reply.status))
    assert found == []
    assert (await stranger.by_session(session).ask("GET", "/people")).status == 200


async def test_a_page_of_the_gateways_own_may_ask(team: Team, stranger: AdminClient) -> None:
    session = await team.person("ada")
    own: list[dict[str, str]] = [{"Origin": team.url}, {"Sec-Fetch-Site": "same-origin"}]
    for number, headers in enumerate(own):
        browser = AdminClient(stranger.session, team.url, {"Cookie": f"{COOKIE}={session}", **headers})
        assert (await browser.ask("POST", "/accounts", {"id": f"new{number}"})).status == 201


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted({path for method, path, _ in ROUTES if method == "GET"}))
async def test_no_page_can_be_framed_or_run_anothers_script(team: Team, stranger: AdminClient, path: str) -> None:
    browser = stranger.by_session(await team.person("ada"))
    where = path.replace("{name}", "pages.css")
    reply = await browser.ask("GET", team.url + _PLACE.sub("one", where))
    if reply.headers.get("Content-Type", "").startswith("text/html") or reply.status == 303:
        policy = reply.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
    assert reply.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.slow
@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "https:evil.example",
        "javascript:alert(1)",
        "%2F%2Fevil.example",
        "/keys//evil.example",
        "/%09/evil.example",
        "/keys\r\nSet-Cookie: a=b",
        "\\\\evil.example",
        "///evil.example",
        "/.//evil.example",
        "evil.example",
    ],
)
async def test_a_sign_in_leads_to_no_other_site(team: Team, stranger: AdminClient, wanted: str) -> None:
    browser = stranger.by_session(await team.person("ada"))
    async with browser.session.get(
        team.url + "/sign-in", params={"next": wanted}, headers=browser.headers, allow_redirects=False
    ) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/deployments")


@pytest.mark.slow
@pytest.mark.parametrize(
    "host", ["evil.example/x", "evil.example//x", 'a"><script>', "a b", "user@evil.example", "a#b"]
)
async def test_a_host_that_is_none_makes_no_link(team: Team, stranger: AdminClient, host: str) -> None:
    reply = await stranger.ask("GET", team.url + "/keys", Host=host)
    assert reply.status == 400


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["//evil.example", "https://evil.example", "/a?b", '/"><script>', "/a\\b", "/%2f"])
async def test_a_hostile_prefix_is_left_out_of_links(team: Team, stranger: AdminClient, prefix: str) -> None:
    reply = await stranger.ask("GET", team.url + "/keys", X_Forwarded_Prefix=prefix, X_Forwarded_Host="evil.example")
    assert reply.headers["Location"].startswith("/sign-in?")
    browser = stranger.by_session(await team.person("ada"))
    asked = {"X_Forwarded_Prefix": prefix, "X_Forwarded_Host": "evil.example", "X_Forwarded_Proto": "javascript"}
    made = await browser.ask("POST", "/invitations", {"name": "bob"}, **asked)
    assert made.json["url"].startswith(f"{team.url}/invitations/gwi_")
