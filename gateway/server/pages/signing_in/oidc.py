"""`/sign-in/oidc` and its callback: to the provider of OpenID Connect, and back."""

import asyncio
import logging

from aiohttp import web

from gateway.config.document import SourceError
from gateway.core import team_errors
from gateway.core.errors import Refusal
from gateway.server.handlers.viewer_base import pages_url
from gateway.server.pages.layout import HEADERS, HOME, open_page, own_path, redirect, rendered, template, viewer_of
from gateway.server.team.browser_session import (
    attempt_text,
    forget_attempt,
    id_token_text,
    keep_attempt,
    keep_id_token,
    keep_session,
    session_limits,
    way_of,
)
from gateway.server.team.team_database import SIGN_IN, TEAM
from gateway.team.operation_error import OperationError
from gateway.team.signing_in.oidc.attempt import LIFETIME, Attempt, attempt_of
from gateway.team.signing_in.oidc.identity import identity_of
from gateway.team.signing_in.oidc.oidc_error import NobodyKnown, NotThisAttempt, OidcError, ProviderFails
from gateway.team.signing_in.oidc.people import sign_in
from gateway.team.signing_in.sign_in_throttle import TooSoon, begin_attempt, note_success, take_back

_SIGNED_OUT = template("signed_out.html")
_NOT_SIGNED_IN = template("not_signed_in.html")

log = logging.getLogger("gateway.team")
_LONGEST_INVITATION = 64
_SIGN_OUT_PATIENCE = 3.0  # seconds for a provider that is to be asked first where one signs out


@open_page
async def begin(request: web.Request) -> web.Response:
    """Send the browser to the provider, with an attempt that it keeps."""
    provider = await request.app[SIGN_IN].provider()
    invitation = request.query.get("invitation", "")[:_LONGEST_INVITATION]
    attempt = Attempt.begin(own_path(request.query.get("next")), invitation)
    try:
        url = await provider.authorization_url(attempt, _redirect_uri(request), anew="anew" in request.query)
    except OidcError as error:
        return _refused(request, error)
    answer = web.Response(status=303, headers={**HEADERS, "Location": url, "Cache-Control": "no-store"})
    keep_attempt(request, answer, attempt.text, LIFETIME)
    return answer


@open_page
async def callback(request: web.Request) -> web.Response:
    """Take the provider's answer, and begin a session for whom it vouches for; or say why not, and what to do."""
    try:
        answer = await _signed_in(request)
    except NotThisAttempt as error:  # the one that the browser keeps may be another window's, and still be answered
        return await _already_in(request) or _refused(request, error)
    except OperationError as error:
        answer = _refused(request, error)
    except SourceError as error:
        log.error("nobody can sign in, since the database fails: %s", error.in_one_line)
        raise Refusal(team_errors.DATABASE_FAILS) from error
    forget_attempt(request, answer)
    return answer


async def _signed_in(request: web.Request) -> web.Response:
    provider = await request.app[SIGN_IN].provider()
    database, address = await request.app[TEAM].database(), way_of(request).address
    throttled = f"oidc from {address}"
    async with database.begin() as connection:
        await begin_attempt(connection, throttled, address)
    try:
        attempt = attempt_of(attempt_text(request))
        vouched = await provider.vouched(attempt, request.query, _redirect_uri(request))
        identity = identity_of(vouched.claims, provider.settings)
        text = await sign_in(
            database, provider.settings, identity, attempt, way=way_of(request), limits=session_limits(request)
        )
    except ProviderFails:
        async with database.begin() as connection:
            await take_back(connection, throttled, address)
        raise
    async with database.begin() as connection:
        await note_success(connection, throttled, address)
    answer = redirect(request, own_path(attempt.wanted))
    keep_session(request, answer, text)
    if provider.settings.sign_out:
        keep_id_token(request, answer, vouched.id_token)
    return answer


async def _already_in(request: web.Request) -> web.Response | None:
    """To the pages, for who is signed in: they have come back by an old address, or from a second window."""
    return redirect(request, HOME) if await viewer_of(request) is not None else None


async def sign_out_there(request: web.Request) -> web.Response | None:
    """Send the browser to the provider to sign out there, too; None where that is off, or the provider cannot."""
    settings, id_token = request.app[SIGN_IN].settings.oidc, id_token_text(request)
    if settings is None or not settings.sign_out or id_token is None:
        return None
    try:
        async with asyncio.timeout(_SIGN_OUT_PATIENCE):
            provider = await request.app[SIGN_IN].provider()
            url = await provider.end_session_url(id_token, f"{pages_url(request)}/sign-in")
    except (OidcError, TimeoutError) as error:
        cause = error.cause if isinstance(error, OidcError) else "it does not answer"
        log.warning("somebody who has signed out here is not signed out at the provider: %s", cause)
        return None
    if url is None:
        return None
    answer = rendered(request, _SIGNED_OUT, url=url, label=settings.label)
    # Not a redirect: the policy's form-action forbids one from a form of ours to another site.
    answer.headers.update({"Refresh": f"0; url={url}", "HX-Redirect": url})
    return answer


def _redirect_uri(request: web.Request) -> str:
    return f"{pages_url(request)}/sign-in/oidc/callback"


def _refused(request: web.Request, error: OperationError) -> web.Response:
    if isinstance(error, OidcError):
        level = logging.ERROR if isinstance(error, ProviderFails) else logging.WARNING
        log.log(level, "a sign-in by OpenID Connect came to nothing: %s", error.cause)
    status = 503 if isinstance(error, ProviderFails) else 429 if isinstance(error, TooSoon) else 403
    answer = rendered(
        request, _NOT_SIGNED_IN, status=status, is_nobody=isinstance(error, NobodyKnown), message=error.message
    )
    if isinstance(error, TooSoon):
        answer.headers["Retry-After"] = str(error.seconds)
    return answer
