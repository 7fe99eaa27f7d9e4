"""People: invited, changed, signed out, removed; a forgotten password; one's own."""

import re
from pathlib import Path
from urllib.parse import quote

import pytest

from gateway.team.models.people import NewInvitation
from tests.harness.pages.plain_browser import Browser, browsing, version_in
from tests.harness.pages.team_pages import Team, team_serving

PASSWORD = "correct horse battery"
OTHER = "staple and a stable"
ADMINS_PAGES = ("/people", "/people/per_1", "/people/{}", "/people?search=a")
ADMINS_DEEDS = (
    "/people",
    "/people/{}",
    "/people/{}/sign-out",
    "/people/{}/remove",
    "/people/{}/password-link",
    "/people/invitations/inv_1/remove",
)


def link_in(html: str) -> str:
    found = re.search(r"/invitations/gwi_\w+", html)
    assert found is not None, html
    return found[0]


async def id_of(browser: Browser, name: str) -> str:
    found = re.search(rf'/people/(per_\w+)"><b><bdi>{name}<', (await browser.get("/people")).text)
    assert found is not None
    return found[1]


async def named_person(team: Team, name: str) -> str:
    """The id of somebody who has signed in by an invitation, with `PASSWORD`."""
    made = await team.do("invitations.create", asked=NewInvitation(name=name, accounts=("acme",)))
    async with browsing(team) as nobody:
        accepted = await nobody.post(link_in(made.url), password=PASSWORD)
        assert accepted.status == 303
    people = (await team.do("people.list")).items
    return next(str(one.id) for one in people if one.name == name)


async def test_an_invitation_is_shown_once_and_works_once(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, browsing(team, await team.person("ada")) as ada:
        made = await ada.post("/people", name="bob", email="", role="member", accounts="acme")
        assert made.status == 201
        link = link_in(made.text)
        listed = await ada.get("/people")
        assert "Take back the invitation of bob" in listed.text
        assert "gwi_" not in listed.text
        async with browsing(team) as bob:
            assert "Welcome, <bdi>bob</bdi>" in (await bob.get(link)).text
            short = await bob.post(link, password="short")
            assert (short.status, "at least 10 characters" in short.text) == (422, True)
            assert (await bob.post(link, password=PASSWORD)).location == "/deployments"
            assert "<h1><bdi>bob</bdi></h1>" in (await bob.get("/me")).text
        async with browsing(team) as other:
            again = await other.post(link, password=OTHER)
            assert (again.status, "was used already" in again.text) == (404, True)
        assert "Take back" not in (await ada.get("/people")).text


async def test_an_invitation_that_was_taken_back_opens_nothing(tmp_path: Path) -> None:
    async with team_serving(tmp_path) as team, browsing(team, await team.person("ada")) as ada:
        made = await ada.post("/people", name="bob", email="bob@example.org", role="member")
        form = re.search(r'action="(/people/invitations/inv_\w+/remove)"', made.text)
        assert form is not None
        assert "taken back" in (await ada.get((await ada.post(form[1])).location)).text
        assert (await ada.get(link_in(made.text))).status == 404


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "ada"}, "There is somebody called 'ada' already. Choose another name."),
        ({"name": "eve", "email": "nonsense"}, "is not an e-mail address"),
        ({"name": "eve", "role": "owner"}, "role"),
    ],
)
async def test_a_wrong_invitation_keeps_what_was_typed(tmp_path: Path, fields: dict[str, str], said: str) -> None:
    async with team_serving(tmp_path) as team, browsing(team, await team.person("ada")) as ada:
        answer = await ada.post("/people", **{"role": "member", "email": "eve@example.org", **fields})
        assert (answer.status, said in answer.text) == (422, True)
        assert f'value="{fields["name"]}"' in answer.text


async def test_two_admins_who_change_one_person_both_learn_of_it(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme", "beta") as team:
        bob = await named_person(team, "bob")
        async with browsing(team, await team.person("ada")) as ada, browsing(team, await team.person("eve")) as eve:
            seen = version_in((await ada.get(f"/people/{bob}")).text)
            first = await ada.post(f"/people/{bob}", version=seen, name="bob", role="admin", enabled="yes")
            assert first.location == f"/people/{bob}?done=saved"
            wanted = {"name": "robert", "role": "member", "accounts": "beta", "enabled": "yes"}
            second = await eve.post(f"/people/{bob}", version=seen, **wanted)
            assert second.status == 409
            assert "Somebody else has changed this" in second.text
            assert "Now: admin" in second.text
            assert 'value="robert"' in second.text
            assert "Now: none" in second.text
            saved = await eve.post(f"/people/{bob}", version=version_in(second.text), **wanted)
            assert saved.status == 303
            assert "robert" in (await ada.get("/people")).text


async def test_the_last_admin_cannot_lock_everybody_out(tmp_path: Path) -> None:
    async with team_serving(tmp_path) as team, browsing(team, await team.person("ada")) as ada:
        own = await id_of(ada, "ada")
        changed = await ada.post(f"/people/{own}", name="ada", role="member", enabled="yes")
        removed = await ada.post(f"/people/{own}/remove")
        for answer in (changed, removed):
            assert (answer.status, "is the last admin" in answer.text) == (409, True)


async def test_signing_somebody_out_ends_their_sessions_at_once(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team:
        session = await team.person("bob", "member", ["acme"])
        async with browsing(team, await team.person("ada")) as ada, browsing(team, session) as bob:
            assert (await bob.get("/me")).status == 200
            person = await id_of(ada, "bob")
            assert (await ada.post(f"/people/{person}/sign-out")).location == f"/people/{person}?done=signed-out"
            assert (await bob.get("/me")).location == "/sign-in?next=/me"
            assert "signed in nowhere" in (await ada.get(f"/people/{person}")).text


async def test_who_signs_in_comes_to_all_that_they_asked_for(tmp_path: Path) -> None:
    async with (
        team_serving(tmp_path) as team,
        browsing(team) as nobody,
        browsing(team, await team.person("ada")) as ada,
    ):
        asked = "/audit?actor=ada%20b&action=keys.create"
        led = (await nobody.get(asked)).location
        assert f'name="next" value="{asked}"' in (await nobody.get(led)).text
        assert (await ada.get(led)).location == asked
        # What a form wanted is not there to be looked at.
        assert (await nobody.post("/keys/key_a/revoke")).location == "/sign-in?next=/deployments"
        for elsewhere in ("//evil.example/?a=b", "/\\evil.example?a=b", "?a=b", "/keys?a=b\r\nSet-Cookie: a=b"):
            assert (await ada.get(f"/sign-in?next={quote(elsewhere, safe='')}")).location == "/deployments"


async def test_who_is_switched_off_or_removed_is_out(tmp_path: Path) -> None:
    async with team_serving(tmp_path) as team, browsing(team, await team.person("ada")) as ada:
        off, gone = await team.person("off", "member"), await team.person("gone", "member")
        person = await id_of(ada, "off")
        await ada.post(f"/people/{person}", name="off", role="member")
        await ada.post(f"/people/{await id_of(ada, 'gone')}/remove")
        for session in (off, gone):
            async with browsing(team, session) as browser:
                assert (await browser.get("/me")).status == 303
        link = await ada.post(f"/people/{person}/password-link")
        assert (link.status, "switched off" in link.text) == (409, True)


@pytest.mark.slow
async def test_a_forgotten_password_is_set_anew_by_a_link(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, browsing(team, await team.person("ada")) as ada:
        bob = await named_person(team, "bob")
        first = link_in((await ada.post(f"/people/{bob}/password-link")).text)
        link = link_in((await ada.post(f"/people/{bob}/password-link")).text)
        async with browsing(team) as browser:
            assert (await browser.get(first)).status == 404
            assert "A new password" in (await browser.get(link)).text
            assert (await browser.post("/sign-in", name="bob", password=PASSWORD)).status == 303
            assert (await browser.post(link, password=OTHER)).status == 303
            assert (await browser.post(link, password=OTHER)).status == 404
        async with browsing(team) as fresh:
            assert (await fresh.post("/sign-in", name="bob", password=PASSWORD)).status == 401
            assert (await fresh.post("/sign-in", name="bob", password=OTHER)).status == 303
        assert (await team.do("audit.list")).items
        noted = str([row.model_dump() for row in (await team.do("audit.list")).items])
        assert "gwi_" not in noted
        assert "argon2" not in noted


@pytest.mark.slow
async def test_ones_own_password_asks_for_the_current_one(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team:
        await named_person(team, "bob")
        async with browsing(team) as here, browsing(team) as elsewhere:
            for browser in (here, elsewhere):
                await browser.post("/sign-in", name="bob", password=PASSWORD)
            wrong = await here.post("/me/password", current="wrong", password=OTHER, again=OTHER)
            assert (wrong.status, "not your current password" in wrong.text) == (422, True)
            slip = await here.post("/me/password", current=PASSWORD, password=OTHER, again=PASSWORD)
            assert (slip.status, "not the same twice" in slip.text) == (422, True)
            assert (await elsewhere.get("/me")).text.count("this browser") == 1
            link = (await team.do("people.password_link", (await team.do("people.list")).items[0].id)).url
            assert (await here.get(link)).status == 200
            done = await here.post("/me/password", current=PASSWORD, password=OTHER, again=OTHER)
            assert (await here.get(link)).status == 404
            assert "is changed" in (await here.get(done.location)).text
            assert (await elsewhere.get("/me")).status == 303
            assert (await here.post("/sign-out")).status == 303
            assert (await here.get("/me")).status == 303


async def test_guessing_the_current_password_is_slowed(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team:
        await named_person(team, "bob")
        async with browsing(team) as bob:
            await bob.post("/sign-in", name="bob", password=PASSWORD)
            guesses = []
            while 429 not in guesses:  # each failure makes the pause twice as long, soon longer than a slow machine's
                guess = await bob.post("/me/password", current="x", password=OTHER, again=OTHER)
                guesses.append(guess.status)
            assert guesses[:5] == [422] * 5
            assert len(guesses) < 15


async def test_a_member_meets_none_of_what_admins_can_do(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team, browsing(team, await team.person("ada")) as ada:
        admin = await id_of(ada, "ada")
        async with browsing(team, await team.person("bob", "member", ["acme"])) as bob:
            asked = [await bob.get(path.format(admin)) for path in ADMINS_PAGES]
            asked += [await bob.post(path.format(admin), name="x", role="admin") for path in ADMINS_DEEDS]
            assert {one.status for one in asked} <= {403, 404}
            assert not [one for one in asked if "ada" in one.text.replace("readable", "")]
            assert "/people" not in (await bob.get("/keys")).text
        assert (await ada.get("/me")).status == 200
        assert [one.name for one in (await team.do("people.list")).items] == ["ada", "bob"]


async def test_no_other_site_changes_anything(tmp_path: Path) -> None:
    async with team_serving(tmp_path) as team, browsing(team, await team.person("ada")) as ada:
        own = await id_of(ada, "ada")
        for path in (*(deed.format(own) for deed in ADMINS_DEEDS), "/me/password"):
            for site in ("cross-site", "same-site", "none"):
                assert (await ada.post(path, site=site, name="eve", role="admin")).status == 403
        assert (await team.do("invitations.list")).items == []


@pytest.mark.slow
async def test_many_people_are_paged_and_searched(tmp_path: Path) -> None:
    async with team_serving(tmp_path) as team, browsing(team, await team.person("ada")) as ada:
        for number in range(101):
            await team.person(f"member {number:03}", "member")
        first = await ada.get("/people")
        more = re.search(r'href="(/people\?cursor=[^"]+)"', first.text)
        assert more is not None
        assert "member 100" not in first.text
        assert "member 100" in (await ada.get(more[1])).text
        found = await ada.get("/people?search=R%20042")
        assert re.findall(r"<bdi>(member \d+)</bdi>", found.text) == ["member 042"]
        assert "Nobody has" in (await ada.get("/people?search=zzz")).text


async def test_where_nobody_signs_in_with_a_password_no_link_for_one_is_made(tmp_path: Path) -> None:
    oidc = {"issuer": "http://127.0.0.1:9", "client_id": "gateway", "client_secret": "oidc-canary-secret"}
    settings = {"password": False, "oidc": oidc}
    async with team_serving(tmp_path, sign_in=settings) as team, browsing(team, await team.person("ada")) as ada:
        own = await id_of(ada, "ada")
        assert "A link for a new password" not in (await ada.get(f"/people/{own}")).text
        assert (await ada.post(f"/people/{own}/password-link")).status == 404
        assert (await ada.post("/me/password", password=OTHER, again=OTHER)).status == 403
