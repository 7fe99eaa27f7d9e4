"""`/keys`: keys made, shown once, switched off and on, rotated and revoked. Admins see all, members their own."""

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from multidict import MultiDictProxy

from gateway.core.account import Priority
from gateway.core.endpoints import EndpointGroup
from gateway.core.rate_limits import SubjectKind
from gateway.server.admission import REGISTRY
from gateway.server.handlers.dashboard import PAGE
from gateway.server.handlers.viewer_base import base_url_of
from gateway.server.pages.layout import may, page, redirect, rendered, shown_at, template
from gateway.server.pages.limits import limits_on
from gateway.server.pages.operations import do, read_form, text_of, version_of, words_of
from gateway.team.actor import Actor
from gateway.team.models.common import Page, PageQuery
from gateway.team.models.keys import CreatedKey, Key, KeyChange, KeyQuery, KeyRevocation, KeyState, NewKey
from gateway.team.models.people import Person, PersonQuery
from gateway.team.operation_error import Conflict, FieldError, Invalid, NotFound, OperationError, Stale

_KEYS = template("keys.html")
_KEY = template("key.html")

_BLANK: dict[str, object] = {
    "account": "",
    "name": "",
    "networks": "",
    "lifetime": "",
    "deployments": (),
    "endpoints": (),
    "priority": Priority.INTERACTIVE.value,
    "weight": "1",
}


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
async def one(request: web.Request, actor: Actor) -> web.Response:
    """One key, and the form that changes it."""
    return await _one(request, actor, request.match_info["key"])


@page
async def change(request: web.Request, actor: Actor) -> web.Response:
    """Change a key; or the form again as it was filled in, with what was wrong, or what others changed meanwhile."""
    key_id, form = request.match_info["key"], await request.post()
    given = _given(form) | {"ends": text_of(form, "ends")}
    key: Key = await do(request, actor, "keys.get", key_id)
    given |= {name: given[name] or _stored(key)[name] for name in ("priority", "weight")}  # not all may say these
    try:
        asked = read_form(
            KeyChange, {"name": given["name"], "expires_at": _end(key, given), **_limits(given), **_turns(given)}
        )
        await do(request, actor, "keys.change", key_id, asked=asked, expected_version=version_of(form))
    except (Invalid, Conflict, Stale) as error:
        return await _one(request, actor, key_id, error=error, given=given)
    return redirect(request, f"/keys/{key_id}?done=saved")


@page
async def act(request: web.Request, actor: Actor) -> web.Response:
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
    is_at_its_own = form.get("back") == "key"
    return redirect(request, f"/keys/{key_id}?done=saved" if is_at_its_own else "/keys" + _narrowed(request))


async def _overview(
    request: web.Request,
    actor: Actor,
    *,
    made: CreatedKey | None = None,
    error: OperationError | None = None,
    given: dict[str, object] | None = None,
    status: int = 200,
) -> web.Response:
    search, state = request.query.get("search", "").strip()[:64], request.query.get("state", "")
    narrowed = {"search": search or None, "state": state or None, "cursor": request.query.get("cursor") or None}
    found: Page[Key] = await do(request, actor, "keys.list", asked=read_form(KeyQuery, narrowed))
    accounts = await do(request, actor, "accounts.list", asked=PageQuery(limit=1000))
    mine = {account.id for account in accounts.items}
    answer = rendered(
        request,
        _KEYS,
        actor,
        status=status,
        keys=found.items,
        next_cursor=found.next_cursor,
        is_first=not request.query.get("cursor"),
        search=search,
        state=state,
        states=list(KeyState),
        narrowed=_narrowed(request),
        makers=await _makers(request, actor),
        accounts=sorted(mine),
        deployments=_deployments_of(request, mine),
        groups=list(EndpointGroup),
        made=made,
        try_it=_try_it(request, made) if made is not None else "",
        message=words_of(error),
        fields=error.errors if isinstance(error, Invalid) else (),
        given=_BLANK | (given or {}),
    )
    return answer if request.method == "GET" else shown_at(request, answer, "/keys" + _narrowed(request))


async def _one(
    request: web.Request,
    actor: Actor,
    key_id: str,
    *,
    error: OperationError | None = None,
    given: dict[str, object] | None = None,
) -> web.Response:
    key: Key = await do(request, actor, "keys.get", key_id)
    stored = _stored(key)
    answer = rendered(
        request,
        _KEY,
        actor,
        status=200 if error is None else 422 if isinstance(error, Invalid) else 409,
        key=key,
        maker=(await _makers(request, actor)).get(key.created_by or "", ""),
        deployments=sorted({*_deployments_of(request, {key.account}), *(key.deployments or ())}),
        groups=list(EndpointGroup),
        limits=await limits_on(request, actor, SubjectKind.KEY, key_id),
        may_limit=may(actor, "limits.set"),
        is_saved=request.query.get("done") == "saved",
        message=words_of(error),
        fields=error.errors if isinstance(error, Invalid) else (),
        given=given or stored,
        differing=(
            {name: value for name, value in stored.items() if given[name] != value}
            if isinstance(error, Stale) and given is not None
            else {}
        ),
    )
    return answer if request.method == "GET" else shown_at(request, answer, f"/keys/{key_id}")


async def _makers(request: web.Request, actor: Actor) -> dict[str, str]:
    """The names of those whose keys somebody sees, by id."""
    people: Page[Person] = await do(request, actor, "people.list", asked=PersonQuery(limit=1000))
    return {person.id: person.name for person in people.items}


def _deployments_of(request: web.Request, accounts: Collection[str]) -> list[str]:
    known = request.app[REGISTRY].snapshot.deployments.values()
    return sorted(one.id for one in known if one.account in accounts)


def _narrowed(request: web.Request) -> str:
    """The part of the address that says which keys are listed."""
    given = {name: request.query[name] for name in ("search", "state", "cursor") if request.query.get(name)}
    return "?" + urlencode(given) if given else ""


def _new_key(form: MultiDictProxy[Any]) -> NewKey:
    """The key that the form asks for. Raises Invalid."""
    given = _given(form)
    days = str(given["lifetime"])
    end = datetime.now(UTC) + timedelta(days=int(days)) if days.isdecimal() and len(days) < 5 else None
    values = {"account": given["account"], "name": given["name"], "expires_at": end, **_limits(given), **_turns(given)}
    return read_form(NewKey, values)


def _turns(given: dict[str, object]) -> dict[str, object]:
    """How its requests wait in line, as far as the form says."""
    return {name: given[name] for name in ("priority", "weight") if given.get(name)}


def _limits(given: dict[str, object]) -> dict[str, object]:
    return {
        "deployments": given["deployments"] or None,
        "endpoints": given["endpoints"] or None,
        "networks": str(given["networks"]).replace(",", " ").split() or None,
    }


def _end(key: Key, given: dict[str, object]) -> datetime | None:
    """When the key ends: with the day that was chosen, in UTC; as before, if it is the same day. Raises Invalid."""
    if given["ends"] == _stored(key)["ends"]:
        return key.expires_at
    if not given["ends"]:
        return None
    try:
        return datetime.combine(date.fromisoformat(str(given["ends"])), time.max, UTC).replace(microsecond=0)
    except ValueError:
        raise Invalid("This is no day.", [FieldError("expires_at", "must be a day like 2030-12-31")]) from None


def _given(form: MultiDictProxy[Any]) -> dict[str, object]:
    plain: dict[str, object] = {
        name: text_of(form, name) for name in ("account", "name", "networks", "lifetime", "priority", "weight")
    }
    return plain | {name: tuple(map(str, form.getall(name, ()))) for name in ("deployments", "endpoints")}


def _stored(key: Key) -> dict[str, object]:
    return {
        "name": key.name,
        "ends": key.expires_at.date().isoformat() if key.expires_at is not None else "",
        "networks": ", ".join(key.networks or ()),
        "priority": key.priority.value,
        "weight": f"{key.weight:g}",
        "deployments": key.deployments or (),
        "endpoints": tuple(group.value for group in key.endpoints or ()),
    }


def _try_it(request: web.Request, made: CreatedKey) -> str:
    """A command that tries a new key with the first deployment it may call; nothing if there is none."""
    served = request.app[REGISTRY].snapshot.deployments.values()
    mine = sorted(one.id for one in served if one.account == made.account)
    callable_ones = [one for one in mine if made.deployments is None or one in made.deployments]
    if not callable_ones:
        return ""
    base = base_url_of(request, request.app[PAGE].clients_port)
    return f'curl {base}/api/gguf/{callable_ones[0]}/v1/models -H "Authorization: Bearer {made.key}"'
