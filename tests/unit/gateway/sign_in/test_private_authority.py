"""A provider of OpenID Connect whose certificate is of a company's own authority: `server.sign_in.oidc.ca_file`."""

import logging
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
import trustme

from tests.harness.pages.scripted_provider import (
    ScriptedProvider,
    browsing,
    callback_url,
    oidc_settings,
    scripted_provider,
)
from tests.harness.pages.team_pages import COOKIE, team_serving
from tests.harness.sockets.stage import certified

COMPANY, ANOTHER = trustme.CA(), trustme.CA()


@pytest_asyncio.fixture
async def private() -> AsyncIterator[ScriptedProvider]:
    async with scripted_provider(certified(COMPANY, "127.0.0.1")) as found:
        yield found


@pytest_asyncio.fixture
async def trusting() -> AsyncIterator[aiohttp.ClientSession]:
    """A browser in that company."""
    context = ssl.create_default_context()
    COMPANY.configure_trust(context)
    async with browsing(context) as client:
        yield client


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    COMPANY.cert_pem.write_to_path(str(path))
    return path


async def test_people_sign_in_at_a_provider_of_the_companys_authority(
    private: ScriptedProvider, trusting: aiohttp.ClientSession, ca_file: Path, tmp_path: Path
) -> None:
    sign_in = oidc_settings(private.issuer, domains={"example.org": {}}, ca_file=str(ca_file))
    async with team_serving(tmp_path, sign_in=sign_in) as team:
        back = await callback_url(trusting, team.url)
        async with trusting.get(back, allow_redirects=False) as done:
            assert done.status == 303
            assert COOKIE in done.cookies
    assert {"/token", "/jwks"} <= set(private.asked)


async def test_without_it_the_systems_authorities_are_trusted(
    private: ScriptedProvider, ca_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))  # those of aiohttp's client, `serve` has not loaded
    async with (
        team_serving(tmp_path, sign_in=oidc_settings(private.issuer)) as team,
        browsing() as client,
        client.get(f"{team.url}/sign-in/oidc", allow_redirects=False) as answer,
    ):
        assert answer.status == 303


@pytest.mark.parametrize("authority", [ANOTHER, None])
async def test_a_certificate_of_another_authority_is_a_sentence_in_page_and_log(
    private: ScriptedProvider,
    ca_file: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    authority: trustme.CA | None,
) -> None:
    if authority is not None:
        authority.cert_pem.write_to_path(str(ca_file))
    told = {} if authority is None else {"ca_file": str(ca_file)}
    async with (
        team_serving(tmp_path, sign_in=oidc_settings(private.issuer, **told)) as team,
        browsing() as client,
        client.get(f"{team.url}/sign-in/oidc", allow_redirects=False) as answer,
    ):
        text = await answer.text()
        assert answer.status == 503
    assert "this gateway does not trust its certificate. Ask an admin" in text
    (said,) = (record.getMessage() for record in caplog.records if record.levelno == logging.ERROR)
    assert said.startswith("a sign-in by OpenID Connect came to nothing: its certificate is not trusted: ")
    assert said.endswith(" (a private authority's PEM file goes into server.sign_in.oidc.ca_file)")
    assert "CANARY" not in text + caplog.text


async def test_a_file_that_is_replaced_counts_from_the_next_sign_in_on(
    private: ScriptedProvider, ca_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    statuses = []
    sign_in = oidc_settings(private.issuer, ca_file=str(ca_file))
    async with team_serving(tmp_path, sign_in=sign_in) as team, browsing() as client:
        for file in (None, b"no certificate", ANOTHER.cert_pem.bytes(), COMPANY.cert_pem.bytes()):
            if file is None:
                ca_file.unlink()
            else:
                ca_file.write_bytes(file)
            async with client.get(f"{team.url}/sign-in/oidc", allow_redirects=False) as answer:
                statuses.append(answer.status)
    assert statuses == [503, 503, 503, 303]
    assert "server.sign_in.oidc.ca_file cannot be used: No such file or directory" in caplog.text
    assert "server.sign_in.oidc.ca_file cannot be used: it is not a PEM certificate file" in caplog.text
