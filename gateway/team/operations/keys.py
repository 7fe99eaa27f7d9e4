"""What is done with keys."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, select
from sqlalchemy.engine import Row

from gateway.core.account import Key as StoredKey
from gateway.core.account import new_key_id, new_key_text, shown_prefix
from gateway.core.secret_text import digest_of
from gateway.registry.database.rows import key_of
from gateway.registry.database.tables import deployments, keys
from gateway.registry.database.team_tables import key_uses
from gateway.team.actor import ActorKind
from gateway.team.models.common import Page
from gateway.team.models.keys import (
    CreatedKey,
    Key,
    KeyChange,
    KeyLimits,
    KeyQuery,
    KeyRevocation,
    KeyRotation,
    KeyState,
    NewKey,
    RotatedKey,
)
from gateway.team.operation_error import Conflict, FieldError, Invalid, NotFound
from gateway.team.operations.accounts import require_accounts
from gateway.team.operations.playground import PLAYGROUND_ID
from gateway.team.operations.search import has_text
from gateway.team.operations.traffic.limits import copy_limits, drop_limits
from gateway.team.paging import page_of
from gateway.team.roles import Reach
from gateway.team.unit_of_work import UnitOfWork

_WITH_USE = select(keys, key_uses.c.last_used_at).outerjoin(key_uses, key_uses.c.key == keys.c.id)
_NEVER_LATER = datetime.max.replace(tzinfo=UTC)
_PLAIN_COLUMNS = {"name", "enabled", "expires_at", "priority", "weight"}
_NOT_OF_A_PAGE = ~keys.c.id.startswith(PLAYGROUND_ID, autoescape=True)


async def list_keys(unit: UnitOfWork, query: KeyQuery) -> Page[Key]:
    """Those within the actor's reach, the oldest first; revoked and expired ones too, but no page's own."""
    selected: Select[Any] = _WITH_USE.where(*_reachable(unit), _NOT_OF_A_PAGE)
    if query.state is not None:
        selected = selected.where(_is(query.state, unit.now))
    if query.account is not None:
        selected = selected.where(keys.c.account == query.account)
    if query.search is not None:
        selected = selected.where(has_text(query.search, keys.c.name, keys.c.id, keys.c.prefix))
    return await page_of(
        unit.connection, query, selected, [keys.c.created_at, keys.c.id], lambda row: _view(row, unit.now)
    )


async def get_key(unit: UnitOfWork, key_id: str) -> Key:
    """One key. Raises NotFound."""
    return _view(await _row(unit, "keys.get", key_id), unit.now)


async def create_key(unit: UnitOfWork, new: NewKey) -> CreatedKey:
    """A new key, and its text. Raises Invalid for an account or a deployment that is not there, and Conflict."""
    if not unit.actor.sees_own("keys.create", unit.actor.id, new.account):
        raise NotFound(f"There is no account {new.account!r}.")
    await require_accounts(unit, [new.account])
    _check_end(new.expires_at, unit.now)
    await _check_limits(unit, new.account, new)
    await require_free_name(unit, new.account, new.name)
    _check_weight(unit, new.weight, 1.0)
    columns = {**_limit_columns(new), "priority": new.priority.value, "weight": new.weight}
    key_id, text = await _add(unit, new.account, new.name, new.expires_at, further=columns)
    made = _view(await _row(unit, "keys.create", key_id), unit.now)
    await unit.note("keys.create", key_id, account=new.account, after=made.model_dump(mode="json"))
    return CreatedKey(**made.model_dump(), key=text)


async def change_key(unit: UnitOfWork, key_id: str, change: KeyChange) -> Key:
    """Make it different in what is named. Raises NotFound, Invalid, Conflict, Stale."""
    row = await _row(unit, "keys.change", key_id)
    before = _view(row, unit.now)
    unit.check_version(before.version)
    _require_not_revoked(before)
    named = change.model_dump(include=change.model_fields_set)
    for field in ("name", "enabled", "priority", "weight"):
        if field in named and named[field] is None:
            raise Invalid(errors=[FieldError(field, "must not be null")])
    _check_end(named.get("expires_at"), unit.now)
    await _check_limits(unit, before.account, change)
    works_again = before.state == KeyState.EXPIRED and "expires_at" in named
    if works_again or named.get("name", before.name) != before.name:
        await require_free_name(unit, before.account, named.get("name", before.name))
    _check_weight(unit, named.get("weight", before.weight), before.weight)
    columns = {name: value for name, value in named.items() if name in _PLAIN_COLUMNS}
    columns |= {name: value for name, value in _limit_columns(change).items() if name in named}
    if all(row._mapping[name] == value for name, value in columns.items()):
        return before
    await _update(unit, key_id, columns)
    return await _changed(unit, "keys.change", row)


async def rotate_key(unit: UnitOfWork, key_id: str, rotation: KeyRotation) -> RotatedKey:
    """A successor with the same limits, and its text; the old key ends after the grace. Raises NotFound, Conflict."""
    row = await _row(unit, "keys.rotate", key_id)
    old, before = key_of(row._mapping), _view(row, unit.now)
    unit.check_version(before.version)
    if not old.is_valid(unit.now):
        raise Conflict(f"Key {key_id} is {before.state}; create a new one.")
    if (await unit.connection.execute(select(keys.c.id).where(keys.c.successor_of == key_id))).first():
        raise Conflict(f"Key {key_id} was rotated before; rotate its successor.")
    end = rotation.expires_at
    if end is None and old.expires_at is not None:
        end = unit.now + min(old.expires_at - row._mapping["created_at"], _NEVER_LATER - unit.now)
    _check_end(end, unit.now)
    kept = {name: row._mapping[name] for name in ("deployments", "endpoints", "networks", "priority", "weight")}
    new_id, text = await _add(unit, old.account, old.name, end, further=kept, successor_of=key_id)
    await copy_limits(unit, key_id, new_id)
    old_end = min(unit.now + rotation.grace_seconds, old.expires_at or _NEVER_LATER)
    await _update(unit, key_id, {"expires_at": old_end})
    made = _view(await _row(unit, "keys.rotate", new_id), unit.now)
    await unit.note(
        "keys.rotate",
        key_id,
        account=old.account,
        before={"expires_at": before.expires_at},
        after={"expires_at": old_end, "successor": new_id},
    )
    return RotatedKey(**made.model_dump(), key=text, old_expires_at=old_end)


async def revoke_key(unit: UnitOfWork, key_id: str, revocation: KeyRevocation) -> Key:
    """End it now. Doing so again changes nothing, but that answers still running on it may be broken off."""
    row = await _row(unit, "keys.revoke", key_id)
    before = _view(row, unit.now)
    unit.check_version(before.version)
    cut = row._mapping["cut"] or revocation.now
    if before.revoked_at is not None and cut == row._mapping["cut"]:
        return before
    await drop_limits(unit, subject_kind="key", subject=key_id)
    await _update(unit, key_id, {"revoked_at": before.revoked_at or unit.now, "cut": cut})
    return await _changed(unit, "keys.revoke", row)


def _reachable(unit: UnitOfWork) -> list[ColumnElement[bool]]:
    match unit.actor.reach("keys.list"):
        case Reach.EVERYTHING:
            return []
        case Reach.ACCOUNTS:
            return [keys.c.account.in_(unit.actor.accounts)]
        case Reach.OWN:
            return [keys.c.account.in_(unit.actor.accounts), keys.c.created_by == unit.actor.id]


def _is(state: KeyState, now: datetime) -> ColumnElement[bool]:
    """What `Key.state` says, as a condition."""
    is_revoked, is_over = keys.c.revoked_at.is_not(None), and_(keys.c.expires_at.is_not(None), keys.c.expires_at <= now)
    match state:
        case KeyState.REVOKED:
            return is_revoked
        case KeyState.EXPIRED:
            return and_(~is_revoked, is_over)
        case KeyState.OFF:
            return and_(~is_revoked, ~is_over, ~keys.c.enabled)
        case KeyState.VALID:
            return and_(~is_revoked, ~is_over, keys.c.enabled)


async def _row(unit: UnitOfWork, action: str, key_id: str) -> Row[Any]:
    row = (await unit.connection.execute(_WITH_USE.where(keys.c.id == key_id, _NOT_OF_A_PAGE))).first()
    missing = "There is no key of this id."
    if row is None:
        raise NotFound(missing)
    unit.actor.require(unit.actor.sees_own(action, row._mapping["created_by"], row._mapping["account"]), missing)
    return row


def _view(row: Row[Any], now: datetime) -> Key:
    noted = {name: row._mapping[name] for name in ("prefix", "created_at", "created_by", "last_used_at", "version")}
    return view_of(key_of(row._mapping), now, **noted)


def view_of(
    stored: StoredKey,
    now: datetime,
    *,
    prefix: str | None = None,
    created_at: datetime | None = None,
    created_by: str | None = None,
    last_used_at: datetime | None = None,
    version: int = 1,
) -> Key:
    """A key as it is shown. What is left out is known of keys in a database alone."""
    return Key(
        id=stored.id,
        name=stored.name,
        account=stored.account,
        state=stored.state(now),
        prefix=prefix,
        created_at=created_at,
        created_by=created_by,
        expires_at=stored.expires_at,
        revoked_at=stored.revoked_at,
        last_used_at=last_used_at,
        enabled=stored.enabled,
        deployments=stored.deployments,
        endpoints=stored.endpoints,
        networks=stored.networks,
        priority=stored.priority,
        weight=stored.weight,
        successor_of=stored.successor_of,
        version=version,
    )


async def _add(
    unit: UnitOfWork,
    account: str,
    name: str,
    expires_at: datetime | None,
    *,
    further: dict[str, object],
    successor_of: str | None = None,
) -> tuple[str, str]:
    """A new row. Returns the key's id, and its text, which is stored nowhere."""
    key_id, text = new_key_id(), new_key_text()
    is_person = unit.actor.kind is ActorKind.PERSON
    row = {
        "id": key_id,
        "name": name,
        "account": account,
        "digest": digest_of(text).hex(),
        "created_at": unit.now,
        "expires_at": expires_at,
        "successor_of": successor_of,
        "prefix": shown_prefix(text),
        "created_by": unit.actor.id if is_person else None,
    }
    await unit.registry.insert(keys, {**row, **further})
    return key_id, text


async def _update(unit: UnitOfWork, key_id: str, columns: dict[str, object]) -> None:
    await unit.registry.update(keys, key_id, {**columns, "version": keys.c.version + 1})


async def _changed(unit: UnitOfWork, action: str, before: Row[Any]) -> Key:
    """Note a change of a key, whose row this was. Returns it as it is."""
    row = await _row(unit, action, before._mapping["id"])
    after = _view(row, unit.now)
    was, is_now = _noted(before, unit.now), _noted(row, unit.now)
    await unit.note(action, after.id, account=after.account, before=was, after=is_now)
    return after


def _noted(row: Row[Any], now: datetime) -> dict[str, object]:
    """A key as the audit log has it: it says, too, whether the answers that run on it are broken off."""
    return {**_view(row, now).model_dump(mode="json"), "cut": row._mapping["cut"]}


def _limit_columns(limits: KeyLimits) -> dict[str, object]:
    named = {"deployments": limits.deployments, "endpoints": limits.endpoints, "networks": limits.networks}
    return {name: None if values is None else ",".join(values) for name, values in named.items()}


async def _check_limits(unit: UnitOfWork, account: str, limits: KeyLimits) -> None:
    """Raise Invalid for a deployment that the account has not: a slip would make a key that opens nothing."""
    if limits.deployments is None:
        return
    found = await unit.connection.execute(select(deployments.c.id).where(deployments.c.account == account))
    missing = sorted(set(limits.deployments) - set(found.scalars()))
    if missing:
        sentence = f"Account {account} has no deployment {missing[0]!r}."
        raise Invalid(sentence, [FieldError("deployments", "names no deployment of the account")])


def _check_weight(unit: UnitOfWork, weight: float, before: float) -> None:
    """Raise Invalid for somebody who would give the own keys a larger share than others have."""
    if weight != before and unit.actor.reach("keys.list") is Reach.OWN:
        raise Invalid("The weight of a key is for admins to say.", [FieldError("weight", "is for admins to say")])


def _check_end(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        sentence = "The key would have expired before it was made."
        raise Invalid(sentence, [FieldError("expires_at", "lies in the past")])


def _require_not_revoked(key: Key) -> None:
    if key.revoked_at is not None:
        raise Conflict(f"Key {key.id} is revoked, which is for good; create a new one.")


async def require_free_name(unit: UnitOfWork, account: str, name: str, where: str = "") -> None:
    """Make sure that no valid key of the account has this name: an ended one no longer needs it.

    It is no rule of the schema: a key and its successor share their name for a while, and older databases hold others.
    """
    same = (keys.c.account == account) & (keys.c.name == name)
    for row in await unit.connection.execute(select(keys).where(same)):
        if (key := key_of(row._mapping)).state(unit.now) in {"valid", "off"}:
            raise Conflict(
                f"Account {account} has a valid key {name!r} already, {key.id}: "
                f"choose another name{where}, or revoke that key first (to replace it, rotate it)."
            )
