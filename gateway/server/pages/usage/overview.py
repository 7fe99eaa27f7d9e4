"""`/usage`: who used how much, over time; and what is shown, for download."""

import asyncio
from datetime import UTC, datetime
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web
from markupsafe import Markup

from gateway.server.pages.layout import HEADERS, base_path, is_by_itself, page, partly, rendered, template
from gateway.server.pages.live_part import live_part
from gateway.server.pages.operations import do
from gateway.server.pages.usage.choices import SPANS, SUBJECTS, Choices
from gateway.server.pages.usage.series import Chart, seconds
from gateway.server.pages.usage.view import TITLES, latency_charts, name_of, usage_charts
from gateway.server.team.team_database import TEAM
from gateway.team.actor import Actor
from gateway.team.models.deployments import DeploymentQuery
from gateway.team.models.usage import Latency, LatencyReport, UsageReport
from gateway.team.roles import Reach
from gateway.team.usage_csv import as_csv

_USAGE_CHARTS = template("usage_charts.html")
_USAGE_LIVE = template("usage_live.html")
_USAGE = template("usage.html")

_MOST_DEPLOYMENTS = 1000  # to choose from
_EVERY = 15  # seconds, after which the page asks for its live part: to draw charts that are new takes 0.2 s of CPU


@page
async def overview(request: web.Request, actor: Actor) -> web.Response:
    """The page, whose charts it then asks for; with `charts=drawn`, at once. Its live part has all of them anew."""
    chosen = _chosen(request)
    if request.query.get("part") == "charts":
        return partly(_USAGE_CHARTS, chosen=chosen, charts=await _charts(request, actor, chosen))
    live = await _live(request, actor, chosen)
    if is_by_itself(request):
        reach = None if live["sees_all"] else (actor.id, actor.accounts)
        return live_part(request, _USAGE_LIVE, (reach, base_path(request), chosen.as_query()), **live)
    known = await do(request, actor, "deployments.list", asked=DeploymentQuery(limit=_MOST_DEPLOYMENTS))
    deployments = [one.id for one in known.items]
    return rendered(request, _USAGE, actor, spans=SPANS, every=_EVERY, deployments=deployments, **live)


async def _live(request: web.Request, actor: Actor, chosen: Choices) -> dict[str, Any]:
    totals: UsageReport = await do(request, actor, "usage.get", asked=chosen.totals())
    latency: LatencyReport = await do(request, actor, "usage.latency", asked=chosen.latency("deployment"))
    at_once = is_by_itself(request) or request.query.get("charts") == "drawn"
    return {
        "base": base_path(request),
        "chosen": chosen,
        "subjects": SUBJECTS,
        "sees_all": actor.reach("usage.get") is Reach.EVERYTHING,
        "report": totals,
        "charts": await _charts(request, actor, chosen) if at_once else None,
        "titles": TITLES,
        "rows": [(name_of(row, chosen.by), row) for row in totals.rows],
        "latency": sorted(latency.rows, key=lambda row: (row.deployment or "", list(Latency).index(row.measure))),
        "seconds": seconds,
    }


async def _charts(request: web.Request, actor: Actor, chosen: Choices) -> list[tuple[Chart, Markup | None]]:
    times: UsageReport = await do(request, actor, "usage.get", asked=chosen.times())
    latency: LatencyReport = await do(request, actor, "usage.latency", asked=chosen.latency(chosen.time))
    charts = [*usage_charts(times, chosen.time, chosen.by), *latency_charts(latency, chosen.time)]
    drawing: Any = await asyncio.to_thread(import_module, "gateway.server.pages.usage.charts")
    return [(one, None if one.is_empty else await asyncio.to_thread(drawing.drawn, one)) for one in charts]


@page
async def download(request: web.Request, actor: Actor) -> web.Response:
    """`/usage.csv` and `/usage.json`: the table's rows, or with `rows=times` those of the charts."""
    chosen = _chosen(request)
    asked = chosen.times() if request.query.get("rows") == "times" else chosen.totals()
    report: UsageReport = await do(request, actor, "usage.get", asked=asked)
    is_csv = request.path.endswith(".csv")
    text = await asyncio.to_thread(as_csv, report.rows) + "\n" if is_csv else report.model_dump_json(indent=2)
    name = f"usage-{report.since:%Y-%m-%d}-{report.until:%Y-%m-%d}.{'csv' if is_csv else 'json'}"
    disposition = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    kind = "text/csv" if is_csv else "application/json"
    return web.Response(body=text.encode(), content_type=kind, charset="utf-8", headers={**HEADERS, **disposition})


def _chosen(request: web.Request) -> Choices:
    server = request.app[TEAM].server
    return Choices.of(request.query, datetime.now(UTC), ZoneInfo(server.time_zone), server.usage.hours_days)
