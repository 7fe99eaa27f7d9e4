"""The changes that somebody may see, as they happen: rows of the audit log, after those that were seen."""

from dataclasses import dataclass

from sqlalchemy import func, select

from gateway.registry.database.team_tables import audit
from gateway.team.actor import Actor
from gateway.team.models.audit import AuditRow
from gateway.team.operation_error import Denied
from gateway.team.operations.audit_log import row_of
from gateway.team.operations.operation import require_permission
from gateway.team.operations.table import OPERATIONS
from gateway.team.roles import Reach
from gateway.team.unit_of_work import TeamDatabase

_AT_ONCE = 500


@dataclass
class Seen:
    """The number of the last row that was looked at."""

    number: int


async def newest_change(database: TeamDatabase) -> int:
    """The number of the newest row; 0 if there is none."""
    async with database.connect() as connection:
        return (await connection.execute(select(func.max(audit.c.id)))).scalar_one() or 0


async def changes_after(database: TeamDatabase, actor: Actor, seen: Seen) -> list[AuditRow]:
    """The next rows within the actor's reach, at most 500, the oldest first; `seen` is moved on past them.

    Who may not read the audit log is not told what was before and after, nor from where it was done.
    """
    newest = await newest_change(database)
    if newest <= seen.number:
        return []
    selected = select(audit).where(audit.c.id > seen.number, audit.c.id <= newest)
    if actor.reach("events.watch") is not Reach.EVERYTHING:
        selected = selected.where(audit.c.account.in_(actor.accounts))
    async with database.connect() as connection:
        rows = (await connection.execute(selected.order_by(audit.c.id).limit(_AT_ONCE))).all()
    seen.number = rows[-1].id if len(rows) == _AT_ONCE else newest
    found = [row_of(row) for row in rows]
    if _reads_audit(actor):
        return found
    return [row.model_copy(update={"before": None, "after": None, "address": None}) for row in found]


def _reads_audit(actor: Actor) -> bool:
    try:
        require_permission(actor, OPERATIONS["audit.list"])
    except Denied:
        return False
    return True
