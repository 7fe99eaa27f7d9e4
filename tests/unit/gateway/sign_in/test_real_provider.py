"""Sign-in by OpenID Connect with a real provider: `oidc-provider`, certified, run by Node."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import trustme
from playwright.async_api import expect
from yarl import URL

from gateway.team.models.people import PersonQuery
from tests.harness.pages.axe import photograph, violations
from tests.harness.pages.chromium import require_chromium, running_chromium
from tests.harness.pages.node_provider import node_provider
from tests.harness.pages.scripted_provider import browsing, oidc_settings
from tests.harness.pages.team_pages import Team, is_wider_than_its_window, team_serving
from tests.harness.patience import PATIENCE

pytestmark = [pytest.mark.tools, pytest.mark.timeout(600)]

PEOPLE = {
    "ada": {"email": "ada@example.org", "email_verified": True, "name": "Ada", "groups": ["ops"]},
    "ben": {"email": "ben@example.org", "email_verified": False, "name": "Ben"},
}


@asynccontextmanager
async def signing_in_there(
    folder: Path, *, password: bool = True, pem: Path | None = None, **settings: object
) -> AsyncIterator[Team]:
    """A gateway whose people sign in at a real provider; over TLS with the key and certificates of `pem`."""
    async with node_provider(pem) as provider:
        given = {"domains": {"example.org": {"accounts": ["acme"]}}, "groups": {"ops": {"role": "admin"}}}
        oidc = oidc_settings(provider.issuer, **given, label="Example ID", **settings)
        sign_in = {**oidc, "password": password}
        async with team_serving(folder, "acme", sign_in=sign_in) as team:
            await provider.knows(team.url, PEOPLE)
            yield team


async def returned(client: aiohttp.ClientSession, team: Team, who: str) -> str:
    """The callback's URL with which the provider sends somebody back who has chosen to be `who`."""
    async with client.get(f"{team.url}/sign-in/oidc?next=/keys") as asks:
        assert "Who are you?" in await asks.text()
        url = URL(f"{asks.url}/{who}")
    while not url.path.startswith("/sign-in/oidc/callback"):
        async with client.get(url, allow_redirects=False) as answer:
            url = url.join(URL(answer.headers["Location"], encoded=True))
    return str(url)


async def test_a_real_provider_signs_people_in_once_a_code(tmp_path: Path) -> None:
    async with signing_in_there(tmp_path) as team, browsing() as client, browsing() as other:
        back = await returned(client, team, "ada")
        (kept,) = (cookie for cookie in client.cookie_jar if cookie.key == "gateway_attempt")
        async with client.get(URL(back, encoded=True), allow_redirects=False) as done:
            assert (done.status, done.headers["Location"]) == (303, "/keys")
        (ada,) = (await team.do("people.list", asked=PersonQuery())).items
        assert (ada.name, ada.email, ada.role, ada.accounts) == ("Ada", "ada@example.org", "admin", ("acme",))
        other.cookie_jar.update_cookies({"gateway_attempt": kept.value}, URL(team.url))
        async with other.get(URL(back, encoded=True)) as again:
            assert again.status == 403
            assert "its answer was used already" in await again.text()


async def test_a_real_provider_vouches_for_verified_addresses_alone(tmp_path: Path) -> None:
    async with signing_in_there(tmp_path) as team, browsing() as client:
        back = await returned(client, team, "ben")
        async with client.get(URL(back, encoded=True)) as answer:
            assert answer.status == 403
            assert "Ask an admin of this gateway for an invitation" in await answer.text()


async def test_a_real_provider_sends_nobody_to_a_host_of_an_attacker(tmp_path: Path) -> None:
    async with signing_in_there(tmp_path) as team, browsing() as client:
        headers = {"Host": "evil.example"}
        async with client.get(f"{team.url}/sign-in/oidc", headers=headers, allow_redirects=False) as begun:
            there = URL(begun.headers["Location"], encoded=True)
        assert there.query["redirect_uri"] == "http://evil.example/sign-in/oidc/callback"
        async with client.get(there, allow_redirects=False) as answer:
            assert answer.status == 400
            assert "redirect_uri" in await answer.text()


async def test_a_person_signs_in_by_keyboard_in_a_real_browser(tmp_path: Path) -> None:
    require_chromium("the sign-in by OpenID Connect")
    expect.set_options(timeout=PATIENCE * 1000)
    async with signing_in_there(tmp_path, password=False) as team, running_chromium() as chromium:
        context = await chromium.new_context(viewport={"width": 390, "height": 900}, color_scheme="dark")
        page = await context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        await page.goto(team.url + "/keys")
        await photograph(page, "sign-in-oidc-390-dark")
        assert await violations(page) == []
        assert not await is_wider_than_its_window(page)
        await expect(page.locator("input[type=password]")).to_have_count(0)
        await page.get_by_role("link", name="Sign in with Example ID").focus()
        await page.keyboard.press("Enter")
        await page.get_by_role("link", name="ben").click()
        await expect(page.get_by_role("heading", name="Nothing here for you yet")).to_be_visible()
        await photograph(page, "sign-in-nobody-390-dark")
        assert await violations(page) == []
        await page.get_by_role("link", name="To the sign-in").click()
        await page.get_by_role("link", name="Sign in with Example ID").click()
        await expect(page.get_by_role("heading", name="Nothing here for you yet")).to_be_visible()  # as ben, still
        await page.get_by_role("link", name="Sign in as somebody else").click()
        await page.get_by_role("link", name="ada").click()
        await expect(page).to_have_url(team.url + "/deployments")
        await expect(page.get_by_text("Ada (admin)")).to_be_visible()
        assert not [text for text in complaints if "Failed to load resource" not in text]
        await context.close()


async def test_a_real_provider_of_a_private_authority_signs_people_in(tmp_path: Path) -> None:
    authority, context = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "provider.pem"))
    pem, ca_file = tmp_path / "provider.pem", str(tmp_path / "ca.pem")
    async with signing_in_there(tmp_path, pem=pem, ca_file=ca_file) as team, browsing(context) as client:
        back = await returned(client, team, "ada")
        assert team.url in back
        async with client.get(URL(back, encoded=True), allow_redirects=False) as done:
            assert (done.status, done.headers["Location"]) == (303, "/keys")


@pytest.mark.parametrize("scripts", [True, False])
async def test_signing_out_signs_out_at_a_real_provider_too(tmp_path: Path, scripts: bool) -> None:
    require_chromium("signing out by OpenID Connect")
    expect.set_options(timeout=PATIENCE * 1000)
    async with signing_in_there(tmp_path, sign_out=True) as team, running_chromium() as chromium:
        context = await chromium.new_context(java_script_enabled=scripts)
        page = await context.new_page()
        await page.goto(team.url + "/sign-in")
        await page.get_by_role("link", name="Sign in with Example ID").click()
        await page.get_by_role("link", name="ada").click()
        await page.get_by_role("button", name="Sign out").click()
        await page.get_by_role("button", name="Yes, sign me out").click()
        await expect(page).to_have_url(team.url + "/sign-in")
        await page.get_by_role("link", name="Sign in with Example ID").click()
        await expect(page.get_by_role("link", name="ada")).to_be_visible()  # who else would be in at once
        await context.close()
