"""Who somebody becomes by a sign-in with OpenID Connect: invited, linked, of a domain, of groups, or nobody."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from gateway.core.deployment import Status
from gateway.team.models.audit import AuditQuery
from gateway.team.models.common import PageQuery
from gateway.team.models.deployments import NewDeployment
from gateway.team.models.people import NewInvitation, Person, PersonChange, PersonQuery
from gateway.team.roles import Role
from tests.harness.pages.scripted_provider import ScriptedProvider, callback_url, oidc_settings, query_of
from tests.harness.pages.team_pages import Team, team_serving

GROUPS = {"ops": {"role": "admin"}, "science": {"accounts": ["acme"]}}


@pytest_asyncio.fixture
async def grouped(provider: ScriptedProvider, tmp_path: Path) -> AsyncIterator[Team]:
    sign_in = oidc_settings(provider.issuer, groups=GROUPS)
    async with team_serving(tmp_path, "acme", "beta", sign_in=sign_in) as found:
        yield found


async def signs_in(client: aiohttp.ClientSession, team: Team, status: int = 303, query: str = "") -> str:
    async with client.get(await callback_url(client, team.url, query), allow_redirects=False) as done:
        text = await done.text()
        assert done.status == status, text
        return text


async def people(team: Team) -> dict[str, Person]:
    return {one.name: one for one in (await team.do("people.list", asked=PersonQuery())).items}


async def actions(team: Team) -> list[str]:
    return [row.action for row in (await team.do("audit.list", asked=AuditQuery())).items]


def _stands(person: Person) -> tuple[str, tuple[str, ...]]:
    return person.role, person.accounts


async def test_who_matches_nothing_is_told_whom_to_ask(
    team: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession
) -> None:
    provider.who |= {"email": "eve@elsewhere.example"}
    page = await signs_in(browser, team, 403)
    assert "nothing here is for eve@elsewhere.example yet. Ask an admin of this gateway for an invitation" in page
    assert await people(team) == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prompts", "asked"),
    [(None, {"max_age": "0"}), (["login"], {"max_age": "0"}), (["select_account"], {"prompt": "select_account"})],
)
async def test_who_matches_nothing_may_sign_in_as_somebody_else(
    team: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession, prompts: object, asked: dict[str, str]
) -> None:
    provider.metadata = {"prompt_values_supported": prompts}
    provider.who |= {"email": "eve@elsewhere.example"}
    assert 'href="/sign-in/oidc?anew=yes"' in await signs_in(browser, team, 403)
    async with browser.get(f"{team.url}/sign-in/oidc?anew=yes", allow_redirects=False) as begun:
        assert asked.items() <= query_of(begun.headers["Location"]).items()
    async with browser.get(f"{team.url}/sign-in/oidc", allow_redirects=False) as begun:
        assert not {"prompt", "max_age"} & query_of(begun.headers["Location"]).keys()


@pytest.mark.slow
async def test_a_domain_is_not_a_part_of_another(
    team: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession
) -> None:
    for email in (
        "ada@evil-example.org",
        "ada@example.org.evil.example",
        "ada@sub.example.org",
        "ada@example.org@x.io",
    ):
        provider.who |= {"email": email}
        await signs_in(browser, team, 403)


async def test_who_was_invited_by_address_is_linked(
    team: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession
) -> None:
    provider.who |= {"email": "Grace@Elsewhere.example"}
    new = NewInvitation(name="grace", email="grace@elsewhere.example", role=Role.ADMIN, accounts=("beta",))
    await team.do("invitations.create", asked=new)
    await signs_in(browser, team)
    assert _stands((await people(team))["grace"]) == ("admin", ("beta",))
    assert (await team.do("invitations.list", asked=PageQuery())).items == []
    assert "invitations.accept" in await actions(team)
    await signs_in(browser, team)
    assert len(await people(team)) == 1


async def test_the_link_of_an_invitation_leads_in_whatever_the_address(
    team: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession
) -> None:
    provider.who = {"sub": "grace"}
    made = await team.do("invitations.create", asked=NewInvitation(name="grace", role=Role.ADMIN))
    secret = made.url.rpartition("/")[2]
    async with browser.get(f"{team.url}/invitations/{secret}") as page:
        assert f"/sign-in/oidc?invitation={secret}" in await page.text()
    await signs_in(browser, team, query=f"?invitation={secret}")
    assert (await people(team))["grace"].role is Role.ADMIN
    provider.who = {"sub": "eve"}
    assert "was used already" in await signs_in(browser, team, 403, query=f"?invitation={secret}")


@pytest.mark.slow
async def test_a_person_with_this_address_is_linked_once(
    team: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession
) -> None:
    await team.person("grace", accounts=["beta"])
    grace = (await people(team))["grace"]
    await team.do("people.change", grace.id, asked=PersonChange(email="ada@example.org"))
    await signs_in(browser, team)
    assert _stands((await people(team))["grace"]) == ("admin", ("beta",))
    assert "people.link" in await actions(team)
    provider.who |= {"sub": "somebody else"}
    assert "signs in as another user of the provider" in await signs_in(browser, team, 403)


async def test_who_is_switched_off_stays_out(team: Team, browser: aiohttp.ClientSession) -> None:
    await signs_in(browser, team)
    await team.do("people.change", (await people(team))["Ada"].id, asked=PersonChange(enabled=False))
    assert "Ada may not sign in here at present" in await signs_in(browser, team, 403)


@pytest.mark.slow
async def test_names_that_are_taken_get_a_number(
    team: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession
) -> None:
    for number, name in enumerate(["Ada", "Ada", "Ada", "Özgür", "Özgür"]):
        provider.who |= {"sub": str(number), "email": f"ada{number}@example.org", "name": name}
        await signs_in(browser, team)
    assert sorted(await people(team)) == ["Ada", "Ada 2", "Ada 3", "Özgür", "Özgür 2"]


@pytest.mark.slow
async def test_groups_are_applied_anew_at_each_sign_in(
    grouped: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession
) -> None:
    await grouped.person("root")
    seen: list[Any] = []
    for groups in (["ops", "science"], ["science", "unknown"], "science", [], None):
        provider.who |= {"groups": groups}
        await signs_in(browser, grouped)
        seen.append(_stands((await people(grouped))["Ada"]))
    member = ("member", ("acme",))
    assert seen == [("admin", ("acme",)), member, member, ("member", ()), ("member", ())]
    changes = [action for action in await actions(grouped) if action == "people.change"]
    assert len(changes) == 2


async def test_what_no_group_gives_stays_as_an_admin_made_it(
    grouped: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession
) -> None:
    provider.who |= {"groups": ["science"]}
    await signs_in(browser, grouped)
    ada = (await people(grouped))["Ada"]
    await grouped.do("people.change", ada.id, asked=PersonChange(accounts=("acme", "beta")))
    provider.who |= {"groups": []}
    await signs_in(browser, grouped)
    assert _stands((await people(grouped))["Ada"]) == ("member", ("beta",))


async def test_who_leaves_a_group_with_a_playground_open_signs_in(
    grouped: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession
) -> None:
    demo = NewDeployment(id="demo", account="acme", upstream="http://127.0.0.1:9", status=Status.READY)
    await grouped.do("deployments.create", asked=demo)
    provider.who |= {"groups": ["science"]}
    await signs_in(browser, grouped)
    origin = {"Origin": grouped.url}
    async with browser.post(f"{grouped.url}/playground/keys", data={"deployment": "demo"}, headers=origin) as made:
        key = (await made.json())["key"]
    provider.who |= {"groups": []}
    await signs_in(browser, grouped)
    await grouped.has_looked()
    url, as_key = f"{grouped.url}/api/gguf/demo/v1/models", {"Authorization": f"Bearer {key}"}
    async with browser.get(url, headers=as_key) as refused:
        assert refused.status == 401


@pytest.mark.slow
async def test_the_last_admin_stays_one_whatever_the_groups_say(
    grouped: Team, provider: ScriptedProvider, browser: aiohttp.ClientSession
) -> None:
    provider.who |= {"groups": ["ops", "science"]}
    await signs_in(browser, grouped)
    provider.who |= {"groups": []}
    await signs_in(browser, grouped)
    assert _stands((await people(grouped))["Ada"]) == ("admin", ())
