"""`/sign-in` and `/sign-out`."""

from aiohttp import web

from gateway.core.errors import Refusal
from gateway.core.team_errors import NO_DATABASE
from gateway.server.pages.layout import not_done, open_page, own_path, page, redirect, rendered, template, viewer_of
from gateway.server.pages.signing_in.oidc import sign_out_there
from gateway.server.team.browser_session import forget_session, keep_session, session_limits, way_of
from gateway.server.team.team_database import SIGN_IN, TEAM
from gateway.team.actor import Actor
from gateway.team.operation_error import Denied
from gateway.team.operations.operation import Call, perform
from gateway.team.operations.table import OPERATIONS
from gateway.team.signing_in.sign_in import sign_in
from gateway.team.signing_in.sign_in_throttle import TooSoon

_SIGN_IN = template("sign_in.html")


@open_page
async def form(request: web.Request) -> web.Response:
    """The form; who is signed in goes on to where they wanted."""
    wanted = own_path(request.query.get("next"))
    if request.app[TEAM].place is None:
        raise Refusal(NO_DATABASE)
    if await viewer_of(request) is not None:
        return redirect(request, wanted)
    return rendered(request, _SIGN_IN, wanted=wanted, name="", problem="")


@open_page
async def submit(request: web.Request) -> web.Response:
    """Sign in, or say why not."""
    given = await request.post()
    name, password, wanted = (str(given.get(field, "")) for field in ("name", "password", "next"))
    if not request.app[SIGN_IN].settings.password:
        return not_done(request, Denied("Nobody signs in with a password here: use the provider's button."), None)
    database = await request.app[TEAM].database()
    try:
        text = await sign_in(database, name.strip(), password, way_of(request), session_limits(request))
    except (Denied, TooSoon) as error:
        status = 429 if isinstance(error, TooSoon) else 401
        shown = {"wanted": own_path(wanted), "name": name, "problem": error.message}
        answer = rendered(request, _SIGN_IN, None, status=status, **shown)
        if isinstance(error, TooSoon):
            answer.headers["Retry-After"] = str(error.seconds)
        return answer
    answer = redirect(request, own_path(wanted))
    keep_session(request, answer, text)
    return answer


@page
async def sign_out(request: web.Request, actor: Actor) -> web.Response:
    """End all sessions of whoever asks, wherever they are; that at the provider, too, if the settings say so."""
    await perform(await request.app[TEAM].database(), actor, Call(OPERATIONS["people.sign_out"], (actor.id,)))
    answer = await sign_out_there(request) or redirect(request, "/sign-in")
    forget_session(request, answer)
    return answer
