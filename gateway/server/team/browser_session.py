"""The session cookie of a browser, where its requests come from, and whether our own page made them."""

from datetime import timedelta
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from gateway.core import team_errors
from gateway.core.errors import Refusal
from gateway.server.handlers.viewer_base import PAGES_URL, is_at_public_url, pages_url, reached_url
from gateway.server.team.team_database import SIGN_IN
from gateway.team.actor import Face, Way
from gateway.team.signing_in.session_limits import SessionLimits
from gateway.telemetry.access_log import ACCESS

_PLAIN_COOKIE = "gateway_session"
# RFC 6265bis 4.1.3.2: a browser takes a cookie of this name only over TLS, for this host and all of its paths.
_SECURE_COOKIE = "__Host-gateway_session"
_LONGEST_ID_TOKEN, _TOO_LONG = 3800, "-"  # browsers keep 4096 bytes of a cookie, with its name and attributes
_SAFE = {hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS}


def session_text(request: web.Request) -> str | None:
    """What the browser says its session is; None if it says none."""
    return request.cookies.get(_cookie_name(request))


def keep_session(request: web.Request, response: web.StreamResponse, text: str) -> None:
    """Let the browser keep a session's text: no script can read it, no other site can send it."""
    secure = is_secure(request)
    response.set_cookie(_cookie_name(request), text, path="/", httponly=True, samesite="Lax", secure=secure)
    _forget_id_token(request, response)  # of a session before this one


def forget_session(request: web.Request, response: web.StreamResponse) -> None:
    """Let the browser forget its session."""
    secure = is_secure(request)
    response.del_cookie(_cookie_name(request), path="/", httponly=True, samesite="Lax", secure=secure)
    _forget_id_token(request, response)


def session_limits(request: web.Request) -> SessionLimits:
    """When sessions end by themselves, by the settings."""
    found = request.app[SIGN_IN].settings.sessions
    return SessionLimits(timedelta(seconds=found.idle), timedelta(seconds=found.longest))


def keep_attempt(request: web.Request, response: web.StreamResponse, text: str, seconds: int) -> None:
    """Let the browser keep an attempt to sign in elsewhere. Lax: it comes along when the provider sends it back."""
    secure, name = is_secure(request), _attempt_name(request)
    response.set_cookie(name, text, path="/", max_age=seconds, httponly=True, samesite="Lax", secure=secure)


def attempt_text(request: web.Request) -> str | None:
    """The attempt that the browser keeps; None if it keeps none."""
    return request.cookies.get(_attempt_name(request))


def forget_attempt(request: web.Request, response: web.StreamResponse) -> None:
    """Let the browser forget its attempt: it is over, in whatever way."""
    secure = is_secure(request)
    response.del_cookie(_attempt_name(request), path="/", httponly=True, samesite="Lax", secure=secure)


def keep_id_token(request: web.Request, response: web.StreamResponse, text: str) -> None:
    """Let the browser keep what names its session at the provider. It sends it to sign out, and with nothing else."""
    kept, secure = text if len(text) <= _LONGEST_ID_TOKEN else _TOO_LONG, is_secure(request)
    name, path = _id_token_name(request), _sign_out_path(request)
    response.set_cookie(name, kept, path=path, httponly=True, samesite="Strict", secure=secure)


def id_token_text(request: web.Request) -> str | None:
    """The ID token that the browser keeps; empty for one too long to keep, None for who has signed in otherwise."""
    found = request.cookies.get(_id_token_name(request))
    return "" if found == _TOO_LONG else found


def is_secure(request: web.Request) -> bool:
    """Whether the browser reaches the gateway over TLS: a proxy says so, or what it asks for is our https URL."""
    public = request.app[PAGES_URL] if is_at_public_url(request) else ""
    return public.startswith("https://") or reached_url(request).startswith("https://")


def way_of(request: web.Request, face: Face = Face.PAGE) -> Way:
    """How the client of a request comes. Its address is one behind a proxy only if the proxy is a configured one."""
    return Way(face, request.app[ACCESS].client_of(request), pages_url(request))


def require_own_origin(request: web.Request) -> None:
    """Raise 403 for a request that changes something and that no page of ours has made (CSRF).

    Browsers say where a request comes from: by Sec-Fetch-Site (Fetch Metadata) where the page is one they trust, else
    by Origin, which they send with every POST (Fetch 3.2).
    """
    if request.method in _SAFE:
        return
    site = request.headers.get("Sec-Fetch-Site")
    is_own = site == "same-origin" if site is not None else _is_here(request, request.headers.get(hdrs.ORIGIN, ""))
    if not is_own:
        raise Refusal(team_errors.FOREIGN_PAGE)


def _attempt_name(request: web.Request) -> str:
    return "__Host-gateway_attempt" if is_secure(request) else "gateway_attempt"


def _forget_id_token(request: web.Request, response: web.StreamResponse) -> None:
    oidc = request.app[SIGN_IN].settings.oidc
    if oidc is not None and oidc.sign_out:  # else it keeps none
        name, path = _id_token_name(request), _sign_out_path(request)
        response.del_cookie(name, path=path, httponly=True, samesite="Strict", secure=is_secure(request))


def _id_token_name(request: web.Request) -> str:
    return "__Secure-gateway_id_token" if is_secure(request) else "gateway_id_token"


def _sign_out_path(request: web.Request) -> str:
    return urlsplit(reached_url(request)).path + "/sign-out"


def _is_here(request: web.Request, origin: str) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == request.host.lower()
    except ValueError:  # no browser sends such an origin
        return False


def _cookie_name(request: web.Request) -> str:
    return _SECURE_COOKIE if is_secure(request) else _PLAIN_COOKIE
