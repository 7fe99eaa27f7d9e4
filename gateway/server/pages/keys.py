"""`/keys`: keys made, shown once, switched off and on, rotated and revoked. Admins see all, members their own."""

from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from multidict import MultiDictProxy
from pydantic import ValidationError

from gateway.config.validation_messages import sentences
from gateway.core.endpoints import EndpointGroup
from gateway.server.admission import REGISTRY
from gateway.server.handlers.dashboard import PAGE
from gateway.server.handlers.viewer_base import base_url_of
from gateway.server.pages.layout import page, redirect, rendered
from gateway.server.pages.operations import do, version_of
from gateway.team.actor import Actor
from gateway.team.models.common import Page, PageQuery
from gateway.team.models.keys import CreatedKey, Key, KeyChange, KeyQuery, KeyRevocation, NewKey
from gateway.team.operation_error import FieldError, Invalid, NotFound, OperationError

_BLANK: dict[str, object] = {"account": "", "name": "", "networks": "", "deployments": (), "endpoints": ()}


@page
async def overview(request: web.Request, actor: Actor) -> web.Response:
    """The list, and the form for a new one."""
    return await _overview(request, actor)


@page
async def create(request: web.Request, actor: Actor) -> web.Response:
    """Make a key and show it, this once; or the form again, with what was wrong."""
    form = await request.post()
    try:
        made: CreatedKey = await do(request, actor, "keys.create", asked=_new_key(form))
    except OperationError as error:
        return await _overview(request, actor, error=error, given=_given(form), status=422)
    return await _overview(request, actor, made=made, status=201)


@page
async def change(request: web.Request, actor: Actor) -> web.Response:
    """Switch a key off or on, rotate or revoke it."""
    form, key_id = await request.post(), request.match_info["key"]
    version = version_of(form)
    match request.match_info["action"]:
        case "off" | "on" as how:
            wanted = KeyChange(enabled=how == "on")
            await do(request, actor, "keys.change", key_id, asked=wanted, expected_version=version)
        case "revoke":
            now = KeyRevocation(now=form.get("now") == "yes")
            await do(request, actor, "keys.revoke", key_id, asked=now, expected_version=version)
        case "rotate":
            made: CreatedKey = await do(request, actor, "keys.rotate", key_id, expected_version=version)
            return await _overview(request, actor, made=made, status=201)
        case _:
            raise NotFound("Nothing like this can be done with a key.")
    return redirect(request, "/keys")


async def _overview(
    request: web.Request,
    actor: Actor,
    *,
    made: CreatedKey | None = None,
    error: OperationError | None = None,
    given: dict[str, object] | None = None,
    status: int = 200,
) -> web.Response:
    search = request.query.get("search", "").strip()[:64]
    query = KeyQuery(search=search or None, cursor=request.query.get("cursor") or None)
    found: Page[Key] = await do(request, actor, "keys.list", asked=query)
    accounts = await do(request, actor, "accounts.list", asked=PageQuery(limit=1000))
    known = request.app[REGISTRY].snapshot.deployments.values()
    mine = {account.id for account in accounts.items}
    return rendered(
        request,
        "keys.html",
        actor,
        status=status,
        keys=found.items,
        next_cursor=found.next_cursor,
        search=search,
        accounts=sorted(mine),
        deployments=sorted(one.id for one in known if one.account in mine),
        groups=list(EndpointGroup),
        made=made,
        try_it=_try_it(request, made) if made is not None else "",
        message=error.message if error is not None else "",
        fields=error.errors if isinstance(error, Invalid) else (),
        given=_BLANK | (given or {}),
    )


def _new_key(form: MultiDictProxy[Any]) -> NewKey:
    """The key that the form asks for. Raises Invalid."""
    given = _given(form)
    days = str(form.get("lifetime", ""))
    values = {
        "account": given["account"],
        "name": given["name"],
        "expires_at": datetime.now(UTC) + timedelta(days=int(days)) if days.isdecimal() and len(days) < 5 else None,
        "deployments": given["deployments"] or None,
        "endpoints": given["endpoints"] or None,
        "networks": str(given["networks"]).replace(",", " ").split() or None,
    }
    try:
        return NewKey.model_validate(values)
    except ValidationError as error:
        found = [FieldError(".".join(map(str, path)), text) for path, text in sentences(error, NewKey)]
        raise Invalid("The key cannot be made like this.", found) from None


def _given(form: MultiDictProxy[Any]) -> dict[str, object]:
    plain: dict[str, object] = {name: str(form.get(name, "")).strip() for name in ("account", "name", "networks")}
    return plain | {name: tuple(map(str, form.getall(name, ()))) for name in ("deployments", "endpoints")}


def _try_it(request: web.Request, made: CreatedKey) -> str:
    """A command that tries a new key with the first deployment it may call; nothing if there is none."""
    served = request.app[REGISTRY].snapshot.deployments.values()
    mine = sorted(one.id for one in served if one.account == made.account)
    callable_ones = [one for one in mine if made.deployments is None or one in made.deployments]
    if not callable_ones:
        return ""
    base = base_url_of(request, request.app[PAGE].clients_port)
    return f'curl {base}/api/gguf/{callable_ones[0]}/v1/models -H "Authorization: Bearer {made.key}"'
