"""What is done for the playground: keys that live for minutes, for one deployment, in nobody's list of keys.

Making one is noted in the audit log; that it ends, which it does by itself, is not.
"""

import secrets
from datetime import timedelta

from sqlalchemy import delete, or_, select

from gateway.core.account import new_key_text, shown_prefix
from gateway.core.secret_text import digest_of
from gateway.registry.database.tables import deployments, keys
from gateway.registry.database.team_tables import key_uses
from gateway.team.actor import ActorKind
from gateway.team.models.common import Nothing
from gateway.team.models.playground import NewPlaygroundKey, PlaygroundKey
from gateway.team.operation_error import NotFound
from gateway.team.unit_of_work import UnitOfWork

PLAYGROUND_ID = "play_"  # begins the id of such a key, in logs too
LIFETIME = timedelta(minutes=15)


async def create_playground_key(unit: UnitOfWork, new: NewPlaygroundKey) -> PlaygroundKey:
    """A key for one deployment and a quarter of an hour. Raises NotFound. Those that are over are forgotten."""
    selected = select(deployments.c.account).where(deployments.c.id == new.deployment)
    account = (await unit.connection.execute(selected)).scalar()
    missing = "There is no deployment of this id."
    if account is None:
        raise NotFound(missing)
    unit.actor.require(unit.actor.sees_account("playground.key", account), missing)
    await _forget_those_that_are_over(unit)
    key_id, text, end = PLAYGROUND_ID + secrets.token_hex(6), new_key_text(), unit.now + LIFETIME
    row = {
        "id": key_id,
        "name": key_id,  # another one each: it is in the way of nobody's key
        "account": account,
        "digest": digest_of(text).hex(),
        "created_at": unit.now,
        "expires_at": end,
        "prefix": shown_prefix(text),
        "created_by": unit.actor.id if unit.actor.kind is ActorKind.PERSON else None,
        "deployments": new.deployment,
    }
    await unit.registry.insert(keys, row)
    noted = {"deployment": new.deployment, "expires_at": end}
    await unit.note("playground.key", key_id, account=account, after=noted)
    return PlaygroundKey(id=key_id, key=text, deployment=new.deployment, expires_at=end)


async def end_playground_key(unit: UnitOfWork, key_id: str) -> Nothing:
    """Forget a key whose page is left. Raises NotFound."""
    mine = (keys.c.id == key_id) & keys.c.id.startswith(PLAYGROUND_ID, autoescape=True)
    row = (await unit.connection.execute(select(keys).where(mine))).first()
    missing = "There is no key of this id."
    if row is None:
        raise NotFound(missing)
    unit.actor.require(unit.actor.sees_own("playground.end", row.created_by, row.account), missing)
    await unit.registry.delete(keys, key_id)
    return Nothing()


async def end_playground_keys_of(unit: UnitOfWork, person_id: str) -> None:
    """Forget all of somebody's, whose sessions end, or who may see other deployments: a page asks for a new one."""
    theirs = keys.c.id.startswith(PLAYGROUND_ID, autoescape=True) & (keys.c.created_by == person_id)
    for key_id in (await unit.connection.execute(select(keys.c.id).where(theirs))).scalars().all():
        await unit.registry.delete(keys, key_id)


async def _forget_those_that_are_over(unit: UnitOfWork) -> None:
    ours = keys.c.id.startswith(PLAYGROUND_ID, autoescape=True)
    is_over = or_(keys.c.expires_at <= unit.now, keys.c.revoked_at.is_not(None))
    for key_id in (await unit.connection.execute(select(keys.c.id).where(ours & is_over))).scalars().all():
        await unit.registry.delete(keys, key_id)
    stale = key_uses.c.key.startswith(PLAYGROUND_ID, autoescape=True) & key_uses.c.key.not_in(select(keys.c.id))
    await unit.connection.execute(delete(key_uses).where(stale))
