"""How the audit log is read."""

import json
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Row

from gateway.registry.database.team_tables import audit
from gateway.team.models.audit import AuditQuery, AuditRow
from gateway.team.models.common import Page
from gateway.team.paging import page_of
from gateway.team.unit_of_work import UnitOfWork


async def list_audit(unit: UnitOfWork, query: AuditQuery) -> Page[AuditRow]:
    """The rows asked for, the newest first."""
    selected = select(audit) if query.since is None else select(audit).where(audit.c.at >= query.since)
    if query.actor is not None:
        selected = selected.where((audit.c.actor == query.actor) | (audit.c.actor_name == query.actor))
    for name in ("action", "target"):
        wanted = getattr(query, name)
        if wanted is not None:
            selected = selected.where(audit.c[name] == wanted)
    return await page_of(unit.connection, query, selected, [audit.c.id], row_of, newest_first=True)


def row_of(row: Row[Any]) -> AuditRow:
    """A row of the log as it is given."""
    values = dict(row._mapping)
    for name in ("before", "after"):
        values[name] = None if values[name] is None else json.loads(values[name])
    return AuditRow(**values)
