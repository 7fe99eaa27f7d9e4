"""`/invitations/{secret}`: a link that works once. By it somebody chooses a password, or is signed in at once."""

from aiohttp import web

from gateway.core import errors
from gateway.core.errors import Refusal
from gateway.server.handlers.operator_access import is_from_here
from gateway.server.pages.layout import HOME, not_done, open_page, redirect, rendered, template
from gateway.server.team.browser_session import keep_session, session_limits, way_of
from gateway.server.team.team_database import SIGN_IN, TEAM
from gateway.team.operation_error import Denied, Invalid, OperationError
from gateway.team.signing_in.sign_in import accept_invitation, follow_sign_in_link, who_chooses

_INVITATION = template("invitation.html")


@open_page
async def form(request: web.Request) -> web.Response:
    """Choose a password; or be signed in, by a link that was made for this, from this machine only."""
    database, secret = await request.app[TEAM].database(), request.match_info["secret"]
    try:
        chooser = await who_chooses(database, secret)
        if chooser is not None:
            return rendered(request, _INVITATION, chooser=chooser, secret=secret, problem="")
        if request.method == "HEAD" or not is_from_here(request.remote):
            raise Refusal(errors.NO_SUCH_PATH, cause="a link that signs in by itself works on this machine only")
        text = await follow_sign_in_link(database, secret, way_of(request), session_limits(request))
    except OperationError as error:
        return not_done(request, error, None)
    answer = redirect(request, HOME)
    keep_session(request, answer, text)
    return answer


@open_page
async def accept(request: web.Request) -> web.Response:
    """Take the link with the password that was chosen."""
    if not request.app[SIGN_IN].settings.password:
        return not_done(request, Denied("Nobody signs in with a password here: use the provider's button."), None)
    database, secret = await request.app[TEAM].database(), request.match_info["secret"]
    password = str((await request.post()).get("password", ""))
    try:
        chooser = await who_chooses(database, secret)
        text = await accept_invitation(database, secret, password, way_of(request), session_limits(request))
    except Invalid as error:
        return rendered(request, _INVITATION, status=422, chooser=chooser, secret=secret, problem=error.message)
    except OperationError as error:
        return not_done(request, error, None)
    answer = redirect(request, HOME)
    keep_session(request, answer, text)
    return answer
