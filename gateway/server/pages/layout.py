"""What all pages share: who looks, the frame around each, and what is said of an operation that was not done."""

import functools
import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp_jinja2
import jinja2
import jinja2.meta
from aiohttp import hdrs, web

from gateway import __version__
from gateway.config.document import SourceError
from gateway.core import team_errors
from gateway.core.errors import Refusal
from gateway.proxy.relay import RELAY
from gateway.proxy.request_body import read_short
from gateway.server import relative_times
from gateway.server.handlers import dashboard
from gateway.server.handlers.viewer_base import reached_url
from gateway.server.media_types import media_type
from gateway.server.pages.assets import assets_version
from gateway.server.refusal_response import REFUSER
from gateway.server.team.browser_session import (
    require_own_origin,
    session_limits,
    session_text,
    way_of,
)
from gateway.server.team.team_database import SIGN_IN, TEAM
from gateway.team.actor import Actor
from gateway.team.operation_error import Denied, Invalid, NotFound, OperationError
from gateway.team.roles import PERMISSIONS
from gateway.team.signing_in.sessions import signed_in
from gateway.team.unit_of_work import TeamDatabase

log = logging.getLogger("gateway.team")
POLICY = "Content-Security-Policy"
# As the status page's, but that these have forms.
HEADERS: Mapping[str, str] = MappingProxyType(
    {**dashboard.HEADERS, POLICY: dashboard.HEADERS[POLICY].replace("form-action 'none'", "form-action 'self'")}
)
HOME = "/deployments"
# What is in the bar of every page, and the action that somebody must be allowed to see it.
_NAVIGATION = (
    ("/deployments", "Deployments", "deployments.list"),
    ("/activity", "Activity", "activity.list"),
    ("/usage", "Usage", "usage.get"),
    ("/keys", "Keys", "keys.list"),
    ("/limits", "Limits", "limits.list"),
    ("/playground", "Playground", "keys.create"),
    ("/people", "People", "people.change"),
    ("/audit", "Audit", "audit.list"),
)
_MOST_PARTS = 20_000  # fields and escaped bytes of a form; one that names a thousand deployments has a tenth of that
_OWN_PATH = re.compile(r"/[a-z][A-Za-z0-9/._-]{0,200}(\?[A-Za-z0-9=&%+:._~-]{0,500})?").fullmatch


class _WithAllItRefersTo(jinja2.ChoiceLoader):
    """Loads with a template what it extends, includes and imports, which Jinja compiles when it is first drawn."""

    def load(
        self, environment: jinja2.Environment, name: str, globals: MutableMapping[str, Any] | None = None
    ) -> jinja2.Template:
        source, filename, is_current = self.get_source(environment, name)
        tree = environment.parse(source, name, filename)
        for other in jinja2.meta.find_referenced_templates(tree):
            if other is not None:
                environment.get_template(other)
        code = environment.compile(tree, name, filename)
        return environment.template_class.from_code(environment, code, globals or {}, is_current)


_environment = aiohttp_jinja2.setup(
    web.Application(),
    loader=_WithAllItRefersTo(
        [jinja2.PackageLoader("gateway.server.pages"), jinja2.PackageLoader("gateway.server.handlers")]
    ),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    default_helpers=False,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
# When the page that is drawn now is drawn; none for a part, which is the same for as long as nothing in it changes.
_DRAWN: ContextVar[datetime | None] = ContextVar("drawn", default=None)


def _told(at: datetime, since: str) -> str:
    now = _DRAWN.get()
    return relative_times.told(at, now, since=bool(since)) if now is not None else ""


_environment.globals["told"] = _told
# Compiled with its module, and so by a thread: to compile a page and what it refers to takes up to 40 ms.
template = _environment.get_template
_NOT_DONE, _REFUSED = template("not_done.html"), template("refused.html")
PageHandler = Callable[[web.Request, Actor], Awaitable[web.StreamResponse]]
WebHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_SEEN = web.RequestKey("seen", TeamDatabase)


def page(handler: PageHandler) -> WebHandler:
    """Make a handler of one that wants to know who looks. Nobody else gets in: they are asked to sign in first.

    What a GET shows is looked at over one connection.
    """

    @open_page
    @functools.wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method not in {hdrs.METH_GET, hdrs.METH_HEAD} or session_text(request) is None:
            return await _for_viewer(handler, request)
        async with (await request.app[TEAM].database()).view() as seen:
            request[_SEEN] = seen
            return await _for_viewer(handler, request)

    return answer


def long_page(handler: PageHandler) -> WebHandler:
    """As `page`, for what is sent for as long as its reader likes: it looks at the database again and again."""

    @open_page
    @functools.wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        return await _for_viewer(handler, request)

    return answer


def open_page(handler: WebHandler) -> WebHandler:
    """Make a handler of one that answers anybody, and whose form can be read, if it is sent one of our pages' own.

    A database that fails is a 503, and why is in the log.
    """

    @functools.wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            require_own_origin(request)
            await _read_form(request)
            with _database_in_use():
                return await handler(request)
        except Refusal as refusal:
            if "text/html" not in request.headers.get(hdrs.ACCEPT, ""):  # a script of ours, or a program: it has JSON
                raise
            return _refused(request, refusal)

    return answer


async def _for_viewer(handler: PageHandler, request: web.Request) -> web.StreamResponse:
    actor = await viewer_of(request)
    if actor is None:
        return redirect(request, f"/sign-in?next={quote(_wanted(request))}")
    try:
        return await handler(request, actor)
    except OperationError as error:
        return not_done(request, error, actor)


def _wanted(request: web.Request) -> str:
    """Where somebody is led who has signed in: to what they asked for, if it is there to be looked at."""
    return request.rel_url.raw_path_qs if request.method in {hdrs.METH_GET, hdrs.METH_HEAD} else HOME


async def _read_form(request: web.Request) -> None:
    """Read it, for whoever asks for it later. Raises Refusal where it is none that a page of ours sends.

    Of the encodings that Python knows, some take half a minute for a megabyte, and a megabyte of percent signs takes a
    third of a second: nobody else would be served meanwhile.
    """
    kind, encoding = media_type(request)
    if kind in {"", "multipart/form-data"} or (encoding or "utf-8").lower() != "utf-8":
        raise Refusal(team_errors.NOT_A_FORM)
    try:
        if request.method == hdrs.METH_POST:
            body = await read_short(request, request.app[RELAY].upload_silence)
            if body.count(b"&") + body.count(b"%") > _MOST_PARTS:
                raise Refusal(team_errors.NOT_A_FORM)
        await request.post()
    except ValueError:  # the bytes are not what they are said to be
        raise Refusal(team_errors.NOT_A_FORM) from None


@contextmanager
def _database_in_use() -> Iterator[None]:
    try:
        yield
    except SourceError as error:
        log.error("a page cannot use the database: %s", error.in_one_line)
        raise Refusal(team_errors.DATABASE_FAILS) from error


def _refused(request: web.Request, refusal: Refusal) -> web.Response:
    """The refusal as a page, for who has followed a link or sent a form without our script."""
    answer = request.app[REFUSER].refuse(request, refusal)
    shown = kept_at(request, rendered(request, _REFUSED, status=refusal.row.status, message=refusal.message, fields=()))
    answer.headers.update(shown.headers)
    answer.body = shown.body
    return answer


async def database_of(request: web.Request) -> TeamDatabase:
    """The database, as far as a page has seen it already. Raises Refusal where there is none."""
    return request.get(_SEEN) or await request.app[TEAM].database()


async def viewer_of(request: web.Request) -> Actor | None:
    """Who is signed in; None for nobody. Raises SourceError, and Refusal where there is no database."""
    database, text = await database_of(request), session_text(request)
    if text is None:
        return None
    return await signed_in(database, text, way_of(request), session_limits(request), by_itself=is_by_itself(request))


def is_by_itself(request: web.Request) -> bool:
    """Whether a page asks for its live part alone: not somebody, but the page that they look at."""
    return request.query.get("part") == "live"


def rendered(
    request: web.Request, page: jinja2.Template, actor: Actor | None = None, *, status: int = 200, **values: object
) -> web.Response:
    """A page in its frame."""
    now = datetime.now(UTC)
    frame = {
        "actor": actor,
        "navigation": [
            (path, title) for path, title, action in _NAVIGATION if actor is not None and may(actor, action)
        ],
        "here": request.path,
        "base": base_path(request),
        "assets": f"{base_path(request)}/assets/{assets_version()}",
        "version": __version__,
        "now": now,
        "sign_in": request.app[SIGN_IN].settings,
    }
    before = _DRAWN.set(now)
    try:
        return _html(drawn(page, **(frame | values)), status)
    finally:
        _DRAWN.reset(before)


def partly(part: jinja2.Template, **values: object) -> web.Response:
    """A part of a page, which the page asks for by itself."""
    return _html(drawn(part, **values), 200)


def drawn(part: jinja2.Template, **values: object) -> str:
    """A part of a page, without its frame."""
    return part.render(values)


def _html(html: str, status: int) -> web.Response:
    headers = {**HEADERS, "Cache-Control": "no-store"}
    body = html.encode("utf-8", "replace")
    return web.Response(body=body, status=status, content_type="text/html", charset="utf-8", headers=headers)


def not_done(request: web.Request, error: OperationError, actor: Actor | None) -> web.Response:
    """A page that says why an operation was not done, and what to do."""
    status = {NotFound: 404, Denied: 403, Invalid: 422}.get(type(error), 409)
    fields = error.errors if isinstance(error, Invalid) else ()
    back = _form_of(request) if actor is not None else ""
    shown = rendered(request, _NOT_DONE, actor, status=status, message=error.message, fields=fields, back=back)
    return kept_at(request, shown)


def redirect(request: web.Request, path: str) -> web.Response:
    """Send the browser to another of our pages, which it asks for by GET."""
    return web.Response(status=303, headers={**HEADERS, "Location": base_path(request) + path})


def shown_at(request: web.Request, answer: web.Response, path: str) -> web.Response:
    """A page that answers a POST, under an address that the browser can ask for again."""
    answer.headers["HX-Push-Url"] = base_path(request) + path
    return answer


def kept_at(request: web.Request, answer: web.Response) -> web.Response:
    """A page that answers a POST which came to nothing, under the address where its form is: it has none of its own."""
    form = request.headers.get("HX-Current-URL")
    if request.method == hdrs.METH_POST and form is not None:
        answer.headers["HX-Push-Url"] = form
    return answer


def _form_of(request: web.Request) -> str:
    """The page whose form was sent, as a path of ours; nothing where no script says which."""
    at = urlsplit(request.headers.get("HX-Current-URL", ""))
    path = at._replace(scheme="", netloc="", fragment="").geturl().removeprefix(base_path(request))
    return path if request.method == hdrs.METH_POST and own_path(path) == path else ""


def base_path(request: web.Request) -> str:
    """The path below which a proxy in front serves the pages; nothing where there is none."""
    return urlsplit(reached_url(request)).path


def own_path(text: str | None) -> str:
    """Where somebody wanted to go, if it is an address of ours: never another site's (no open redirect)."""
    return text if text is not None and _OWN_PATH(text) is not None and "//" not in text else HOME


def may(actor: Actor, action: str) -> bool:
    """Whether somebody's role allows an action at all."""
    return (actor.role, action) in PERMISSIONS
