"""`/me`: one's own password, and where one is signed in. For everybody."""

from aiohttp import web

from gateway.core.secret_text import digest_of
from gateway.server.pages.layout import may, page, redirect, rendered, shown_at, template
from gateway.server.pages.limits import limits_on
from gateway.server.pages.operations import do
from gateway.server.team.browser_session import keep_session, session_limits, session_text
from gateway.server.team.team_database import SIGN_IN, TEAM
from gateway.team.actor import Actor
from gateway.team.models.common import PageQuery
from gateway.team.models.people import Person
from gateway.team.operation_error import Denied, FieldError, Invalid, OperationError
from gateway.team.operations.people import session_id
from gateway.team.signing_in.sign_in import change_password as change_own_password
from gateway.team.signing_in.sign_in_throttle import TooSoon

_ME = template("me.html")

_PATH = "/me"


@page
async def overview(request: web.Request, actor: Actor) -> web.Response:
    """Who one is, the form for another password, and one's sessions."""
    return await _overview(request, actor)


@page
async def change_password(request: web.Request, actor: Actor) -> web.Response:
    """Set another password, which ends all other sessions; or say why not."""
    if not request.app[SIGN_IN].settings.password:
        raise Denied("Nobody signs in with a password here.")
    form = await request.post()
    current, new, again = (str(form.get(name, "")) for name in ("current", "password", "again"))
    database = await request.app[TEAM].database()
    try:
        if new != again:
            raise Invalid("The new password is not the same twice.", [FieldError("again", "differs")])
        text = await change_own_password(database, actor, current, new, session_limits(request))
    except (Invalid, TooSoon) as error:
        return await _overview(request, actor, error)
    answer = redirect(request, f"{_PATH}?done=password")
    keep_session(request, answer, text)
    return answer


async def _overview(request: web.Request, actor: Actor, error: OperationError | None = None) -> web.Response:
    person: Person = await do(request, actor, "people.get", actor.id)
    sessions = await do(request, actor, "people.sessions", actor.id, asked=PageQuery(limit=100))
    answer = rendered(
        request,
        _ME,
        actor,
        status=200 if error is None else 429 if isinstance(error, TooSoon) else 422,
        person=person,
        sessions=sessions.items,
        limits=[] if may(actor, "limits.set") else await limits_on(request, actor, None, None),
        this_one=session_id(digest_of(session_text(request) or "").hex()),
        changed=request.query.get("done") == "password",
        message=error.message if error is not None else "",
    )
    return answer if error is None else shown_at(request, answer, _PATH)
