"""Sessions, invitations and passwords, and who would like to have others' ones."""

import asyncio
import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from gateway.registry.database.team_tables import failed_sign_ins, people, sessions
from gateway.team.actor import Face, Way
from gateway.team.models.people import NewInvitation, PersonChange
from gateway.team.signing_in import passwords, sign_in_throttle
from gateway.team.signing_in.session_limits import SessionLimits
from gateway.team.signing_in.sessions import begin_session
from tests.harness.pages.team_pages import COOKIE, Team
from tests.unit.gateway.team.admin_client import AdminClient, Reply

PASSWORD = "correct horse battery"
LATE = timedelta(seconds=30)  # by which a busy machine may ask again


async def with_password(team: Team, *names: str) -> None:
    """New people who sign in with the password."""
    stored = await passwords.hashed(PASSWORD)
    for name in names:
        await team.person(name)
        async with team.database.begin() as connection:
            await connection.execute(update(people).where(people.c.name == name).values(password=stored))


async def sign_in(stranger: AdminClient, name: str, password: str = PASSWORD, **headers: str) -> Reply:
    return await send(stranger, "/sign-in", name=name, password=password, **headers)


async def send(stranger: AdminClient, path: str, name: str = "", password: str = PASSWORD, **headers: str) -> Reply:
    said = {"Origin": stranger.url} | {one.replace("_", "-"): text for one, text in headers.items()}
    form = {"name": name, "password": password}
    async with stranger.session.post(stranger.url + path, data=form, headers=said, allow_redirects=False) as answer:
        return Reply(answer.status, await answer.read(), answer.headers)


def session_cookie(reply: Reply) -> str:
    found = [one for one in reply.headers.getall("Set-Cookie") if one.partition("=")[0].endswith(COOKIE)]
    assert len(found) == 1
    return found[0]


def session_of(reply: Reply) -> str:
    return session_cookie(reply).partition("=")[2].partition(";")[0]


async def is_signed_in(stranger: AdminClient, session: str) -> bool:
    return (await stranger.by_session(session).ask("GET", "/people")).status == 200


async def test_a_session_from_outside_is_never_taken_over(team: Team, stranger: AdminClient) -> None:
    await with_password(team, "ada")
    planted = "gws_" + "x" * 46
    found = [session_of(await sign_in(stranger, "ada", Cookie=f"{COOKIE}={planted}")) for _ in range(3)]
    assert planted not in found
    assert len(set(found)) == 3
    assert not await is_signed_in(stranger, planted)
    again = session_of(await sign_in(stranger, "ada", Cookie=f"{COOKIE}={found[0]}"))
    assert again != found[0]


async def test_a_session_is_out_of_reach_of_scripts_and_sites(team: Team, stranger: AdminClient) -> None:
    await with_password(team, "ada")
    plain = session_cookie(await sign_in(stranger, "ada"))
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(plain.split("; "))
    secure = session_cookie(await sign_in(stranger, "ada", X_Forwarded_Proto="https"))
    assert secure.startswith("__Host-")
    assert {"HttpOnly", "SameSite=Lax", "Path=/", "Secure"} <= set(secure.split("; "))
    assert "Domain" not in plain + secure


async def test_signing_out_ends_every_session(team: Team, stranger: AdminClient) -> None:
    await with_password(team, "ada")
    found = [session_of(await sign_in(stranger, "ada")) for _ in range(2)]
    assert [await is_signed_in(stranger, one) for one in found] == [True, True]
    await send(stranger, "/sign-out", Cookie=f"{COOKIE}={found[0]}")
    assert [await is_signed_in(stranger, one) for one in found] == [False, False]


@pytest.mark.parametrize("column", ["seen_at", "expires_at"])
async def test_a_session_ends_by_itself(team: Team, stranger: AdminClient, column: str) -> None:
    session = await team.person("ada")
    async with team.database.begin() as connection:
        await connection.execute(update(sessions).values({column: datetime.now(UTC) - timedelta(hours=13)}))
    assert not await is_signed_in(stranger, session)


async def test_an_invitation_works_once_and_for_one_of_two(team: Team, stranger: AdminClient) -> None:
    path = (await team.do("invitations.create", asked=NewInvitation(name="bob"))).url
    replies = await asyncio.gather(*(send(stranger, path, password=f"{PASSWORD} {one}") for one in range(4)))
    assert sorted(reply.status for reply in replies) == [303, 404, 404, 404]
    assert (await send(stranger, path)).status == 404
    assert (await stranger.ask("GET", stranger.url + path)).status == 404
    assert [one.name for one in (await team.do("people.list")).items] == ["bob"]


async def test_an_invitation_works_without_an_account_that_is_gone(team: Team, stranger: AdminClient) -> None:
    invited = NewInvitation(name="bob", accounts=("acme", "beta"))
    path = (await team.do("invitations.create", asked=invited)).url
    await team.do("accounts.remove", "beta")
    assert (await send(stranger, path)).status == 303
    assert [one.accounts for one in (await team.do("people.list")).items] == [("acme",)]


async def test_a_password_too_short_leaves_the_invitation(team: Team, stranger: AdminClient) -> None:
    path = (await team.do("invitations.create", asked=NewInvitation(name="bob"))).url
    assert (await send(stranger, path, password="short")).status == 422
    assert (await send(stranger, path)).status == 303


@pytest.fixture(params=["another password", "switched off", "removed"])
async def ada(request: pytest.FixtureRequest, team: Team, monkeypatch: pytest.MonkeyPatch) -> str:
    """Somebody with a password, which ends right when it has been compared: the text of a session of theirs."""
    await with_password(team, "bob", "ada")
    found = next(one.id for one in (await team.do("people.list")).items if one.name == "ada")
    async with team.database.begin() as connection:
        session = await begin_session(connection, found, Way(Face.PAGE), SessionLimits())
    compare = passwords.matches

    async def slowly(password: str, stored: str | None) -> bool:
        fits = await compare(password, stored)
        if request.param == "removed":
            await team.do("people.remove", found)
        elif request.param == "switched off":
            await team.do("people.change", found, asked=PersonChange(enabled=False))
        else:
            async with team.database.begin() as connection:
                await connection.execute(update(people).where(people.c.id == found).values(password="another"))
        return fits

    monkeypatch.setattr(passwords, "matches", slowly)
    return session


@pytest.mark.usefixtures("ada")
async def test_a_password_that_ends_while_it_is_compared_opens_nothing(stranger: AdminClient) -> None:
    reply = await sign_in(stranger, "ada")
    assert (reply.status, reply.headers.getall("Set-Cookie", [])) == (401, [])


async def test_a_password_that_ends_meanwhile_is_not_the_current_one(
    team: Team, stranger: AdminClient, ada: str
) -> None:
    form = {"current": PASSWORD, "password": f"{PASSWORD} anew", "again": f"{PASSWORD} anew"}
    said, url = {"Origin": stranger.url, "Cookie": f"{COOKIE}={ada}"}, f"{stranger.url}/me/password"
    async with stranger.session.post(url, data=form, headers=said, allow_redirects=False) as answer:
        assert answer.status in {404, 422}  # they are gone, or it is not theirs any more


@pytest.mark.slow
@pytest.mark.usefixtures("dear_passwords")
async def test_known_and_unknown_names_take_the_same_cpu(team: Team, stranger: AdminClient) -> None:
    names = [f"person {number}" for number in range(5)]
    await with_password(team, *names)
    spent = {"known": 0.0, "unknown": 0.0}
    for number, name in enumerate(names):
        for kind, asked in (("known", name), ("unknown", f"nobody {number}")):
            before = time.process_time()
            reply = await sign_in(stranger, asked, "not the password")
            spent[kind] += time.process_time() - before
            assert reply.status == 401
    assert 0.7 < spent["known"] / spent["unknown"] < 1.4


async def test_what_is_said_of_known_and_unknown_names_is_the_same(team: Team, stranger: AdminClient) -> None:
    await with_password(team, "ada")
    known, unknown = [await sign_in(stranger, name, "not the password") for name in ("ada", "bob")]
    assert known.status == unknown.status == 401
    said = [re.sub(rb"[0-9]{2}:[0-9]{2}:[0-9]{2}[^\"<]*", b"", reply.body) for reply in (known, unknown)]
    assert said[0].replace(b"ada", b"bob") == said[1]


@pytest.mark.slow
async def test_guesses_at_once_are_slowed_like_others(team: Team, stranger: AdminClient) -> None:
    await with_password(team, "ada")
    replies = await asyncio.gather(*(sign_in(stranger, "ada", f"guess number {one}") for one in range(15)))
    found = sorted(reply.status for reply in replies)
    assert found.count(401) <= 10  # five, and one after each pause that ends meanwhile
    assert set(found) == {401, 429}


@pytest.mark.slow
async def test_guessing_is_slowed_by_name_and_by_address_and_that_ends(team: Team, stranger: AdminClient) -> None:
    await with_password(team, "ada", "bob")
    while (reply := await sign_in(stranger, "ada", "not the password")).status == 401:
        pass
    assert reply.status == 429
    assert int(reply.headers["Retry-After"]) >= 1
    await long_ago(team, -LATE)
    assert (await sign_in(stranger, "ADA")).status == 429
    assert (await sign_in(stranger, "bob")).status == 303
    await long_ago(team, timedelta(seconds=61) + LATE)
    assert (await sign_in(stranger, "ada")).status == 303
    assert (await sign_in(stranger, "ada")).status == 303
    tried = 0
    while (reply := await sign_in(stranger, f"somebody {tried}", "not the password")).status == 401:
        tried += 1
    assert tried <= 20
    await long_ago(team, -LATE)
    assert (await sign_in(stranger, "bob")).status == 429
    await long_ago(team, timedelta(seconds=61) + LATE)
    assert (await sign_in(stranger, "bob")).status == 303


async def test_all_addresses_of_one_ipv6_network_are_one(team: Team) -> None:
    async def tries(number: int, network: str) -> None:
        async with team.database.begin() as connection:
            await sign_in_throttle.begin_attempt(connection, f"somebody {number}", f"2001:db8:0:{network}::{number:x}")

    for number in range(20):
        await tries(number, "a")
    await long_ago(team, -LATE)
    with pytest.raises(sign_in_throttle.TooSoon):
        await tries(20, "a")
    await tries(21, "b")


async def test_guesses_for_days_on_end_shut_nobody_out(team: Team, stranger: AdminClient) -> None:
    await with_password(team, "ada")
    await sign_in(stranger, "ada", "not the password")
    async with team.database.begin() as connection:
        await connection.execute(update(failed_sign_ins).values(failures=5000))
    assert (await sign_in(stranger, "ada")).status == 429
    await long_ago(team, timedelta(seconds=61))
    assert (await sign_in(stranger, "ada")).status == 303


@pytest.mark.slow
async def test_who_signs_in_often_is_not_slowed(team: Team, stranger: AdminClient) -> None:
    await with_password(team, "ada")
    assert {(await sign_in(stranger, "ada")).status for _ in range(22)} == {303}


async def long_ago(team: Team, ago: timedelta) -> None:
    """Let all failures have happened earlier by this."""
    async with team.database.begin() as connection:
        for row in (await connection.execute(select(failed_sign_ins))).all():
            same = failed_sign_ins.c.subject == row.subject
            await connection.execute(update(failed_sign_ins).where(same).values(last_at=row.last_at - ago))
