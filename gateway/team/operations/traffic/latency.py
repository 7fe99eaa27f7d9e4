"""How long requests took, as it is read: percentiles out of what was counted in buckets."""

from collections import defaultdict
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.engine import RowMapping

from gateway.registry.database.usage_tables import usage_latency
from gateway.team.models.usage import Latency, LatencyQuery, LatencyReport, LatencyRow
from gateway.team.roles import Reach
from gateway.team.unit_of_work import UnitOfWork
from gateway.telemetry.metrics import BOUNDS
from gateway.usage.quantiles import quantile
from gateway.usage.spans import AskedSpan, hours_of
from gateway.usage.stored_usage import UsageGroup


async def get_latency(unit: UnitOfWork, query: LatencyQuery) -> LatencyReport:
    """How long what took at the deployments within the actor's reach."""
    span = hours_of(AskedSpan(query.since, query.until, unit.now))
    columns = usage_latency.c
    within = [columns.hour >= span.since, columns.hour < span.until, *_chosen(query)]
    if unit.actor.reach("usage.latency") is not Reach.EVERYTHING:
        within.append(columns.account.in_(unit.actor.accounts))
    by = [columns.account, columns.deployment] if query.by == "deployment" else [columns.hour]
    summed = select(*by, columns.measure, columns.bucket, func.sum(columns.number).label("number"))
    summed = summed.where(*within).group_by(*by, columns.measure, columns.bucket)
    counted: defaultdict[tuple[str, UsageGroup], list[int]] = defaultdict(lambda: [0] * (len(BOUNDS) + 1))
    zone = ZoneInfo(unit.server.time_zone)
    for stored in (await unit.connection.execute(summed)).mappings():
        counted[stored["measure"], _group_of(stored, query.by, zone)][stored["bucket"]] += int(stored["number"])
    order = sorted(counted, key=lambda one: (one[0], str(one[1].time), *one[1][1:]))
    return LatencyReport(
        since=span.since,
        until=span.until,
        time_zone=unit.server.time_zone,
        rows=[_latency_row(measure, group, counted[measure, group]) for measure, group in order],
    )


def _chosen(query: LatencyQuery) -> list[ColumnElement[bool]]:
    named = query.model_dump(include={"account", "deployment"}, exclude_none=True)
    return [usage_latency.c[name] == value for name, value in named.items()]


def _group_of(stored: RowMapping, by: str, zone: ZoneInfo) -> UsageGroup:
    if by == "deployment":
        return UsageGroup(account=stored["account"], deployment=stored["deployment"])
    return UsageGroup(stored["hour"] if by == "hour" else stored["hour"].astimezone(zone).date().isoformat())


def _latency_row(measure: str, group: UsageGroup, counts: list[int]) -> LatencyRow:
    return LatencyRow(
        measure=Latency(measure),
        hour=group.time if isinstance(group.time, datetime) else None,
        day=group.time if group.time and isinstance(group.time, str) else None,
        account=group.account or None,
        deployment=group.deployment or None,
        number=sum(counts),
        p50=quantile(0.5, counts),
        p95=quantile(0.95, counts),
        p99=quantile(0.99, counts),
    )
