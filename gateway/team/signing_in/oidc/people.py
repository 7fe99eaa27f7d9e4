"""Whom an identity is among the people here: known, invited, or let in by the settings."""

import logging
import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.engine import Row

from gateway.config.sign_in_settings import Grant, OpenIdConnect
from gateway.registry.database.team_tables import idempotency, invitations, people
from gateway.team.actor import Actor, ActorKind, Way
from gateway.team.models.people import Person
from gateway.team.operation_error import Conflict, Denied, NotFound
from gateway.team.operations.accounts import names_of_accounts
from gateway.team.operations.people import add_person, names_taken, person_by_id, put_accounts, require_an_admin
from gateway.team.operations.playground import end_playground_keys_of
from gateway.team.roles import Role
from gateway.team.signing_in.oidc.attempt import Attempt
from gateway.team.signing_in.oidc.identity import Identity, granted
from gateway.team.signing_in.oidc.oidc_error import NobodyKnown, SignInRefused
from gateway.team.signing_in.session_limits import SessionLimits
from gateway.team.signing_in.sign_in import accounts_invited_to, begin, use_invitation
from gateway.team.unit_of_work import TeamDatabase, UnitOfWork

log = logging.getLogger("gateway.team")
_USED = "oidc"  # in the place of a request's digest


async def sign_in(
    database: TeamDatabase,
    settings: OpenIdConnect,
    identity: Identity,
    attempt: Attempt,
    *,
    way: Way,
    limits: SessionLimits,
) -> str:
    """A session for whom the provider has vouched for, once for each attempt. Raises OperationError."""
    nobody = Actor(ActorKind.PERSON, "", identity.name, Role.MEMBER, way)
    async with database.change(nobody) as unit:
        await _use_up(unit, attempt)
        person = await _known(unit, identity) or await _new(unit, settings, identity, attempt)
        if not person.enabled:
            raise Denied(f"{person.name} may not sign in here at present. Ask an admin of this gateway.")
        if settings.groups:
            person = await _regranted(_unit_of(unit, person), settings, person, granted(identity, settings))
        return await begin(unit.connection, person, way, "openid connect", limits)


async def _use_up(unit: UnitOfWork, attempt: Attempt) -> None:
    """Note that this attempt has led to a session: it never leads to a second one."""
    used = idempotency.c.digest == attempt.digest
    if (await unit.connection.execute(select(idempotency.c.digest).where(used))).first() is not None:
        sentence = "This sign-in was used already. Begin the sign-in again."
        raise SignInRefused(sentence, "the callback was called again with the same attempt")
    values = {"digest": attempt.digest, "request": _USED, "answer": b"", "created_at": unit.now}
    await unit.connection.execute(insert(idempotency).values(values))


async def _known(unit: UnitOfWork, identity: Identity) -> Person | None:
    same = (people.c.issuer == identity.issuer) & (people.c.subject == identity.subject)
    row = (await unit.connection.execute(select(people.c.id).where(same))).first()
    return None if row is None else await person_by_id(unit.connection, row.id)


async def _new(unit: UnitOfWork, settings: OpenIdConnect, identity: Identity, attempt: Attempt) -> Person:
    """Somebody who is here for the first time. An invitation's link counts before what the settings say."""
    if attempt.invitation:
        row = await use_invitation(unit.connection, attempt.invitation)
        if row.person is not None:
            raise NotFound("This link is not an invitation.")
        return await _invited(unit, row, identity)
    if identity.email is not None:
        linked = await _linked(unit, identity) or await _invited_by_email(unit, identity)
        if linked is not None:
            return linked
    grant = granted(identity, settings)
    if grant is None:
        raise NobodyKnown(_whom_to_ask(identity), "neither an invitation nor a domain or group of the settings fits")
    name = await _free_name(unit, identity.name)
    columns = {"name": name, "email": identity.email, "role": grant.role}
    return await _added(unit, identity, "people.create", accounts=await _existing(unit, grant), columns=columns)


async def _linked(unit: UnitOfWork, identity: Identity) -> Person | None:
    """The person who has this address, and from now on this identity."""
    row = (await unit.connection.execute(select(people).where(people.c.email == identity.email))).first()
    if row is None:
        return None
    if row.subject is not None:
        sentence = f"{identity.email} belongs to somebody here who signs in as another user of the provider."
        raise SignInRefused(f"{sentence} Ask an admin of this gateway.", "the e-mail address is linked to another sub")
    values = {"issuer": identity.issuer, "subject": identity.subject, "version": people.c.version + 1}
    await unit.connection.execute(update(people).where(people.c.id == row.id).values(values))
    person = await person_by_id(unit.connection, row.id)
    after = {"issuer": identity.issuer, "subject": identity.subject}
    await _unit_of(unit, person).note("people.link", person.id, before={"issuer": None, "subject": None}, after=after)
    return person


async def _invited_by_email(unit: UnitOfWork, identity: Identity) -> Person | None:
    open_one = invitations.c.used_at.is_(None) & (invitations.c.expires_at > unit.now) & invitations.c.person.is_(None)
    selected = select(invitations).where(open_one & (invitations.c.email == identity.email))
    row = (await unit.connection.execute(selected.order_by(invitations.c.created_at.desc()))).first()
    if row is None:
        return None
    await unit.connection.execute(update(invitations).where(invitations.c.id == row.id).values(used_at=unit.now))
    return await _invited(unit, row, identity)


async def _invited(unit: UnitOfWork, row: Row[Any], identity: Identity) -> Person:
    columns = {"name": row.name, "email": row.email or identity.email, "role": row.role}
    accounts = await accounts_invited_to(unit.connection, row)
    return await _added(unit, identity, "invitations.accept", accounts=accounts, columns=columns, target=row.id)


async def _added(
    unit: UnitOfWork,
    identity: Identity,
    action: str,
    *,
    accounts: Iterable[str],
    columns: dict[str, Any],
    target: str | None = None,
) -> Person:
    person_id = "per_" + secrets.token_hex(6)
    who = {"issuer": identity.issuer, "subject": identity.subject}
    person = await add_person(unit, person_id, accounts, **columns, **who, enabled=True)
    after = person.model_dump(mode="json") | who
    await _unit_of(unit, person).note(action, target or person.id, after=after)
    return person


async def _regranted(unit: UnitOfWork, settings: OpenIdConnect, before: Person, grant: Grant | None) -> Person:
    """As the groups say today. What the settings name comes and goes with them; all else stays as an admin made it."""
    named = [*settings.groups.values(), *settings.domains.values()]
    given = set(await _existing(unit, grant)) if grant is not None else set()
    accounts = set(before.accounts) - {name for one in named for name in one.accounts} | given
    role = before.role
    if any(Role(one.role) is Role.ADMIN for one in named):
        role = Role(grant.role) if grant is not None else Role.MEMBER
    after = before.model_copy(update={"role": role, "accounts": tuple(sorted(accounts))})
    try:
        await require_an_admin(unit, before, after)
    except Conflict:
        log.warning("%s is in no group of an admin any more, and stays one: nobody else is", before.id)
        after = after.model_copy(update={"role": before.role})
    if (after.role, set(after.accounts)) == (before.role, set(before.accounts)):
        return before
    values = {"role": after.role.value, "version": people.c.version + 1}
    await unit.connection.execute(update(people).where(people.c.id == before.id).values(values))
    await put_accounts(unit, before.id, after.accounts)
    await end_playground_keys_of(unit, before.id)
    changed = await person_by_id(unit.connection, before.id)
    was, now = before.model_dump(mode="json"), changed.model_dump(mode="json")
    await unit.note("people.change", before.id, before=was, after=now)
    return changed


async def _existing(unit: UnitOfWork, grant: Grant) -> tuple[str, ...]:
    """Of the accounts that a grant names, those that there are: the others are said in the log."""
    known = await names_of_accounts(unit.connection)
    for name in grant.accounts:
        if name not in known:
            log.error("server.sign_in.oidc gives the account %s, which there is not: add it, or name another", name)
    return tuple(name for name in grant.accounts if name in known)


async def _free_name(unit: UnitOfWork, wanted: str) -> str:
    """This name, or with a number behind it where somebody has it already."""
    taken = await names_taken(unit.connection)
    for number in range(1, len(taken) + 2):
        name = wanted if number == 1 else f"{wanted[:56]} {number}"
        if name.lower() not in taken:
            return name
    raise AssertionError("of n + 1 names one is free")


def _unit_of(unit: UnitOfWork, person: Person) -> UnitOfWork:
    """The same transaction, on the person's own behalf."""
    actor = Actor(ActorKind.PERSON, person.id, person.name, person.role, unit.actor.way)
    return replace(unit, actor=actor)


def _whom_to_ask(identity: Identity) -> str:
    if identity.email is None:
        return (
            "You have signed in, but nothing here is for you yet. Ask an admin of this gateway for an invitation, or "
            "to be put into a group. (Your provider does not vouch for an e-mail address of yours.)"
        )
    return (
        f"You have signed in, but nothing here is for {identity.email} yet. Ask an admin of this gateway for an "
        "invitation to this address, or to be put into a group."
    )
