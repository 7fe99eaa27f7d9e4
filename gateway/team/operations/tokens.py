"""What is done with admin tokens."""

import secrets
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.engine import Row

from gateway.core.account import shown_prefix
from gateway.core.secret_text import ADMIN_TOKEN_PREFIX, digest_of, new_secret_text
from gateway.registry.database.team_tables import tokens
from gateway.team.actor import ActorKind
from gateway.team.models.common import Page, PageQuery
from gateway.team.models.tokens import AdminToken, CreatedToken, NewToken
from gateway.team.operation_error import Denied, FieldError, Invalid, NotFound
from gateway.team.paging import page_of
from gateway.team.scopes import ALL_SCOPES
from gateway.team.unit_of_work import UnitOfWork


async def list_tokens(unit: UnitOfWork, query: PageQuery) -> Page[AdminToken]:
    """All of them, the oldest first; revoked and expired ones too."""
    order = [tokens.c.created_at, tokens.c.id]
    return await page_of(unit.connection, query, select(tokens), order, lambda row: _view(row, unit))


async def create_token(unit: UnitOfWork, new: NewToken) -> CreatedToken:
    """A new token, and its text. No token can make one that may do more than itself: that raises Denied."""
    if new.expires_at is not None and new.expires_at <= unit.now:
        raise Invalid(
            "The token would have expired before it was made.", [FieldError("expires_at", "lies in the past")]
        )
    for scope in new.scopes:
        if ALL_SCOPES not in unit.actor.scopes and scope not in unit.actor.scopes:
            raise Denied(f"A token cannot give away the scope {scope}, which it lacks.", scope=scope)
    token_id, text = "tok_" + secrets.token_hex(6), new_secret_text(ADMIN_TOKEN_PREFIX)
    await unit.connection.execute(
        insert(tokens).values(
            id=token_id,
            name=new.name,
            digest=digest_of(text).hex(),
            prefix=shown_prefix(text),
            scopes=",".join(new.scopes),
            created_by=unit.actor.id if unit.actor.kind is ActorKind.PERSON else None,
            created_at=unit.now,
            expires_at=new.expires_at,
        )
    )
    made = _view(await _row(unit, token_id), unit)
    await unit.note("tokens.create", token_id, after=made.model_dump(mode="json"))
    return CreatedToken(**made.model_dump(), token=text)


async def revoke_token(unit: UnitOfWork, token_id: str) -> AdminToken:
    """End it now. Doing so again changes nothing."""
    before = _view(await _row(unit, token_id), unit)
    if before.revoked_at is not None:
        return before
    await unit.connection.execute(update(tokens).where(tokens.c.id == token_id).values(revoked_at=unit.now))
    after = _view(await _row(unit, token_id), unit)
    await unit.note(
        "tokens.revoke", token_id, before=before.model_dump(mode="json"), after=after.model_dump(mode="json")
    )
    return after


async def _row(unit: UnitOfWork, token_id: str) -> Row[Any]:
    row = (await unit.connection.execute(select(tokens).where(tokens.c.id == token_id))).first()
    if row is None:
        raise NotFound("There is no token of this id.")
    return row


def _view(row: Row[Any], unit: UnitOfWork) -> AdminToken:
    values = {name: row._mapping[name] for name in AdminToken.model_fields if name not in {"state", "scopes"}}
    ended = values["expires_at"] is not None and values["expires_at"] <= unit.now
    state = "revoked" if values["revoked_at"] is not None else "expired" if ended else "valid"
    return AdminToken(**values, state=state, scopes=tuple(row._mapping["scopes"].split(",")))
