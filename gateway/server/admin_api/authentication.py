"""Who asks the admin API: the holder of an admin token, or somebody who is signed in on the page."""

from dataclasses import dataclass

from aiohttp import hdrs, web

from gateway.core import team_errors
from gateway.core.errors import Refusal
from gateway.core.exchange import EXCHANGE
from gateway.server.team.browser_session import (
    require_own_origin,
    session_limits,
    session_text,
    way_of,
)
from gateway.server.team.team_database import TEAM
from gateway.team.actor import Actor, Face
from gateway.team.signing_in.sessions import signed_in, token_holder


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and by which secret: the text of a token, or of a session."""

    actor: Actor
    credential: str


async def caller_of(request: web.Request, *, still: bool = False) -> Caller:
    """Who asks; or `still` asks, which does not keep a session from being idle.

    Raises Refusal: 401, the same for a missing, unknown, expired or revoked token, and for a model key.
    """
    database = await request.app[TEAM].database()
    token = _bearer(request)
    if token is not None:
        holder = await token_holder(database, token, way_of(request, Face.API))
        if holder is None:
            raise Refusal(team_errors.BAD_TOKEN, cause="the admin token is unknown, or has ended")
        return _noted(request, Caller(holder, token))
    session = session_text(request)
    if session is not None:
        require_own_origin(request)
        person = await signed_in(database, session, way_of(request), session_limits(request), by_itself=still)
        if person is not None:
            return _noted(request, Caller(person, session))
    raise Refusal(team_errors.BAD_TOKEN, cause="no admin token was presented, and no session")


def _bearer(request: web.Request) -> str | None:
    scheme, _, text = request.headers.get(hdrs.AUTHORIZATION, "").strip(" \t").partition(" ")
    return text.strip(" \t") if scheme.lower() == "bearer" else None


def _noted(request: web.Request, caller: Caller) -> Caller:
    request[EXCHANGE].key = caller.actor.id
    return caller
