"""`/deployments`: all at a glance, and what is done with them. Where one arrives after signing in."""

import asyncio
from collections.abc import Hashable
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from gateway.core.endpoints import EndpointGroup
from gateway.server.pages.deployments import form as fields
from gateway.server.pages.deployments.cards import card_of, glance
from gateway.server.pages.layout import base_path, is_by_itself, may, own_path, page, redirect, rendered, template
from gateway.server.pages.live_part import live_part
from gateway.server.pages.operations import do, version_of
from gateway.team.actor import Actor
from gateway.team.models.accounts import NewAccount
from gateway.team.models.common import Page, PageQuery
from gateway.team.models.deployments import Deployment, DeploymentQuery
from gateway.team.operation_error import Invalid, NotFound, OperationError
from gateway.team.roles import Reach

_DEPLOYMENTS_LIVE = template("deployments_live.html")
_DEPLOYMENTS = template("deployments.html")

_AT_ONCE = 60  # cards on a page


@page
async def overview(request: web.Request, actor: Actor) -> web.StreamResponse:
    """The cards; an admin's form for a new deployment."""
    return await _overview(request, actor)


@page
async def create(request: web.Request, actor: Actor) -> web.StreamResponse:
    """Make a deployment, and its account if that is wanted; or the form again, with what was wrong."""
    form = await request.post()
    try:
        new = fields.new_deployment(form)
        if form.get("new_account") == "yes" and new.account not in await _accounts(request, actor):
            await do(request, actor, "accounts.create", asked=NewAccount(id=new.account))
        made: Deployment = await do(request, actor, "deployments.create", asked=new)
    except OperationError as error:
        return await _overview(request, actor, error=error, given=fields.given(form), status=422)
    return redirect(request, f"/deployments/{made.id}")


@page
async def act(request: web.Request, actor: Actor) -> web.StreamResponse:
    """Pause, resume or remove a deployment."""
    form, name, action = await request.post(), request.match_info["deployment"], request.match_info["action"]
    if action not in {"pause", "resume", "remove"}:
        raise NotFound("Nothing like this can be done with a deployment.")
    await do(request, actor, f"deployments.{action}", name, expected_version=version_of(form))
    back = own_path(str(form.get("back", "")))
    is_gone = action == "remove" and back == f"/deployments/{name}"
    return redirect(request, "/deployments" if is_gone else back)


async def _overview(
    request: web.Request,
    actor: Actor,
    *,
    error: OperationError | None = None,
    given: fields.Fields | None = None,
    status: int = 200,
) -> web.Response:
    asked = _asked(request)
    live = await _live(request, actor, asked)
    if is_by_itself(request):
        return live_part(request, _DEPLOYMENTS_LIVE, _seen_by(request, actor, asked), **live)
    accounts = await _accounts(request, actor)

    def draw() -> web.Response:
        return rendered(
            request,
            _DEPLOYMENTS,
            actor,
            status=status,
            **live,
            accounts=accounts,
            groups=list(EndpointGroup),
            query=request.rel_url.raw_query_string,
            message=error.message if error is not None else "",
            fields=error.errors if isinstance(error, Invalid) else (),
            given=given or fields.blank(accounts[0] if len(accounts) == 1 else ""),
            theirs={},
        )

    return await asyncio.to_thread(draw)


async def _live(request: web.Request, actor: Actor, asked: DeploymentQuery) -> dict[str, Any]:
    """What the live part shows."""
    found: Page[Deployment] = await do(request, actor, "deployments.list", asked=asked)
    seen, is_admins = await glance(request.app), may(actor, "deployments.change")
    return {
        "cards": [card_of(request, one, seen, is_admins=is_admins) for one in found.items],
        "next_cursor": found.next_cursor,
        "is_first": asked.cursor is None,
        "search": asked.search or "",
        "account": asked.account or "",
        "may_change": is_admins,
        "has_accounts": is_admins or bool(actor.accounts),
        "silent": seen.carried.silent,
        "base": base_path(request),
        "back": _address_of(asked),
    }


def _address_of(asked: DeploymentQuery) -> str:
    """Where these deployments are shown, for who comes back from what was done with one."""
    given = asked.model_dump(include={"search", "account", "cursor"}, exclude_none=True)
    return "/deployments" + (f"?{urlencode(given)}" if given else "")


def _asked(request: web.Request) -> DeploymentQuery:
    given = request.query
    search, account = (given.get(name, "").strip()[:64] or None for name in ("search", "account"))
    try:
        return DeploymentQuery(limit=_AT_ONCE, search=search, account=account, cursor=given.get("cursor") or None)
    except ValueError:
        return DeploymentQuery(limit=_AT_ONCE, search=search)


def _seen_by(request: web.Request, actor: Actor, asked: DeploymentQuery) -> Hashable:
    reach = None if actor.reach("deployments.list") is Reach.EVERYTHING else actor.accounts
    return actor.role, reach, base_path(request), request.host, asked.search, asked.account, asked.cursor


async def _accounts(request: web.Request, actor: Actor) -> list[str]:
    found = await do(request, actor, "accounts.list", asked=PageQuery(limit=1000))
    return [account.id for account in found.items]
