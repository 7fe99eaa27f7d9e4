"""The ways through a list of several pages: to the first of them, and to the next."""

import re
from pathlib import Path

import pytest

from gateway.core.rate_limits import Measure, SubjectKind
from gateway.team.models.deployments import DeploymentQuery, NewDeployment
from gateway.team.models.keys import KeyQuery, NewKey
from gateway.team.models.limits import LimitQuery, NewLimit
from gateway.team.models.people import PersonQuery
from tests.harness.pages.plain_browser import Browser, browsing
from tests.harness.pages.team_pages import Team, team_serving

LISTS = {"deployments": DeploymentQuery, "keys": KeyQuery, "limits": LimitQuery, "people": PersonQuery}


async def add(team: Team, name: str) -> None:
    """One more in each list."""
    given = {"id": name, "account": "acme", "upstream": "http://127.0.0.1:9", "status": "paused"}
    await team.do("deployments.create", asked=NewDeployment.model_validate(given))
    key = await team.do("keys.create", asked=NewKey(account="acme", name=name))
    limit = NewLimit(kind=SubjectKind.KEY, subject=key.id, measure=Measure.TOKENS_PER_DAY, amount=9)
    await team.do("limits.set", asked=limit)
    await team.person(name)


async def first_links(ada: Browser, path: str) -> list[str]:
    """Where the links to the first page lead."""
    page = await ada.get(path)
    assert page.status == 200
    return re.findall(r'href="([^"]+)">First page</a>', page.text)


@pytest.mark.parametrize("name", LISTS)
async def test_each_further_page_of_a_list_leads_back_to_its_first(tmp_path: Path, name: str) -> None:
    async with team_serving(tmp_path, "acme") as team, browsing(team, await team.person("ada")) as ada:
        for one in ("one", "two"):
            await add(team, one)
        cursor = (await team.do(f"{name}.list", asked=LISTS[name](limit=1))).next_cursor
        assert await first_links(ada, f"/{name}") == []
        assert await first_links(ada, f"/{name}?cursor={cursor}") == [f"/{name}"]
        if name != "limits":
            narrowed = f"/{name}?cursor={cursor}&search=two"
            assert await first_links(ada, narrowed) == [f"/{name}?search=two"]


@pytest.mark.parametrize("name", LISTS)
async def test_a_page_of_which_nothing_is_left_leads_to_the_rest(tmp_path: Path, name: str) -> None:
    async with team_serving(tmp_path, "acme") as team, browsing(team, await team.person("ada")) as ada:
        await add(team, "two")
        await add(team, "one")
        last = (await team.do(f"{name}.list", asked=LISTS[name](limit=1))).next_cursor
        for one in (await team.do(f"{name}.list", asked=LISTS[name](cursor=last))).items:
            await team.do(f"{name}.{'revoke' if name == 'keys' else 'remove'}", one.id)
        left = await ada.get(f"/{name}?cursor={last}" + ("&state=valid" if name == "keys" else ""))
        assert re.search(f'<a href="/{name}">Show (all|everybody)</a>', left.text)
        assert "yet" not in left.text
