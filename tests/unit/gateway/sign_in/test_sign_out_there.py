"""Signing out at the provider, too: RP-Initiated Logout 1.0."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from sqlalchemy import select
from yarl import URL

from gateway.registry.database.team_tables import sessions
from gateway.server.pages.signing_in import oidc
from gateway.team.models.people import NewInvitation
from tests.harness.pages.scripted_provider import (
    CLIENT_ID,
    Handler,
    ScriptedProvider,
    browsing,
    callback_url,
    oidc_settings,
    query_of,
)
from tests.harness.pages.team_pages import Team, team_serving

KEPT = "gateway_id_token"


@pytest.fixture
def ending(provider: ScriptedProvider) -> ScriptedProvider:
    """A provider at which one can sign out."""
    provider.metadata["end_session_endpoint"] = f"{provider.issuer}/end?tenant=a"
    return provider


@asynccontextmanager
async def team_of(folder: Path, provider: ScriptedProvider) -> AsyncIterator[Team]:
    """A gateway that signs people out there, too."""
    sign_in = oidc_settings(provider.issuer, domains={"example.org": {}}, sign_out=True)
    async with team_serving(folder, sign_in=sign_in) as team:
        yield team


async def signed_in(browser: aiohttp.ClientSession, team: Team) -> None:
    async with browser.get(await callback_url(browser, team.url), allow_redirects=False) as done:
        assert done.status == 303


async def signed_out(browser: aiohttp.ClientSession, team: Team) -> aiohttp.ClientResponse:
    """The answer. Nobody has a session any more, and the browser keeps nothing."""
    headers = {"Origin": team.url}
    async with browser.post(f"{team.url}/sign-out", allow_redirects=False, headers=headers) as answer:
        await answer.text()
    async with team.database.connect() as connection:
        assert (await connection.execute(select(sessions))).all() == []
    assert [cookie.key for cookie in browser.cookie_jar] == []
    return answer


async def test_the_browser_goes_to_the_provider_and_back_to_the_sign_in(
    ending: ScriptedProvider, browser: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with team_of(tmp_path, ending) as team:
        await signed_in(browser, team)
        (kept,) = (cookie for cookie in browser.cookie_jar if cookie.key == KEPT)
        assert (kept["path"], kept["httponly"], kept["samesite"]) == ("/sign-out", True, "Strict")
        answer = await signed_out(browser, team)
        assert answer.status == 200
        there = answer.headers["HX-Redirect"]
        assert answer.headers["Refresh"] == f"0; url={there}"
        assert there.startswith(f"{ending.issuer}/end?tenant=a&")
        asked = query_of(there)
        assert (asked["client_id"], asked["post_logout_redirect_uri"]) == (CLIENT_ID, f"{team.url}/sign-in")
        assert asked["id_token_hint"] == kept.value
        assert kept.value.count(".") == 2


async def test_an_id_token_too_long_for_a_cookie_is_left_out(
    ending: ScriptedProvider, browser: aiohttp.ClientSession, tmp_path: Path
) -> None:
    ending.who["groups"] = ["a group of many"] * 300
    async with team_of(tmp_path, ending) as team:
        await signed_in(browser, team)
        asked = query_of((await signed_out(browser, team)).headers["HX-Redirect"])
    assert set(asked) == {"tenant", "client_id", "post_logout_redirect_uri"}


async def test_off_it_is_unless_the_settings_say_so(
    ending: ScriptedProvider, browser: aiohttp.ClientSession, tmp_path: Path
) -> None:
    sign_in = oidc_settings(ending.issuer, domains={"example.org": {}})
    async with team_serving(tmp_path, sign_in=sign_in) as team:
        await signed_in(browser, team)
        assert KEPT not in {cookie.key for cookie in browser.cookie_jar}
        answer = await signed_out(browser, team)
    assert (answer.status, answer.headers["Location"]) == (303, "/sign-in")


async def test_a_provider_without_such_a_place_ends_our_session_alone(
    provider: ScriptedProvider, browser: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with team_of(tmp_path, provider) as team:
        await signed_in(browser, team)
        answer = await signed_out(browser, team)
    assert (answer.status, answer.headers["Location"]) == (303, "/sign-in")


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", ["http://id.example.org/end", "javascript:alert(1)", 1])
async def test_a_place_that_secrets_may_not_go_to_is_none(
    provider: ScriptedProvider,
    browser: aiohttp.ClientSession,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    endpoint: object,
) -> None:
    provider.metadata["end_session_endpoint"] = endpoint
    async with team_of(tmp_path, provider) as team:
        await signed_in(browser, team)
        assert (await signed_out(browser, team)).status == 303
    assert "signed out here is not signed out at the provider: its discovery document has no good" in caplog.text


async def test_who_has_signed_in_with_a_password_since_is_not_signed_out_there(
    ending: ScriptedProvider, browser: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with team_of(tmp_path, ending) as team:
        link = (await team.do("invitations.create", asked=NewInvitation(name="grace"))).url
        await signed_in(browser, team)
        form, headers = {"password": "a few good words"}, {"Origin": team.url}
        async with browser.post(team.url + link, data=form, headers=headers, allow_redirects=False) as done:
            assert done.status == 303
        assert KEPT not in {cookie.key for cookie in browser.cookie_jar}


async def out_where_the_provider(failing: Handler, provider: ScriptedProvider, folder: Path) -> None:
    """Sign out at a process that knows nothing of the provider yet, which answers like that."""
    async with browsing() as browser:
        async with team_of(folder, provider) as team:
            await signed_in(browser, team)
        provider.instead["/.well-known/openid-configuration"] = failing
        async with team_of(folder, provider) as anew:
            answer = await signed_out(browser, anew)
    assert (answer.status, answer.headers["Location"]) == (303, "/sign-in")


async def test_a_provider_that_fails_keeps_nobody_signed_in(
    ending: ScriptedProvider, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def failing(_request: web.Request) -> web.Response:
        return web.Response(status=500, text="CANARY")

    await out_where_the_provider(failing, ending, tmp_path)
    assert "signed out here is not signed out at the provider: its discovery document" in caplog.text
    assert "CANARY" not in caplog.text


@pytest.mark.slow
async def test_a_provider_that_is_slow_keeps_nobody_waiting(
    ending: ScriptedProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    over = asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        await over.wait()
        return web.Response()

    monkeypatch.setattr(oidc, "_SIGN_OUT_PATIENCE", 0.2)
    await out_where_the_provider(slow, ending, tmp_path)
    over.set()
    assert "signed out here is not signed out at the provider: it does not answer" in caplog.text


async def test_behind_a_proxy_it_is_kept_for_tls_and_below_its_path(
    ending: ScriptedProvider, browser: aiohttp.ClientSession, tmp_path: Path
) -> None:
    proxied = {"X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/llm"}
    async with team_of(tmp_path, ending) as team:
        async with browser.get(f"{team.url}/sign-in/oidc", allow_redirects=False, headers=proxied) as begun:
            attempt = begun.cookies["__Host-gateway_attempt"].value
            there = begun.headers["Location"]
        async with browser.get(there, allow_redirects=False) as back:
            query = back.headers["Location"].partition("?")[2]
        headers = {**proxied, "Cookie": f"__Host-gateway_attempt={attempt}"}
        url = URL(f"{team.url}/sign-in/oidc/callback?{query}", encoded=True)
        async with browser.get(url, allow_redirects=False, headers=headers) as done:
            kept = done.cookies[f"__Secure-{KEPT}"]
    assert (kept["path"], kept["secure"]) == ("/llm/sign-out", True)
