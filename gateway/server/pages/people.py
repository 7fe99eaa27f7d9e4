"""`/people`: who can sign in, invitations, roles and accounts. For admins alone."""

from typing import Any

from aiohttp import web
from multidict import MultiDictProxy

from gateway.core.rate_limits import SubjectKind
from gateway.server.pages.layout import page, redirect, rendered, shown_at, template
from gateway.server.pages.limits import limits_on
from gateway.server.pages.operations import do, read_form, text_of, version_of, words_of
from gateway.server.team.team_database import SIGN_IN
from gateway.team.actor import Actor
from gateway.team.models.common import Page, PageQuery
from gateway.team.models.people import CreatedInvitation, NewInvitation, PasswordLink, Person, PersonChange, PersonQuery
from gateway.team.operation_error import Conflict, Invalid, NotFound, OperationError, Stale
from gateway.team.roles import Role

_PEOPLE = template("people.html")
_PERSON = template("person.html")

_ALL = PageQuery(limit=1000)
_BLANK: dict[str, object] = {"name": "", "email": "", "role": Role.MEMBER.value, "accounts": ()}
# What the page says after a change, by what its address says was done.
_DONE = {
    "saved": "Saved.",
    "signed-out": "Signed out, wherever they were signed in.",
    "removed": "Removed, and signed out everywhere.",
    "taken-back": "The invitation is taken back: its link no longer works.",
}


@page
async def overview(request: web.Request, actor: Actor) -> web.Response:
    """The list, the open invitations, and the form for a new one."""
    return await _overview(request, actor)


@page
async def invite(request: web.Request, actor: Actor) -> web.Response:
    """Make an invitation and show its link, this once; or the form again, with what was wrong."""
    form = await request.post()
    given = _given(form)
    try:
        asked = read_form(NewInvitation, given | {"email": given["email"] or None})
        made: CreatedInvitation = await do(request, actor, "invitations.create", asked=asked)
    except (Invalid, Conflict) as error:
        return await _overview(request, actor, error=error, given=given)
    return await _overview(request, actor, made=made)


@page
async def take_back(request: web.Request, actor: Actor) -> web.Response:
    """Take an invitation back that nobody has used."""
    await do(request, actor, "invitations.remove", request.match_info["invitation"])
    return redirect(request, "/people?done=taken-back")


@page
async def one(request: web.Request, actor: Actor) -> web.Response:
    """One person: what they are, and where they are signed in."""
    return await _one(request, actor, request.match_info["person"])


@page
async def change(request: web.Request, actor: Actor) -> web.Response:
    """Change somebody; or the form again as it was filled in, with what was wrong, or what others changed meanwhile."""
    person_id, form = request.match_info["person"], await request.post()
    given = _given(form) | {"enabled": form.get("enabled") == "yes"}
    try:
        asked = read_form(PersonChange, given | {"email": given["email"] or None})
        await do(request, actor, "people.change", person_id, asked=asked, expected_version=version_of(form))
    except (Invalid, Conflict, Stale) as error:
        return await _one(request, actor, person_id, error=error, given=given)
    return redirect(request, f"/people/{person_id}?done=saved")


@page
async def act(request: web.Request, actor: Actor) -> web.Response:
    """Sign somebody out everywhere, make them a link for a new password, or remove them."""
    person_id, form = request.match_info["person"], await request.post()
    match request.match_info["action"]:
        case "sign-out":
            await do(request, actor, "people.sign_out", person_id)
            return redirect(request, f"/people/{person_id}?done=signed-out")
        case "password-link" if request.app[SIGN_IN].settings.password:
            link: PasswordLink = await do(request, actor, "people.password_link", person_id)
            return await _one(request, actor, person_id, link=link)
        case "remove":
            await do(request, actor, "people.remove", person_id, expected_version=version_of(form))
            return redirect(request, "/people?done=removed")
    raise NotFound("Nothing like this can be done with a person.")


async def _overview(
    request: web.Request,
    actor: Actor,
    *,
    made: CreatedInvitation | None = None,
    error: OperationError | None = None,
    given: dict[str, object] | None = None,
) -> web.Response:
    actor.reach("people.change")  # a member's list would be themselves alone: they have a page of their own
    search = request.query.get("search", "").strip()[:64]
    query = PersonQuery(search=search or None, cursor=request.query.get("cursor") or None)
    found: Page[Person] = await do(request, actor, "people.list", asked=query)
    invitations = await do(request, actor, "invitations.list", asked=_ALL)
    answer = rendered(
        request,
        _PEOPLE,
        actor,
        status=201 if made is not None else 422 if error is not None else 200,
        people=found.items,
        next_cursor=found.next_cursor,
        is_first=query.cursor is None,
        search=search,
        invitations=invitations.items,
        accounts=await _accounts(request, actor),
        made=made,
        done=_DONE.get(request.query.get("done", ""), ""),
        message=words_of(error),
        fields=error.errors if isinstance(error, Invalid) else (),
        given=_BLANK | (given or {}),
    )
    return answer if request.method == "GET" else shown_at(request, answer, "/people")


async def _one(
    request: web.Request,
    actor: Actor,
    person_id: str,
    *,
    link: PasswordLink | None = None,
    error: OperationError | None = None,
    given: dict[str, object] | None = None,
) -> web.Response:
    actor.reach("people.change")
    person: Person = await do(request, actor, "people.get", person_id)
    sessions = await do(request, actor, "people.sessions", person_id, asked=PageQuery(limit=20))
    stored = _stored(person)
    answer = rendered(
        request,
        _PERSON,
        actor,
        status=201 if link is not None else 422 if isinstance(error, Invalid) else 409 if error is not None else 200,
        person=person,
        sessions=sessions.items,
        limits=await limits_on(request, actor, SubjectKind.PERSON, person_id),
        accounts=await _accounts(request, actor),
        link=link,
        done=_DONE.get(request.query.get("done", ""), ""),
        message=words_of(error),
        fields=error.errors if isinstance(error, Invalid) else (),
        given=given or stored,
        differing=_differing(stored, given) if isinstance(error, Stale) and given is not None else {},
    )
    return answer if request.method == "GET" else shown_at(request, answer, f"/people/{person_id}")


async def _accounts(request: web.Request, actor: Actor) -> list[str]:
    return [account.id for account in (await do(request, actor, "accounts.list", asked=_ALL)).items]


def _given(form: MultiDictProxy[Any]) -> dict[str, object]:
    plain: dict[str, object] = {name: text_of(form, name) for name in ("name", "email", "role")}
    return plain | {"accounts": tuple(map(str, form.getall("accounts", ())))}


def _stored(person: Person) -> dict[str, object]:
    return {
        "name": person.name,
        "email": person.email or "",
        "role": person.role.value,
        "accounts": person.accounts,
        "enabled": person.enabled,
    }


def _differing(stored: dict[str, object], given: dict[str, object]) -> dict[str, object]:
    """What is stored now, where the form says something else."""
    return {name: value for name, value in stored.items() if given[name] != value}
