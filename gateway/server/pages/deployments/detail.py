"""`/deployments/{id}`: how programs call it, what was refused, its limits, and a form that changes it."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from gateway.core.endpoints import EndpointGroup
from gateway.server.admission import REGISTRY
from gateway.server.handlers.dashboard_view import rows
from gateway.server.pages.deployments import form as fields
from gateway.server.pages.deployments.cards import card_of, glance
from gateway.server.pages.deployments.tool_settings import settings_for
from gateway.server.pages.layout import base_path, is_by_itself, may, page, redirect, rendered, template
from gateway.server.pages.live_part import live_part
from gateway.server.pages.operations import do, version_of
from gateway.team.actor import Actor
from gateway.team.models.activity import Activity, ActivityQuery
from gateway.team.models.common import Page, PageQuery
from gateway.team.models.deployments import Deployment
from gateway.team.operation_error import Invalid, OperationError, Stale

_DEPLOYMENT_LIVE = template("deployment_live.html")
_DEPLOYMENT = template("deployment.html")

_MOST_IN_LINE = 10  # that are shown
_MOST_REFUSALS = 10  # that are shown, each with its neighbours that are like it
_STALE = (
    "Somebody else has changed this deployment since you opened the form. What you typed is kept; where theirs is "
    "another value it stands beside yours. Save again to put yours in its place."
)


@page
async def show(request: web.Request, actor: Actor) -> web.StreamResponse:
    """The page; its live part alone where that is asked for."""
    one: Deployment = await do(request, actor, "deployments.get", request.match_info["deployment"])
    live = await _live(request, actor, one)
    if is_by_itself(request):
        is_admins = may(actor, "deployments.change")
        return live_part(request, _DEPLOYMENT_LIVE, (one.id, is_admins, request.host, base_path(request)), **live)
    return await _page(request, actor, one, live)


@page
async def change(request: web.Request, actor: Actor) -> web.StreamResponse:
    """Change it. Who was overtaken by somebody else is told, and loses nothing of what they typed."""
    form, name = await request.post(), request.match_info["deployment"]
    try:
        asked = fields.change_of(form)
        await do(request, actor, "deployments.change", name, asked=asked, expected_version=version_of(form))
    except (Invalid, Stale) as error:
        one: Deployment = await do(request, actor, "deployments.get", name)
        typed = {**fields.given(form), "id": name}
        theirs = fields.differences(form, fields.fields_of(one)) if isinstance(error, Stale) else {}
        live = await _live(request, actor, one)
        status = 409 if isinstance(error, Stale) else 422
        return await _page(request, actor, one, live, error=error, typed=typed, theirs=theirs, status=status)
    return redirect(request, f"/deployments/{name}?done=saved")


async def _page(
    request: web.Request,
    actor: Actor,
    one: Deployment,
    live: dict[str, Any],
    *,
    error: OperationError | None = None,
    typed: fields.Fields | None = None,
    theirs: Mapping[str, str] | None = None,
    status: int = 200,
) -> web.Response:
    is_admins = may(actor, "deployments.change")
    accounts = await do(request, actor, "accounts.list", asked=PageQuery(limit=1000))
    return rendered(
        request,
        _DEPLOYMENT,
        actor,
        status=status,
        **live,
        shown=one,
        served=request.app[REGISTRY].snapshot.deployments.get(one.id),
        tools=settings_for(live["card"].standing.anthropic_url),
        accounts=[account.id for account in accounts.items],
        groups=list(EndpointGroup),
        given=typed or (fields.fields_of(one) if is_admins else {}),
        began=fields.as_text(fields.fields_of(one)) if is_admins else "",
        theirs=theirs or {},
        is_saved=request.query.get("done") == "saved",
        message="" if error is None else _STALE if isinstance(error, Stale) else error.message,
        fields=error.errors if isinstance(error, Invalid) else (),
    )


async def _live(request: web.Request, actor: Actor, one: Deployment) -> dict[str, Any]:
    is_admins, seen = may(actor, "deployments.change"), await glance(request.app)
    refused = [refusal for refusal in seen.carried.refused if refusal.deployment == one.id]
    under_way: Page[Activity] = await do(request, actor, "activity.list", asked=ActivityQuery(deployment=one.id))
    in_line = sorted((item for item in under_way.items if item.position), key=lambda item: item.position or 0)
    return {
        "line": tuple(in_line[:_MOST_IN_LINE]),
        "may_move": may(actor, "activity.move"),
        "card": card_of(request, one, seen, is_admins=is_admins),
        "refusals": tuple(rows(refused))[:_MOST_REFUSALS],
        "silent": seen.carried.silent,
        "may_change": is_admins,
        "base": base_path(request),
    }
