"""Sign-in by OpenID Connect, from the button to the first page."""

import asyncio
import logging
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from gateway.team.models.audit import AuditQuery
from gateway.team.models.common import PageQuery
from gateway.team.models.people import NewInvitation, PersonQuery
from gateway.team.signing_in.oidc import provider_client
from tests.harness.pages.scripted_provider import (
    CLIENT_SECRET,
    ScriptedProvider,
    browsing,
    callback_url,
    oidc_settings,
    query_of,
)
from tests.harness.pages.team_pages import COOKIE, Team, team_serving


async def test_somebody_of_a_domain_signs_in_and_comes_where_they_wanted(
    team: Team, browser: aiohttp.ClientSession
) -> None:
    back = await callback_url(browser, team.url, "?next=/keys")
    async with browser.get(back, allow_redirects=False) as done:
        assert (done.status, done.headers["Location"]) == (303, "/keys")
        assert done.cookies[COOKIE]["httponly"]
        assert done.cookies[COOKIE]["samesite"] == "Lax"
    async with browser.get(team.url + "/keys") as page:
        assert page.status == 200
        assert "Ada" in await page.text()
    (ada,) = (await team.do("people.list", asked=PersonQuery())).items
    assert (ada.name, ada.email, ada.role, ada.accounts) == ("Ada", "ada@example.org", "member", ("acme",))
    rows = (await team.do("audit.list", asked=AuditQuery())).items
    assert {"people.create", "people.sign_in"} <= {row.action for row in rows if row.target == ada.id}


async def test_of_two_windows_the_later_signs_in_and_the_other_is_in(
    team: Team, browser: aiohttp.ClientSession
) -> None:
    first, second = await callback_url(browser, team.url), await callback_url(browser, team.url)
    async with browser.get(first) as refused:
        assert (refused.status, "belongs to another sign-in" in await refused.text()) == (403, True)
    async with browser.get(second, allow_redirects=False) as done:
        assert (done.status, done.headers["Location"]) == (303, "/deployments")
    async with browser.get(first, allow_redirects=False) as reloaded:
        assert (reloaded.status, reloaded.headers["Location"]) == (303, "/deployments")


async def test_a_second_sign_in_finds_the_same_person_by_their_subject(
    team: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession
) -> None:
    for email in ("ada@example.org", "lovelace@elsewhere.example"):
        provider.who |= {"email": email}
        async with browser.get(await callback_url(browser, team.url), allow_redirects=False) as done:
            assert done.status == 303
    assert len((await team.do("people.list", asked=PersonQuery())).items) == 1


async def test_the_request_has_all_that_the_flow_needs(team: Team, browser: aiohttp.ClientSession) -> None:
    async with browser.get(f"{team.url}/sign-in/oidc", allow_redirects=False) as begun:
        asked, cookie = query_of(begun.headers["Location"]), begun.cookies["gateway_attempt"]
    assert (asked["response_type"], asked["scope"]) == ("code", "openid email profile")
    assert asked["redirect_uri"] == f"{team.url}/sign-in/oidc/callback"
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]} - set(cookie.value)) == 3
    assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "Lax", "600")


async def test_behind_tls_the_cookies_are_for_this_host_alone(team: Team, browser: aiohttp.ClientSession) -> None:
    headers = {"X-Forwarded-Proto": "https"}
    async with browser.get(f"{team.url}/sign-in/oidc", allow_redirects=False, headers=headers) as begun:
        assert query_of(begun.headers["Location"])["redirect_uri"].startswith("https://")
        assert begun.cookies["__Host-gateway_attempt"]["secure"]


@pytest.mark.slow
async def test_new_keys_of_the_provider_are_fetched_when_they_are_met(
    team: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession
) -> None:
    statuses = []
    for _ in range(3):
        async with browser.get(await callback_url(browser, team.url), allow_redirects=False) as done:
            statuses.append(done.status)
        provider.rotate()
    # Anew at once for the first key that is not known, and then not before half a minute has passed.
    assert statuses == [303, 303, 503]
    assert provider.asked.count("/jwks") == 2
    assert provider.asked.count("/.well-known/openid-configuration") == 1


async def test_email_and_groups_may_come_from_the_userinfo_endpoint(
    provider: ScriptedProvider, browser: aiohttp.ClientSession, tmp_path: Path
) -> None:
    provider.who, provider.userinfo = {"sub": "ada"}, {"sub": "ada", "realm": {"roles": ["ops"]}, "name": "Ada"}
    sign_in = oidc_settings(
        provider.issuer, groups={"ops": {"role": "admin", "accounts": ["acme"]}}, groups_claim="realm.roles"
    )
    async with team_serving(tmp_path, "acme", sign_in=sign_in) as team:
        async with browser.get(await callback_url(browser, team.url), allow_redirects=False) as done:
            assert done.status == 303
        (ada,) = (await team.do("people.list", asked=PersonQuery())).items
        assert (ada.name, ada.email, ada.role) == ("Ada", None, "admin")


async def test_userinfo_of_somebody_else_is_not_taken(
    provider: ScriptedProvider, browser: aiohttp.ClientSession, tmp_path: Path
) -> None:
    provider.userinfo = {"sub": "eve", "email": "ada@example.org", "email_verified": True}
    sign_in = oidc_settings(provider.issuer, domains={"example.org": {}})
    async with team_serving(tmp_path, sign_in=sign_in) as team:
        back = await callback_url(browser, team.url)
        async with browser.get(back, allow_redirects=False) as done:
            assert done.status == 403


async def test_a_provider_that_is_down_is_a_plain_page(
    team: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    async def failing(_request: web.Request) -> web.Response:
        return web.Response(status=500, text="CANARY <b>traceback</b>")

    provider.instead["/.well-known/openid-configuration"] = failing
    with caplog.at_level(logging.ERROR, "gateway.team"):
        async with browser.get(f"{team.url}/sign-in/oidc") as answer:
            assert answer.status == 503
            text = await answer.text()
    assert "The sign-in provider cannot be used right now. Try again in a moment." in text
    assert "CANARY" not in text + caplog.text
    del provider.instead["/.well-known/openid-configuration"]
    await callback_url(browser, team.url)


async def test_a_slow_provider_holds_nobody_for_ever(
    team: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        await over.wait()
        return web.Response()

    monkeypatch.setattr(provider_client, "PATIENCE", 0.2)
    provider.instead["/token"] = slow
    async with browser.get(await callback_url(browser, team.url)) as answer:
        assert answer.status == 503
    over.set()


async def test_what_settings_give_and_is_not_there_is_said_in_the_log(
    provider: ScriptedProvider, browser: aiohttp.ClientSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sign_in = oidc_settings(provider.issuer, domains={"example.org": {"accounts": ["acme", "gone"]}})
    async with team_serving(tmp_path, "acme", sign_in=sign_in) as team:
        async with browser.get(await callback_url(browser, team.url), allow_redirects=False) as done:
            assert done.status == 303
        (ada,) = (await team.do("people.list", asked=PersonQuery())).items
    assert ada.accounts == ("acme",)
    assert "the account gone, which there is not" in caplog.text


async def test_the_secret_is_in_no_page_and_no_log(
    provider: ScriptedProvider, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def refusing(_request: web.Request) -> web.Response:
        return web.json_response({"error": "invalid_client", "error_description": CLIENT_SECRET}, status=401)

    provider.instead["/token"] = refusing
    caplog.set_level(logging.DEBUG)
    async with team_serving(tmp_path, sign_in=oidc_settings(provider.issuer)) as team, browsing() as browser:
        back = await callback_url(browser, team.url)
        async with browser.get(back) as answer:
            text = await answer.text()
            assert answer.status == 503
    assert "client_secret" in caplog.text
    assert "CANARY" not in text + caplog.text


@pytest.mark.parametrize("password", [True, False])
async def test_the_page_shows_the_ways_that_there_are(
    provider: ScriptedProvider, browser: aiohttp.ClientSession, tmp_path: Path, password: bool
) -> None:
    sign_in = oidc_settings(provider.issuer, label="Example ID") | {"password": password}
    async with team_serving(tmp_path, sign_in=sign_in) as team:
        async with browser.get(team.url + "/sign-in?next=/keys") as answer:
            text = await answer.text()
        assert 'href="/sign-in/oidc?next=%2Fkeys">Sign in with <bdi>Example ID</bdi></a>' in text
        assert ('type="password"' in text) is password
        given, headers = {"name": "ada", "password": "a few good words"}, {"Origin": team.url}
        async with browser.post(team.url + "/sign-in", data=given, headers=headers) as answer:
            assert answer.status == (401 if password else 403)


async def test_without_a_provider_there_is_neither_button_nor_path(
    browser: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with team_serving(tmp_path) as team:
        async with browser.get(team.url + "/sign-in") as answer:
            assert "/sign-in/oidc" not in await answer.text()
        for path in ("/sign-in/oidc", "/sign-in/oidc/callback?code=a&state=b"):
            async with browser.get(team.url + path) as answer:
                assert answer.status == 404
        assert (await team.do("invitations.list", asked=PageQuery())).items == []


async def test_with_the_provider_alone_nobody_chooses_a_password(
    provider: ScriptedProvider, browser: aiohttp.ClientSession, tmp_path: Path
) -> None:
    sign_in = oidc_settings(provider.issuer, domains={"example.org": {}}) | {"password": False}
    async with team_serving(tmp_path, sign_in=sign_in) as team:
        made = await team.do("invitations.create", asked=NewInvitation(name="grace"))
        link = made.url if made.url.startswith("http") else team.url + made.url
        form, headers = {"password": "a few good words"}, {"Origin": team.url}
        async with browser.get(link) as page:
            text = await page.text()
            assert ("/sign-in/oidc?invitation=" in text, 'type="password"' in text) == (True, False)
        async with browser.post(link, data=form, headers=headers) as answer:
            assert answer.status == 403
        async with browser.get(await callback_url(browser, team.url, "?next=/me")) as page:
            text = await page.text()
            assert (page.status, 'type="password"' in text) == (200, False)
        again = {"password": "a few good words", "again": "a few good words"}
        async with browser.post(team.url + "/me/password", data=again, headers=headers) as answer:
            assert answer.status == 403
        (ada,) = (await team.do("people.list", asked=PersonQuery())).items
        assert not ada.has_password
