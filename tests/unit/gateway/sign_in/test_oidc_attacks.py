"""Attacks on the sign-in by OpenID Connect: nobody gets a session by one, and each ends on a plain page."""

import asyncio
import time

import aiohttp
import pytest
from aiohttp import web
from joserfc import jwk
from yarl import URL

from gateway.team.models.people import PersonQuery
from gateway.team.signing_in.oidc.attempt import Attempt
from tests.harness.pages.scripted_provider import (
    CLIENT_ID,
    ScriptedProvider,
    browsing,
    callback_url,
    query_of,
)
from tests.harness.pages.team_pages import COOKIE, Team

HOUR = 3600


async def refused(client: aiohttp.ClientSession, url: str, status: int = 403) -> str:
    """The page that says so. No session has begun."""
    async with client.get(url, allow_redirects=False) as answer:
        assert answer.status == status, await answer.text()
        assert COOKIE not in answer.cookies
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        return await answer.text()


@pytest.mark.slow
async def test_an_id_token_that_says_something_else_is_refused(
    team: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession
) -> None:
    for wrong in ({"iss": "https://evil.example"}, {"aud": "another client"}, {"nonce": "0" * 43}, {"exp": 1}):
        provider.tampered = wrong
        assert "does not hold" in await refused(browser, await callback_url(browser, team.url))
    assert (await team.do("people.list", asked=PersonQuery())).items == []


async def test_several_audiences_are_good_for_the_party_among_them(
    team: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession
) -> None:
    provider.tampered = {"aud": [CLIENT_ID, "another client"], "azp": CLIENT_ID}
    async with browser.get(await callback_url(browser, team.url), allow_redirects=False) as done:
        assert done.status == 303


async def test_a_token_without_a_good_signature_is_refused(
    team: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession
) -> None:
    for algorithm, key in (("none", None), ("ES256", jwk.ECKey.generate_key("P-256"))):
        provider.signs_with = (algorithm, key)
        assert "does not hold" in await refused(browser, await callback_url(browser, team.url))


async def test_a_callback_leads_to_a_session_once(team: Team, browser: aiohttp.ClientSession) -> None:
    back = await callback_url(browser, team.url)
    (kept,) = (cookie for cookie in browser.cookie_jar if cookie.key == "gateway_attempt")
    async with browser.get(back, allow_redirects=False) as done:
        assert done.status == 303
    async with browser.get(back, allow_redirects=False) as again:  # a reload, or the way back: they are in
        assert (again.status, again.headers["Location"]) == (303, "/deployments")
        assert not again.cookies
    browser.cookie_jar.clear(lambda cookie: cookie.key == COOKIE)
    assert "not begun to sign in" in await refused(browser, back)  # the browser has forgotten the attempt
    async with browsing() as thief:
        thief.cookie_jar.update_cookies({"gateway_attempt": kept.value}, URL(team.url))
        assert "used already" in await refused(thief, back)  # the provider takes no code twice


async def test_even_a_provider_that_takes_codes_again_gives_one_session(
    team: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession
) -> None:
    provider.takes_codes_again = True
    back = await callback_url(browser, team.url)

    async def status() -> int:
        async with browser.get(back, allow_redirects=False) as answer:
            return answer.status

    # At once: each has the attempt's cookie, and the provider vouches for each.
    assert sorted(await asyncio.gather(*(status() for _ in range(4)))) == [303, 403, 403, 403]


async def test_a_code_works_in_the_browser_that_asked_for_it_alone(team: Team, browser: aiohttp.ClientSession) -> None:
    victims = await callback_url(browser, team.url)
    async with browsing() as attacker:
        assert "not begun to sign in" in await refused(attacker, victims)
        own = await callback_url(attacker, team.url)
        # The victim's code with the attacker's state, and so with the attacker's verifier and nonce.
        mixed = own.replace(query_of(own)["code"], query_of(victims)["code"])
        assert "took too long, or its answer was used already" in await refused(attacker, mixed)
    assert "belongs to another sign-in" in await refused(browser, own)


async def test_an_old_attempt_is_refused(team: Team, browser: aiohttp.ClientSession) -> None:
    attempt = Attempt("secret", int(time.time()) - HOUR, "/keys", "")
    browser.cookie_jar.update_cookies({"gateway_attempt": attempt.text}, URL(team.url))
    url = f"{team.url}/sign-in/oidc/callback?code=a&state={attempt.state}"
    assert "took too long" in await refused(browser, url)


async def test_the_answer_of_another_provider_is_refused(
    team: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession
) -> None:
    for iss in ("https://evil.example", ""):
        provider.answered = {"iss": iss}
        assert "another provider" in await refused(browser, await callback_url(browser, team.url))
    assert "/token" not in provider.asked


async def test_a_missing_iss_is_refused_where_the_provider_always_sends_one(
    team: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession
) -> None:
    back = await callback_url(browser, team.url)
    assert "another provider" in await refused(browser, back.partition("&iss=")[0])
    assert "/token" not in provider.asked


async def test_a_provider_that_is_not_the_configured_issuer_is_not_asked(
    team: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession
) -> None:
    provider.metadata = {"issuer": "https://evil.example"}
    await refused(browser, f"{team.url}/sign-in/oidc", 503)


async def test_secrets_are_sent_over_tls_alone(
    team: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession
) -> None:
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        provider.metadata = {name: "http://id.example.org/x"}
        await refused(browser, f"{team.url}/sign-in/oidc", 503)


async def test_no_redirect_of_the_provider_is_followed(
    team: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession
) -> None:
    async def elsewhere(_request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": f"{provider.issuer}/userinfo"})

    back = await callback_url(browser, team.url)
    provider.instead["/token"] = elsewhere
    await refused(browser, back, 503)
    assert "/userinfo" not in provider.asked


@pytest.mark.slow
async def test_nobody_is_sent_elsewhere_after_the_sign_in(team: Team, browser: aiohttp.ClientSession) -> None:
    for wanted in ("https://evil.example", "//evil.example", "/%5Cevil.example", "javascript:alert(1)"):
        back = await callback_url(browser, team.url, f"?next={wanted}")
        async with browser.get(back, allow_redirects=False) as done:
            assert (done.status, done.headers["Location"]) == (303, "/deployments")


async def test_an_address_that_is_not_verified_opens_nothing(
    team: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession
) -> None:
    for verified in (False, None, "true", 1):
        provider.tampered = {"email_verified": verified}
        page = await refused(browser, await callback_url(browser, team.url))
        assert "Ask an admin of this gateway for an invitation" in page
        assert "does not vouch for an e-mail address" in page


async def test_markup_in_what_the_provider_says_stays_text(
    team: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession
) -> None:
    provider.who |= {"name": "<script>alert(1)</script>\x07" + "a" * 100}
    async with browser.get(await callback_url(browser, team.url, "?next=/keys")) as page:
        text = await page.text()
        assert page.status == 200
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert" not in text
    back = await callback_url(browser, team.url)
    error = back.replace("code=", "error=%3Cscript%3Ealert(1)%3C/script%3E&error_description=%3Cb%3E&x=")
    assert "alert(1)" not in await refused(browser, error)


async def test_who_tries_again_and_again_is_slowed(team: Team, browser: aiohttp.ClientSession) -> None:
    statuses = []
    for _ in range(10):  # each failure doubles the pause, and so the machine may be slow
        async with browser.get(f"{team.url}/sign-in/oidc/callback?code=a&state=b") as answer:
            statuses.append(answer.status)
            if answer.status == 429:
                assert answer.headers["Retry-After"].isdecimal()
                break
    assert statuses[:5] == [403] * 5
    assert statuses[-1] == 429
