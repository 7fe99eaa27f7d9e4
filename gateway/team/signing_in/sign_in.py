"""How somebody signs in: with a password, by an invitation, or by a link that signs in by itself."""

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import insert, select, update
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.core.secret_text import digest_of, new_secret_text
from gateway.registry.database.team_tables import invitations, people
from gateway.team import audit
from gateway.team.actor import Actor, ActorKind, Way
from gateway.team.models.people import Person
from gateway.team.operation_error import Denied, FieldError, Invalid, NotFound
from gateway.team.operations.accounts import names_of_accounts
from gateway.team.operations.invitations import INVITATION_PREFIX, PATH, end_password_links
from gateway.team.operations.people import add_person, end_sessions, person_by_id
from gateway.team.roles import Role
from gateway.team.signing_in import passwords, sign_in_throttle
from gateway.team.signing_in.session_limits import SessionLimits
from gateway.team.signing_in.sessions import begin_session
from gateway.team.unit_of_work import TeamDatabase, UnitOfWork

_LINK_LIFETIME = timedelta(days=1)


class Chooser(NamedTuple):
    """Who chooses a password by a link: somebody new, or somebody who forgot theirs."""

    name: str
    is_new: bool


async def sign_in(database: TeamDatabase, name: str, password: str, way: Way, limits: SessionLimits) -> str:
    """A session for a name and its password. Raises Denied, the same for whatever is wrong; and TooSoon."""
    async with database.begin() as connection:
        await sign_in_throttle.begin_attempt(connection, name, way.address)
    async with database.connect() as connection:
        row = (await connection.execute(select(people).where(people.c.name == name))).first()
    fits = await passwords.matches(password, row.password if row is not None else None)
    wrong = Denied("The name or the password is not right.")
    if row is None or not fits:
        raise wrong
    async with database.begin() as connection:
        if await _password_of(connection, row.id) != row.password:  # changed while it was compared
            raise wrong
        await sign_in_throttle.note_success(connection, name, way.address)
        return await begin(connection, await person_by_id(connection, row.id), way, "password", limits)


async def who_chooses(database: TeamDatabase, text: str) -> Chooser | None:
    """Who chooses a password by a link; None for a link that signs in by itself.

    Raises NotFound for one that was used, has expired or never was.
    """
    async with database.connect() as connection:
        row = await _invitation(connection, text)
    return None if row.name is None else Chooser(row.name, is_new=row.person is None)


async def accept_invitation(database: TeamDatabase, text: str, password: str, way: Way, limits: SessionLimits) -> str:
    """A session, with the password that was chosen: for somebody new, who is made, or for somebody who forgot theirs.

    Raises NotFound, Invalid.
    """
    if await who_chooses(database, text) is None:
        raise NotFound("This link is not an invitation.")
    stored = await passwords.hashed(passwords.check(password))
    nobody_yet = Actor(ActorKind.PERSON, "per_" + secrets.token_hex(6), "", Role.MEMBER, way)
    async with database.change(nobody_yet) as change:
        connection, row = change.connection, await use_invitation(change.connection, text)
        if row.person is not None:
            person = await _set_password(change, row.person, stored, "link")
            return await begin(connection, person, way, "link", limits)
        invited = replace(nobody_yet, name=row.name, role=Role(row.role))
        unit = replace(change, actor=invited)
        accounts = await accounts_invited_to(connection, row)
        person = await add_person(
            unit, invited.id, accounts, name=row.name, email=row.email, role=row.role, password=stored, enabled=True
        )
        await unit.note("invitations.accept", row.id, after=person.model_dump(mode="json"))
        return await begin(connection, person, way, "invitation", limits)


async def change_password(database: TeamDatabase, actor: Actor, current: str, new: str, limits: SessionLimits) -> str:
    """A session in place of all those of the actor, who now has another password.

    Raises Invalid for a password that is not the current one, or cannot be chosen; and TooSoon for one who guesses.
    """
    async with database.begin() as connection:
        await sign_in_throttle.begin_attempt(connection, actor.name, actor.way.address)
    async with database.connect() as connection:
        stored = (await connection.execute(select(people.c.password).where(people.c.id == actor.id))).scalar()
    wrong = Invalid("This is not your current password.", [FieldError("current", "is not right")])
    if stored is not None and not await passwords.matches(current, stored):
        raise wrong
    async with database.begin() as connection:
        await sign_in_throttle.note_success(connection, actor.name, actor.way.address)
    fresh = await passwords.hashed(passwords.check(new))
    async with database.change(actor) as unit:
        if await _password_of(unit.connection, actor.id) != stored:
            raise wrong
        person = await _set_password(unit, actor.id, fresh, "password")
        return await begin_session(unit.connection, person.id, actor.way, limits)


async def make_sign_in_link(database: TeamDatabase, person_id: str) -> str:
    """The path of a link that signs this person in by itself, once."""
    now, text = datetime.now(UTC), new_secret_text(INVITATION_PREFIX)
    async with database.begin() as connection:
        person = await person_by_id(connection, person_id)
        await connection.execute(
            insert(invitations).values(
                id="inv_" + secrets.token_hex(6),
                digest=digest_of(text).hex(),
                person=person.id,
                created_at=now,
                expires_at=now + _LINK_LIFETIME,
            )
        )
    return PATH + text


async def follow_sign_in_link(database: TeamDatabase, text: str, way: Way, limits: SessionLimits) -> str:
    """A session for whom the link was made. Raises NotFound for one that was used, has expired or never was."""
    async with database.begin() as connection:
        row = await _invitation(connection, text)
        if row.person is None:
            raise NotFound("This link is an invitation.")
        await use_invitation(connection, text)
        return await begin(connection, await person_by_id(connection, row.person), way, "link", limits)


async def _set_password(unit: UnitOfWork, person_id: str, stored: str, how: str) -> Person:
    """Give somebody another password, and end every session of theirs: one may be a thief's. Raises NotFound."""
    connection = unit.connection
    person = await person_by_id(connection, person_id)
    if not person.enabled:
        raise Denied("You may not sign in any more. Ask an admin.")
    await connection.execute(
        update(people).where(people.c.id == person_id).values(password=stored, version=people.c.version + 1)
    )
    await end_sessions(unit, person_id)
    await end_password_links(connection, person_id)
    await sign_in_throttle.forget(connection, person.name)
    actor = Actor(ActorKind.PERSON, person.id, person.name, person.role, unit.actor.way)
    await audit.note(connection, actor, audit.Change("people.set_password", person.id, after={"by": how}))
    return person


async def accounts_invited_to(connection: AsyncConnection, row: Row[Any]) -> list[str]:
    """The accounts of an invitation that are still there: who is invited can do nothing about the others."""
    known = await names_of_accounts(connection)
    return [name for name in row.accounts.split(",") if name in known]


async def _password_of(connection: AsyncConnection, person_id: str) -> str | None:
    """What is stored of somebody's password now; None for who may not sign in."""
    same = (people.c.id == person_id) & people.c.enabled
    return (await connection.execute(select(people.c.password).where(same))).scalar()


async def begin(connection: AsyncConnection, person: Person, way: Way, how: str, limits: SessionLimits) -> str:
    """A session for somebody who has proved who they are, and a word of it in the audit log."""
    actor = Actor(ActorKind.PERSON, person.id, person.name, person.role, way)
    await audit.note(connection, actor, audit.Change("people.sign_in", person.id, after={"by": how}))
    return await begin_session(connection, person.id, way, limits)


async def _invitation(connection: AsyncConnection, text: str) -> Row[Any]:
    now = datetime.now(UTC)
    valid = (invitations.c.digest == digest_of(text).hex()) & invitations.c.used_at.is_(None)
    row = (await connection.execute(select(invitations).where(valid & (invitations.c.expires_at > now)))).first()
    if row is None:
        raise NotFound("This link was used already, has expired, or never was one. Ask an admin for another.")
    return row


async def use_invitation(connection: AsyncConnection, text: str) -> Row[Any]:
    """Take the invitation: of two who come at once, one gets it."""
    row = await _invitation(connection, text)
    unused = (invitations.c.id == row.id) & invitations.c.used_at.is_(None)
    done = await connection.execute(update(invitations).where(unused).values(used_at=datetime.now(UTC)))
    if done.rowcount != 1:
        raise NotFound("This link was used already.")
    return row
