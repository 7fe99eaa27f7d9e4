"""What is done with usage: it is read, and added up anew for each who asks."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Column, ColumnElement, Table, select

from gateway.registry.database.tables import keys
from gateway.registry.database.team_tables import people
from gateway.registry.database.usage_tables import usage_days, usage_hours
from gateway.team.models.usage import (
    TIMES,
    UNKNOWN,
    UsageQuery,
    UsageReport,
    UsageRow,
    UsageSums,
)
from gateway.team.operations.traffic.names import names_of
from gateway.team.roles import Reach
from gateway.team.unit_of_work import UnitOfWork
from gateway.usage.spans import AskedSpan, Days, Hours, days_of, hours_of
from gateway.usage.stored_usage import OTHERS, Grouping, SummedUsage, UsageGroup, add_up, most_used

_MOST_ROWS = 10_000
_MOST_MERGED = 1_000  # hours that are named
# The columns that tell the rows apart.
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "key": ("account", "key", "person"),
    "person": ("person",),
    "account": ("account",),
    "deployment": ("account", "deployment"),
    "endpoint": ("endpoint",),
}


async def get_usage(unit: UnitOfWork, query: UsageQuery) -> UsageReport:
    """Who used how much, of what is within the actor's reach: of a member what was used with keys of their own."""
    *times, subject = query.by.split(",")
    if subject in TIMES:
        times, subject = [subject], ""
    time = times[0] if times else ""
    span, table, covered = _read_from(unit, query, time)
    within = [covered, *_reachable(unit, table), *_chosen(query, table)]
    only = None
    if subject and query.top is not None:
        only = await most_used(unit.connection, table, within, subject, query.top)
    grouping = Grouping(time, subject, _COLUMNS.get(subject, ()), only)
    added, total = await add_up(unit.connection, table, within, unit.server.usage.prices, grouping, most=_MOST_ROWS)
    # In a thread, as all that grows with the number of keys: requests are served meanwhile.
    ordered = await asyncio.to_thread(_in_order, added)
    shown = ordered[:_MOST_ROWS]
    names = {
        **await names_of(unit.connection, keys, (one.key for one in shown)),
        **await names_of(unit.connection, people, (one.person for one in shown)),
    }
    rows = await asyncio.to_thread(lambda: [_row(group, added[group], names) for group in shown])
    waiting_since = await unit.usage_waiting_since()
    has_prices = total.cost is not None
    return UsageReport(
        since=span.since,
        until=span.until,
        source=span.source,
        time_zone=unit.server.time_zone,
        currency=unit.server.usage.prices.currency if has_prices else None,
        rows=rows,
        is_cut=len(ordered) > len(shown),
        total=UsageSums(**_shown(total)),
        merged_hours=await _merged_hours(unit, query),
        waiting_since=waiting_since if waiting_since is not None and waiting_since < span.until else None,
    )


def _read_from(unit: UnitOfWork, query: UsageQuery, time: str) -> tuple[Hours | Days, Table, ColumnElement[bool]]:
    """By the hour as far as hours are kept, else by the day; and so where days are asked for."""
    asked = AskedSpan(query.since, query.until, unit.now)
    hours = hours_of(asked)
    kept = unit.now - timedelta(days=unit.server.usage.hours_days)
    if time == "hour" or (time != "day" and hours.since >= kept):
        column: Column[Any] = usage_hours.c.hour
        return hours, usage_hours, (column >= hours.since) & (column < hours.until)
    days = days_of(asked, ZoneInfo(unit.server.time_zone))
    return days, usage_days, usage_days.c.day.between(days.first, days.last)


async def _merged_hours(unit: UnitOfWork, query: UsageQuery) -> list[datetime]:
    """The hours of which the keys are not known, of what an actor who sees everything has asked for."""
    if unit.actor.reach("usage.get") is not Reach.EVERYTHING:
        return []
    hour = usage_hours.c.hour
    span = hours_of(AskedSpan(query.since, query.until, unit.now))
    merged = select(hour).where(hour >= span.since, hour < span.until, usage_hours.c.key == "")
    found = await unit.connection.execute(merged.distinct().order_by(hour.desc()).limit(_MOST_MERGED))
    return list(found.scalars())


def _in_order(added: Mapping[UsageGroup, SummedUsage]) -> list[UsageGroup]:
    """By time, then who used most; all others at the end."""
    return sorted(added, key=lambda group: (str(group.time), OTHERS in group, *added[group].weight, *group[1:]))


def _reachable(unit: UnitOfWork, table: Table) -> list[ColumnElement[bool]]:
    if unit.actor.reach("usage.get") is Reach.EVERYTHING:
        return []
    return [table.c.person == unit.actor.id, table.c.account.in_(unit.actor.accounts)]


def _chosen(query: UsageQuery, table: Table) -> list[ColumnElement[bool]]:
    named = query.model_dump(include={"account", "deployment", "key", "person"}, exclude_none=True)
    return [table.c[name] == value for name, value in named.items()]


def _row(group: UsageGroup, added: SummedUsage, names: Mapping[str, str]) -> UsageRow:
    told: dict[str, Any] = {name: _told(getattr(group, name)) for name in UsageGroup._fields if name != "time"}
    return UsageRow(
        **_shown(added),
        hour=group.time if isinstance(group.time, datetime) else None,
        day=group.time if group.time and isinstance(group.time, str) else None,
        **told,
        key_name=names.get(group.key),
        person_name=names.get(group.person),
        is_others=OTHERS in group,
    )


def _told(value: str) -> str | None:
    return None if value in {"", OTHERS} else value


def _shown(added: SummedUsage) -> dict[str, Any]:
    """As the fields of an answer."""
    sums = added.sums
    found: dict[str, Any] = {name: value for name, value in sums.items() if name in UsageSums.model_fields}
    return found | {
        "first_byte_mean_seconds": _mean(sums["first_byte_seconds"], sums["answered"]),
        "duration_mean_seconds": _mean(sums["duration_seconds"], sums["requests"]),
        "endings": {name or UNKNOWN: number for name, number in sorted(added.endings.items())},
        "cost": added.cost,
    }


def _mean(total: float, number: float) -> float | None:
    return total / number if number else None
