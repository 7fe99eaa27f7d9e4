"""What is done with invitations: links that work once, within a day."""

import secrets
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.core.secret_text import digest_of, new_secret_text
from gateway.registry.database.team_tables import invitations
from gateway.team.models.common import Page, PageQuery
from gateway.team.models.people import CreatedInvitation, Invitation, NewInvitation, PasswordLink
from gateway.team.operation_error import Conflict, NotFound
from gateway.team.operations.accounts import require_accounts
from gateway.team.operations.people import person_by_id, require_free
from gateway.team.paging import page_of
from gateway.team.roles import Role
from gateway.team.unit_of_work import UnitOfWork

INVITATION_PREFIX = "gwi_"
LIFETIME = timedelta(days=1)
PATH = "/invitations/"  # and then the secret; the face that shows a link puts the gateway's address before it


async def list_invitations(unit: UnitOfWork, query: PageQuery) -> Page[Invitation]:
    """Those that may still be used, the oldest first."""
    open_ones = invitations.c.used_at.is_(None) & (invitations.c.expires_at > unit.now) & invitations.c.person.is_(None)
    order = [invitations.c.created_at, invitations.c.id]
    return await page_of(unit.connection, query, select(invitations).where(open_ones), order, _view)


async def create_invitation(unit: UnitOfWork, new: NewInvitation) -> CreatedInvitation:
    """A link for somebody new. Raises Conflict for a name or address that is taken, and Invalid."""
    await require_free(unit.connection, new.name, new.email)
    await require_accounts(unit, new.accounts, "accounts")
    invitation_id, text = "inv_" + secrets.token_hex(6), new_secret_text(INVITATION_PREFIX)
    await unit.connection.execute(
        insert(invitations).values(
            id=invitation_id,
            digest=digest_of(text).hex(),
            name=new.name,
            email=new.email,
            role=new.role.value,
            accounts=",".join(dict.fromkeys(new.accounts)),
            created_at=unit.now,
            expires_at=unit.now + LIFETIME,
        )
    )
    made = _view(await _row(unit, invitation_id))
    await unit.note("invitations.create", invitation_id, after=made.model_dump(mode="json"))
    return CreatedInvitation(**made.model_dump(), url=unit.actor.way.base_url + PATH + text)


async def remove_invitation(unit: UnitOfWork, invitation_id: str) -> Invitation:
    """Take a link back that nobody has used yet."""
    before = _view(await _row(unit, invitation_id))
    await unit.connection.execute(delete(invitations).where(invitations.c.id == invitation_id))
    await unit.note("invitations.remove", invitation_id, before=before.model_dump(mode="json"))
    return before


async def create_password_link(unit: UnitOfWork, person_id: str) -> PasswordLink:
    """A link by which somebody chooses a new password; one made before ends. Raises NotFound, Conflict.

    The old password works until then. Whoever asks never sees a password, neither the old one nor the new one.
    """
    person = await person_by_id(unit.connection, person_id)
    if not person.enabled:
        raise Conflict(f"{person.name} is switched off, and could not sign in: switch them on first.")
    await end_password_links(unit.connection, person_id)
    text, end = new_secret_text(INVITATION_PREFIX), unit.now + LIFETIME
    await unit.connection.execute(
        insert(invitations).values(
            id="inv_" + secrets.token_hex(6),
            digest=digest_of(text).hex(),
            person=person_id,
            name=person.name,
            created_at=unit.now,
            expires_at=end,
        )
    )
    await unit.note("people.password_link", person_id, after={"expires_at": end})
    return PasswordLink(url=unit.actor.way.base_url + PATH + text, expires_at=end)


async def end_password_links(connection: AsyncConnection, person_id: str) -> None:
    """Forget the links by which somebody could choose a password."""
    theirs = (invitations.c.person == person_id) & invitations.c.name.is_not(None)
    await connection.execute(delete(invitations).where(theirs))


async def _row(unit: UnitOfWork, invitation_id: str) -> Row[Any]:
    same = (invitations.c.id == invitation_id) & invitations.c.used_at.is_(None) & invitations.c.person.is_(None)
    row = (await unit.connection.execute(select(invitations).where(same))).first()
    if row is None:
        raise NotFound("There is no invitation of this id that could still be used.")
    return row


def _view(row: Row[Any]) -> Invitation:
    stored = row._mapping
    return Invitation(
        id=stored["id"],
        name=stored["name"],
        email=stored["email"],
        role=Role(stored["role"]),
        accounts=tuple(filter(None, stored["accounts"].split(","))),
        created_at=stored["created_at"],
        expires_at=stored["expires_at"],
    )
