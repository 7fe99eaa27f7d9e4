"""`server.public_url`: what links and base URLs on the pages begin with."""

import re
from pathlib import Path

import pytest

from gateway.config.document import SourceError
from gateway.config.settings import parse
from gateway.server.handlers.dashboard import PAGE
from gateway.team.models.deployments import NewDeployment
from tests.harness.pages.team_pages import Team, team_serving
from tests.unit.gateway.pages.page_reading import browsing

PUBLIC = "https://llm.example.org/models"


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
        new = NewDeployment(id="demo", account="acme", upstream="http://127.0.0.1:9")
        await team.do("deployments.create", asked=new)
        await team.has_looked()
        reached = {public or team.url}
        assert await shown(team, "ada") == (reached, reached)
        team.app[PAGE].clients_port = 9  # from now on the pages have a port of their own
        assert await shown(team, "eve") == ({public or "http://127.0.0.1:9"}, {team.url})


@pytest.mark.parametrize(
    "value", ["llm.example.org", "ftp://a", "https://a/?b", "https://u@a", "https://a:0", "https://", "https://a/b c"]
)
def test_what_is_no_public_url_is_refused(value: str) -> None:
    with pytest.raises(SourceError, match=r"server\.public_url: must be where clients reach the gateway"):
        parse(f"server: {{public_url: '{value}'}}\naccounts: {{}}\n", "gateway.yaml", {})


def test_a_slash_at_its_end_is_not_kept() -> None:
    read = parse(f"server: {{public_url: '{PUBLIC}/'}}\naccounts: {{}}\n", "gateway.yaml", {})
    assert read.server.public_url == PUBLIC
