"""`/activity`: who streams what now; admins end it."""

from contextlib import suppress
from typing import Any

from aiohttp import web

from gateway.server.activity.notice_boards import BOARDS
from gateway.server.pages.layout import base_path, is_by_itself, may, own_path, page, redirect, rendered, template
from gateway.server.pages.live_part import live_part
from gateway.server.pages.operations import do
from gateway.team.actor import Actor
from gateway.team.operation_error import Conflict, NotFound
from gateway.team.roles import Reach

_ACTIVITY_LIVE = template("activity_live.html")
_ACTIVITY = template("activity.html")


@page
async def overview(request: web.Request, actor: Actor) -> web.StreamResponse:
    """The list; its live part alone where that is asked for."""
    live = await _live(request, actor)
    if is_by_itself(request):
        reach = None if actor.reach("activity.list") is Reach.EVERYTHING else actor.accounts
        return live_part(request, _ACTIVITY_LIVE, (actor.role, reach, base_path(request)), **live)
    return rendered(request, _ACTIVITY, actor, **live)


@page
async def end(request: web.Request, actor: Actor) -> web.StreamResponse:
    """Break an answer off. One that is over already is what was wanted."""
    with suppress(NotFound):
        await do(request, actor, "activity.end", request.match_info["exchange"])
    return redirect(request, "/activity")


@page
async def move(request: web.Request, actor: Actor) -> web.Response:
    """Let a request be the next in its line. One that has had its turn meanwhile is what was wanted."""
    with suppress(NotFound, Conflict):
        await do(request, actor, "activity.move", request.match_info["exchange"])
    form = await request.post()
    return redirect(request, own_path(str(form.get("back", "/activity"))))


async def _live(request: web.Request, actor: Actor) -> dict[str, Any]:
    found = await do(request, actor, "activity.list")
    return {
        "items": found.items,
        "silent": (await request.app[BOARDS].carried()).silent,
        "may_end": may(actor, "activity.end"),
        "may_move": may(actor, "activity.move"),
        "base": base_path(request),
    }
