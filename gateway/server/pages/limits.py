"""`/limits`: how much keys, people and accounts may use, and what is left. Admins set them, members see their own.

For admins with each account's share where requests wait.
"""

from collections.abc import Sequence

from aiohttp import web

from gateway.core.rate_limits import Measure, SubjectKind
from gateway.server.admission import REGISTRY
from gateway.server.pages.layout import may, page, redirect, rendered, shown_at, template
from gateway.server.pages.operations import do, read_form, text_of, version_of, words_of
from gateway.team.actor import Actor
from gateway.team.models.accounts import Account, AccountChange
from gateway.team.models.common import Page, PageQuery
from gateway.team.models.keys import KeyQuery, KeyState
from gateway.team.models.limits import Limit, LimitChange, LimitQuery, NewLimit
from gateway.team.models.people import PersonQuery
from gateway.team.operation_error import Conflict, Invalid, NotFound, OperationError

_LIMITS = template("limits.html")

_BLANK = {"on": "", "measure": Measure.REQUESTS_PER_MINUTE.value, "amount": "", "deployment": "", "shadow": ""}
_DONE = {
    "set": "Set. It is in force within a second.",
    "removed": "Removed. It limits nobody any more.",
    "shared": "Saved. Requests that wait are in their new order within a second.",
}
_MOST = 1000  # that one may choose from


@page
async def overview(request: web.Request, actor: Actor) -> web.Response:
    """The limits within reach, and for admins the form that sets one."""
    return await _overview(request, actor)


@page
async def set_(request: web.Request, actor: Actor) -> web.Response:
    """Set a limit; or the form again as it was filled in, with what was wrong."""
    form = await request.post()
    given = {name: text_of(form, name) for name in _BLANK}
    kind, _, subject = given["on"].partition(":")
    whose = {"kind": kind, "subject": subject, "deployment": given["deployment"] or None}
    amount = int(given["amount"]) if given["amount"].isdecimal() and len(given["amount"]) < 20 else given["amount"]
    try:
        asked = {**whose, "measure": given["measure"], "amount": amount, "shadow": given["shadow"] == "yes"}
        await do(request, actor, "limits.set", asked=read_form(NewLimit, asked))
    except (Invalid, Conflict) as error:
        return await _overview(request, actor, error=error, given=given)
    return redirect(request, "/limits?done=set")


@page
async def act(request: web.Request, actor: Actor) -> web.Response:
    """Let go of a limit, enforce it, or put it into its shadow."""
    form, limit_id = await request.post(), request.match_info["limit"]
    match request.match_info["action"]:
        case "remove":
            await do(request, actor, "limits.remove", limit_id, expected_version=version_of(form))
            return redirect(request, "/limits?done=removed")
        case "enforce" | "shadow" as how:
            change = LimitChange(shadow=how == "shadow")
            await do(request, actor, "limits.change", limit_id, asked=change, expected_version=version_of(form))
            return redirect(request, "/limits?done=set")
    raise NotFound("Nothing like this can be done with a limit.")


@page
async def share(request: web.Request, actor: Actor) -> web.Response:
    """Give an account another weight in line; or the page again as it was filled in, with what was wrong."""
    account, weight = request.match_info["account"], text_of(await request.post(), "weight")
    try:
        await do(request, actor, "accounts.change", account, asked=read_form(AccountChange, {"weight": weight}))
    except Invalid as error:
        return await _overview(request, actor, unshared=(account, weight, error))
    return redirect(request, "/limits?done=shared")


async def limits_on(request: web.Request, actor: Actor, kind: SubjectKind | None, subject: str | None) -> list[Limit]:
    """The limits on one key, person or account; None: on all within reach."""
    asked = LimitQuery(kind=kind, subject=subject, limit=100)
    found: Page[Limit] = await do(request, actor, "limits.list", asked=asked)
    return list(found.items)


async def _overview(
    request: web.Request,
    actor: Actor,
    *,
    error: OperationError | None = None,
    given: dict[str, str] | None = None,
    unshared: tuple[str, str, Invalid] | None = None,
) -> web.Response:
    """The page. `unshared` is a weight that was not set: whose, what was typed, and why not."""
    query = LimitQuery(cursor=request.query.get("cursor") or None)
    found: Page[Limit] = await do(request, actor, "limits.list", asked=query)
    accounts = await _accounts(request, actor)
    answer = rendered(
        request,
        _LIMITS,
        actor,
        status=422 if unshared or isinstance(error, Invalid) else 200 if error is None else 409,
        limits=found.items,
        next_cursor=found.next_cursor,
        is_first=query.cursor is None,
        measures=list(Measure),
        choices=await _choices(request, actor, accounts),
        accounts=accounts,
        weight_given=dict([unshared[:2]] if unshared else ()),
        weight_problem=unshared[2] if unshared else None,
        deployments=sorted(request.app[REGISTRY].snapshot.deployments),
        done=_DONE.get(request.query.get("done", ""), ""),
        message=words_of(error),
        fields=error.errors if isinstance(error, Invalid) else (),
        given=_BLANK | {"on": request.query.get("on", "")} | (given or {}),
    )
    return answer if request.method == "GET" else shown_at(request, answer, "/limits")


async def _accounts(request: web.Request, actor: Actor) -> Sequence[Account]:
    """Those that the viewer may limit, or give another share."""
    if not may(actor, "limits.set"):
        return ()
    found: Page[Account] = await do(request, actor, "accounts.list", asked=PageQuery(limit=_MOST))
    return found.items


async def _choices(request: web.Request, actor: Actor, accounts: Sequence[Account]) -> dict[str, list[tuple[str, str]]]:
    """Who may be limited, by kind: what the form sends, and what people call them. Nobody for who may set none."""
    if not may(actor, "limits.set"):
        return {}
    keys = await do(request, actor, "keys.list", asked=KeyQuery(state=KeyState.VALID, limit=_MOST))
    people = await do(request, actor, "people.list", asked=PersonQuery(limit=_MOST))
    return {
        "Accounts": [(f"account:{one.id}", one.id) for one in accounts],
        "People": [(f"person:{one.id}", one.name) for one in people.items],
        "Keys": [(f"key:{one.id}", f"{one.name} of {one.account}") for one in keys.items],
    }
