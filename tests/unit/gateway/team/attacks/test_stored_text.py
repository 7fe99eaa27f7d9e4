"""Names and secrets: no page takes the first for markup, and nothing but one answer shows the second."""

import logging
import re
from html import escape

import pytest
from sqlalchemy import select

from gateway.registry.database.team_tables import audit
from gateway.server.pages.routes import ROUTES
from tests.harness.pages.team_pages import Team
from tests.unit.gateway.team.admin_client import AdminClient, a_token

MARKUP = "<img src=x onerror=alert(1)>\"'&"
_PAGES = [path for method, path, _ in ROUTES if method == "GET" and "{" not in path]


async def pages_of(browser: AdminClient, *more: str) -> dict[str, bytes]:
    """What is shown on every page that needs no id, and on these."""
    found = {path: await browser.ask("GET", browser.url + path) for path in (*_PAGES, *more)}
    return {path: reply.body for path, reply in found.items() if "html" in reply.headers.get("Content-Type", "")}


async def test_no_name_is_taken_for_markup(team: Team, stranger: AdminClient) -> None:
    browser = stranger.by_session(await team.person(MARKUP, "admin", ["acme"]))
    made = [
        await browser.ask("POST", "/keys", {"account": "acme", "name": MARKUP}),
        await browser.ask("POST", "/tokens", {"name": MARKUP, "scopes": ["*"]}),
        await browser.ask("POST", "/invitations", {"name": MARKUP + "2"}),
    ]
    assert [reply.status for reply in made] == [201, 201, 201]
    pages = await pages_of(browser, f"/keys?search={MARKUP}", made[2].json["url"].removeprefix(team.url))
    assert len(pages) > 4
    assert [path for path, html in pages.items() if MARKUP.encode() in html or b"<img src=x" in html] == []
    assert any(
        escape(MARKUP).replace("&quot;", "&#34;").replace("&#x27;", "&#39;").encode() in one for one in pages.values()
    )


async def test_no_refused_text_is_taken_for_markup(team: Team, stranger: AdminClient) -> None:
    browser = stranger.by_session(await team.person("ada", "admin", ["acme"]))
    for path in (f"/keys/{MARKUP}/revoke", "/keys", "/sign-in", "/invitations/" + MARKUP):
        form = {"account": MARKUP, "name": MARKUP, "networks": MARKUP, "next": MARKUP, "password": MARKUP}
        async with browser.session.post(browser.url + path, data=form, headers=browser.headers) as answer:
            assert b"<img src=x" not in await answer.read()
    for method, path in (("GET", f"/deployments/{MARKUP}"), ("POST", "/accounts")):
        reply = await browser.ask(method, path, {"id": MARKUP} if method == "POST" else None)
        assert reply.headers["Content-Type"].startswith("application/json")
        assert reply.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.slow
async def test_a_secret_is_in_one_answer_and_nowhere_else(
    team: Team, stranger: AdminClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    session, token = await team.person("ada", "admin", ["acme"]), await a_token(team)
    browser, program = stranger.by_session(session), stranger.by_token(token)
    upstream = {"id": "one", "account": "acme", "upstream": "http://127.0.0.1:9", "upstream_key": "upstream-secret-1"}
    assert (await program.ask("POST", "/deployments", upstream)).status == 201
    changed = {"upstream_key": "upstream-secret-2"}
    assert (await program.ask("PATCH", "/deployments/one", changed)).status == 200
    key = (await program.ask("POST", "/keys", {"account": "acme", "name": "a"}, Idempotency_Key="one")).json
    secrets = [
        session,
        token,
        "upstream-secret-1",
        "upstream-secret-2",
        key["key"],
        (await program.ask("POST", f"/keys/{key['id']}/rotate", {})).json["key"],
        (await browser.ask("POST", "/tokens", {"name": "ci", "scopes": ["*"]})).json["token"],
        (await browser.ask("POST", "/invitations", {"name": "bob"})).json["url"].rpartition("/")[2],
    ]
    await stranger.ask("GET", f"{team.url}/invitations/{secrets[-1]}")
    await stranger.ask("GET", "/keys", None, Authorization=f"Basic {token}")
    await stranger.by_token(key["key"]).ask("GET", "/keys")
    shown = await pages_of(browser)
    lists = [await program.ask("GET", path) for path in ("/keys", "/tokens", "/invitations", "/deployments", "/audit")]
    async with team.database.connect() as connection:
        rows = repr((await connection.execute(select(audit))).all())
    places = [caplog.text, rows, *(html.decode() for html in shown.values()), *(one.body.decode() for one in lists)]
    assert [re.sub("[a-z0-9]{8}", "*", one) for one in secrets if any(one in text for text in places)] == []
