"""The audit log: who did what to what, before and after, from where, and when. Rows are added, and never changed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.registry.database.team_tables import audit
from gateway.team.actor import Actor
from gateway.team.models.common import as_utc

Values = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Change:
    """What was done. `before` is None for what was made, `after` for what was removed; no secret is in them."""

    action: str
    target: str
    account: str | None = None
    before: Values | None = None
    after: Values | None = None


async def note(connection: AsyncConnection, actor: Actor, change: Change) -> None:
    """Add a row, in the transaction of the change itself."""
    before, after = differing(change.before, change.after)
    await connection.execute(
        insert(audit).values(
            at=datetime.now(UTC),
            actor_kind=actor.kind.value,
            actor=actor.id,
            actor_name=actor.name,
            face=actor.way.face.value,
            address=actor.way.address,
            action=change.action,
            target=change.target,
            account=change.account,
            before=_json(before),
            after=_json(after),
        )
    )


def differing(before: Values | None, after: Values | None) -> tuple[Values | None, Values | None]:
    """Of a thing that was changed, only what is different now."""
    if before is None or after is None:
        return before, after
    names = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in names}, {name: after[name] for name in names}


async def forget(connection: AsyncConnection, kept_for: timedelta) -> int:
    """Remove the rows that are older than this. Returns how many they were.

    The newest stays: SQLite would number the next as if it were the first, and who follows the events waits for more.
    """
    is_old, newest = audit.c.at < datetime.now(UTC) - kept_for, select(func.max(audit.c.id)).scalar_subquery()
    done = await connection.execute(delete(audit).where(is_old & (audit.c.id < newest)))
    return done.rowcount


def _json(values: Values | None) -> str | None:
    return None if values is None else json.dumps(values, ensure_ascii=False, default=_plain)


def _plain(value: object) -> str:
    """A point in time as the admin API writes it, too."""
    return as_utc(value) if isinstance(value, datetime) else str(value)
