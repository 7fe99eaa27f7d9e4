"""What is done with limits on use."""

import math
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.engine import Row

from gateway.core.rate_limits import RateLimit, SubjectKind
from gateway.registry.database.rows import limit_of
from gateway.registry.database.tables import accounts, deployments, keys, limits
from gateway.registry.database.team_tables import people
from gateway.team.models.common import Page
from gateway.team.models.limits import Limit, LimitChange, LimitQuery, NewLimit
from gateway.team.operation_error import FieldError, Invalid, NotFound
from gateway.team.operations.traffic.names import names_of
from gateway.team.paging import page_of
from gateway.team.roles import Reach
from gateway.team.unit_of_work import UnitOfWork
from gateway.usage.limits.arithmetic.counting import LimitStanding

_TABLES = {SubjectKind.KEY: keys, SubjectKind.PERSON: people, SubjectKind.ACCOUNT: accounts}


async def list_limits(unit: UnitOfWork, query: LimitQuery) -> Page[Limit]:
    """Those within the actor's reach, with what is used and left: of members, what limits themselves."""
    selected: Select[Any] = select(limits).where(*_reachable(unit))
    given = {"subject_kind": query.kind, "subject": query.subject, "deployment": query.deployment}
    for column, value in given.items():
        if value is not None:
            selected = selected.where(limits.c[column] == str(value))
    order = [limits.c.subject_kind, limits.c.subject, limits.c.deployment, limits.c.measure]
    rows: list[Row[Any]] = []

    def keep(row: Row[Any]) -> str:
        rows.append(row)
        return str(row._mapping["id"])

    page = await page_of(unit.connection, query, selected, order, keep)
    return Page(items=await _views(unit, rows), next_cursor=page.next_cursor)


async def set_limit(unit: UnitOfWork, new: NewLimit) -> Limit:
    """Set a limit. Raises Invalid for a subject or a deployment that is not there."""
    account = await _account_of(unit, new.kind, new.subject)
    await _check_deployment(unit, new.deployment, account)
    same = select(limits).where(
        limits.c.subject_kind == new.kind.value,
        limits.c.subject == new.subject,
        limits.c.deployment == (new.deployment or ""),
        limits.c.measure == new.measure.value,
    )
    known = (await unit.connection.execute(same)).first()
    if known is not None:
        change = LimitChange(amount=new.amount, shadow=new.shadow)
        return await _change(unit, "limits.set", known, change)
    wanted = RateLimit("", new.kind, new.subject, new.measure, new.amount, new.deployment, new.shadow)
    limit_id = await add_limit(unit, wanted)
    made = await _view(unit, limit_id)
    await unit.note("limits.set", limit_id, account=account, after=_noted(made))
    return made


async def change_limit(unit: UnitOfWork, limit_id: str, change: LimitChange) -> Limit:
    """Give it another amount, or let it out of its shadow. Raises NotFound, Invalid, Stale."""
    row = await _row(unit, limit_id)
    unit.check_version(row._mapping["version"])
    for field in change.model_fields_set:
        if getattr(change, field) is None:
            raise Invalid(errors=[FieldError(field, "must not be null")])
    return await _change(unit, "limits.change", row, change)


async def remove_limit(unit: UnitOfWork, limit_id: str) -> Limit:
    """Let go of it. Raises NotFound."""
    before = await _view(unit, limit_id)
    unit.check_version(before.version)
    await unit.registry.delete(limits, limit_id)
    account = await _account_of(unit, before.kind, before.subject)
    await unit.note("limits.remove", limit_id, account=account, before=_noted(before))
    return before


async def add_limit(unit: UnitOfWork, limit: RateLimit) -> str:
    """A new row for a limit, and its id. Who adds it notes it."""
    limit_id = "lim_" + secrets.token_hex(6)
    row = {
        "id": limit_id,
        "subject_kind": limit.subject_kind.value,
        "subject": limit.subject,
        "deployment": limit.deployment or "",
        "measure": limit.measure.value,
        "amount": limit.amount,
        "shadow": limit.is_shadow,
        "created_at": unit.now,
        "counts_as": limit.counts_as,
    }
    await unit.registry.insert(limits, row)
    return limit_id


async def drop_limits(unit: UnitOfWork, **columns: str) -> None:
    """Forget the limits with these values, because what they are on is no more."""
    same = [limits.c[name] == value for name, value in columns.items()]
    for limit_id in (await unit.connection.execute(select(limits.c.id).where(*same))).scalars().all():
        await unit.registry.delete(limits, limit_id)


async def copy_limits(unit: UnitOfWork, key_id: str, successor: str) -> None:
    """Limit a key's successor as the key is: who rotates a key gets nothing anew."""
    same = select(limits).where(limits.c.subject_kind == SubjectKind.KEY.value, limits.c.subject == key_id)
    for row in (await unit.connection.execute(same)).all():
        limit = limit_of(row._mapping)
        await add_limit(unit, limit._replace(subject=successor, counts_as=limit.counts_as or key_id))


def _reachable(unit: UnitOfWork) -> list[ColumnElement[bool]]:
    if unit.actor.reach("limits.list") is Reach.EVERYTHING:
        return []
    mine = select(keys.c.id).where(keys.c.created_by == unit.actor.id, keys.c.account.in_(unit.actor.accounts))
    return [
        or_(
            and_(limits.c.subject_kind == SubjectKind.KEY.value, limits.c.subject.in_(mine)),
            and_(limits.c.subject_kind == SubjectKind.PERSON.value, limits.c.subject == unit.actor.id),
            and_(limits.c.subject_kind == SubjectKind.ACCOUNT.value, limits.c.subject.in_(unit.actor.accounts)),
        )
    ]


async def _row(unit: UnitOfWork, limit_id: str) -> Row[Any]:
    row = (await unit.connection.execute(select(limits).where(limits.c.id == limit_id))).first()
    if row is None:
        raise NotFound("There is no limit of this id.")
    return row


async def _view(unit: UnitOfWork, limit_id: str) -> Limit:
    [view] = await _views(unit, [await _row(unit, limit_id)])
    return view


async def _change(unit: UnitOfWork, action: str, row: Row[Any], change: LimitChange) -> Limit:
    [before] = await _views(unit, [row])
    named = {name: getattr(change, name) for name in change.model_fields_set}
    if all(row._mapping[name] == value for name, value in named.items()):
        return before
    await unit.registry.update(limits, before.id, {**named, "version": limits.c.version + 1})
    after = await _view(unit, before.id)
    account = await _account_of(unit, after.kind, after.subject)
    await unit.note(action, after.id, account=account, before=_noted(before), after=_noted(after))
    return after


async def _views(unit: UnitOfWork, rows: Sequence[Row[Any]]) -> list[Limit]:
    names = await _names(unit, rows)
    found = [limit_of(row._mapping) for row in rows]
    standings = unit.look_at(found)
    return [
        view_of(
            limit,
            names.get((limit.subject_kind, limit.subject)),
            None if standings is None else standings[index],
            created_at=row._mapping["created_at"],
            version=row._mapping["version"],
        )
        for index, (limit, row) in enumerate(zip(found, rows, strict=True))
    ]


def view_of(
    limit: RateLimit,
    name: str | None,
    standing: LimitStanding | None,
    *,
    created_at: datetime | None = None,
    version: int = 1,
) -> Limit:
    """A limit as it is shown."""
    return Limit(
        id=limit.id,
        kind=limit.subject_kind,
        subject=limit.subject,
        subject_name=name,
        deployment=limit.deployment,
        measure=limit.measure,
        amount=limit.amount,
        shadow=limit.is_shadow,
        used=None if standing is None else standing.used,
        left=None if standing is None else standing.left,
        resets_at=None if standing is None else _whole_second(standing.seen_at + standing.resets_in),
        created_at=created_at,
        version=version,
    )


def _whole_second(at: float) -> datetime:
    """The next one: where a day ends, the other begins, and not a moment before."""
    return datetime.fromtimestamp(math.ceil(round(at, 3)), UTC)  # `at` is a sum of floats


async def _names(unit: UnitOfWork, rows: Sequence[Row[Any]]) -> Mapping[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for kind, table in ((SubjectKind.KEY, keys), (SubjectKind.PERSON, people)):
        ids = (row._mapping["subject"] for row in rows if row._mapping["subject_kind"] == kind.value)
        named = await names_of(unit.connection, table, ids)
        found.update({(kind, subject): name for subject, name in named.items()})
    return found


async def _account_of(unit: UnitOfWork, kind: SubjectKind, subject: str) -> str | None:
    """The account that a limit concerns; None for a person's. Raises Invalid if there is no such subject."""
    table = _TABLES[kind]
    row = (await unit.connection.execute(select(table).where(table.c.id == subject))).first()
    if row is None:
        raise Invalid(f"There is no {kind} of the id {subject!r}.", [FieldError("subject", f"names no {kind}")])
    if kind is SubjectKind.PERSON:
        return None
    return subject if kind is SubjectKind.ACCOUNT else str(row._mapping["account"])


async def _check_deployment(unit: UnitOfWork, deployment: str | None, account: str | None) -> None:
    """Raise Invalid for one that is not there, or that the key or account could never call."""
    if deployment is None:
        return
    found = select(deployments.c.account).where(deployments.c.id == deployment)
    owner = (await unit.connection.execute(found)).scalar_one_or_none()
    if owner is None or (account is not None and owner != account):
        whose = "There is no deployment" if account is None else f"Account {account} has no deployment"
        raise Invalid(f"{whose} {deployment!r}.", [FieldError("deployment", "names no deployment of the account")])


def _noted(limit: Limit) -> dict[str, object]:
    """What the audit log has of it: not how it stands, which changes by itself."""
    return limit.model_dump(mode="json", exclude={"used", "left", "resets_at", "subject_name"})
