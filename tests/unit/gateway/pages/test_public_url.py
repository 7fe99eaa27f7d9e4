"""`server.public_url`: what links and base URLs on the pages begin with."""

import re
from pathlib import Path
from typing import Any

import pytest

from gateway.config.document import SourceError
from gateway.config.settings import parse
from gateway.team.models.deployments import NewDeployment
from tests.harness.pages.plain_browser import browsing
from tests.harness.pages.scripted_provider import oidc_settings, query_of, scripted_provider
from tests.harness.pages.team_pages import Team, team_serving

PUBLIC, OPERATORS = "https://llm.example.org/models", "https://ops.example.org"
DEMO = NewDeployment(id="demo", account="acme", upstream="http://127.0.0.1:9")


async def shown(team: Team, name: str) -> tuple[set[str], set[str]]:
    """What the base URLs on a deployment's page begin with, and the link of an invitation."""
    async with browsing(team, await team.person(name)) as admin:
        page = (await admin.get("/deployments/demo")).text
        made = (await admin.post("/people", name=f"{name}s-friend", email="", role="member", accounts="acme")).text
    bases, links = (
        set(re.findall(rf"(https?://[\w.:/-]+){end}", text))
        for text, end in ((page, "/api/gguf/demo"), (made, "/invitations/gwi_"))
    )
    return bases, links


@pytest.mark.parametrize("public", [None, PUBLIC])
async def test_links_and_base_urls_begin_with_it(tmp_path: Path, public: str | None) -> None:
    async with team_serving(tmp_path, "acme", public_url=public) as team:
        await team.do("deployments.create", asked=DEMO)
        await team.has_looked()
        reached = {public or team.url}
        assert await shown(team, "ada") == (reached, reached)


@pytest.mark.slow
@pytest.mark.parametrize("public", [None, PUBLIC])
@pytest.mark.parametrize("operators", [None, OPERATORS])
async def test_pages_on_a_port_of_their_own_have_a_url_of_their_own(
    tmp_path: Path, public: str | None, operators: str | None
) -> None:
    admin = {"port": 0, "public_url": operators}
    async with team_serving(tmp_path, "acme", public_url=public, admin=admin) as team:
        await team.do("deployments.create", asked=DEMO)
        await team.has_looked()
        clients = f"http://127.0.0.1:{team.runner.addresses[0][1]}"
        assert await shown(team, "eve") == ({public or clients}, {operators or team.url})


@pytest.mark.parametrize("settings", [{"public_url": OPERATORS}, {"admin": {"port": 0, "public_url": OPERATORS}}])
async def test_the_redirect_uri_begins_with_it(tmp_path: Path, settings: dict[str, Any]) -> None:
    async with (
        scripted_provider() as provider,
        team_serving(tmp_path, sign_in=oidc_settings(provider.issuer), **settings) as team,
        browsing(team) as nobody,
        nobody.raw("/sign-in/oidc", Host="127.0.0.1:8080") as begun,
    ):
        asked = query_of(begun.headers["Location"])
        assert asked["redirect_uri"] == f"{OPERATORS}/sign-in/oidc/callback"


@pytest.mark.parametrize(("host", "is_secure"), [("OPS.example.org", True), ("127.0.0.1:8080", False)])
async def test_cookies_are_for_tls_alone_where_its_https_url_is_asked_for(
    tmp_path: Path, host: str, is_secure: bool
) -> None:
    """A proxy may say nothing of TLS; and somebody on the machine may come past it."""
    async with (
        scripted_provider() as provider,
        team_serving(tmp_path, sign_in=oidc_settings(provider.issuer), public_url=OPERATORS) as team,
        browsing(team) as nobody,
        nobody.raw("/sign-in/oidc", Host=host) as begun,
    ):
        (kept,) = begun.cookies.values()
        assert (kept.key.startswith("__Host-"), bool(kept["secure"])) == (is_secure, is_secure)


@pytest.mark.parametrize(
    ("host", "told", "below"),
    [("llm.example.org", "", "/models"), ("LLM.example.org", "/a", "/a"), ("127.0.0.1:8080", "", "")],
)
async def test_links_of_the_pages_have_its_path_where_it_is_asked_for(
    tmp_path: Path, host: str, told: str, below: str
) -> None:
    """A proxy may cut the path off and not say so; and somebody on the machine may come past it."""
    async with team_serving(tmp_path, "acme", public_url=PUBLIC) as team, browsing(team) as nobody:
        headers = {"Host": host, **({"X-Forwarded-Prefix": told} if told else {})}
        async with nobody.raw("/keys", **headers) as led:
            assert led.headers["Location"] == f"{below}/sign-in?next=/keys"
        async with nobody.raw("/sign-in", **headers) as page:
            links = re.findall(r'(?:href|src|action)="(/[^"]*)"', await page.text())
        assert [link for link in links if not link.startswith((f"{below}/assets/", f"{below}/sign-in"))] == []


@pytest.mark.parametrize(
    "value", ["llm.example.org", "ftp://a", "https://a/?b", "https://u@a", "https://a:0", "https://", "https://a/b c"]
)
def test_what_is_no_public_url_is_refused(value: str) -> None:
    with pytest.raises(SourceError, match=r"server\.public_url: must be where clients reach the gateway"):
        parse(f"server: {{public_url: '{value}'}}\naccounts: {{}}\n", "gateway.yaml", {})


def test_a_slash_at_its_end_is_not_kept() -> None:
    read = parse(f"server: {{public_url: '{PUBLIC}/'}}\naccounts: {{}}\n", "gateway.yaml", {})
    assert read.server.public_url == PUBLIC
