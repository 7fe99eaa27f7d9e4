"""What the pages' HTML refers to: style, script, icon, and htmx from its package.

Their path holds their version, so that a browser keeps them and asks no more. A page that was opened before an update
asks for another version: it gets what there is now, to keep for no longer than it is looked at.
"""

import gzip
import hashlib
from functools import cache
from importlib.resources import files

from aiohttp import hdrs, web

from gateway.core import errors
from gateway.core.errors import Refusal
from gateway.server.handlers.dashboard import HEADERS

_OURS, _STATUS_PAGES = "gateway.server.pages", "gateway.server.handlers"
# Name, type, and the files that it is made of, in their order.
_ASSETS = {
    "favicon.svg": ("image/svg+xml", ((_STATUS_PAGES, "static/favicon.svg"),)),
    # One file: a page is painted when the last of its styles is there.
    "style.css": (
        "text/css",
        ((_STATUS_PAGES, "static/status.css"), (_OURS, "static/pages.css"), (_OURS, "static/usage.css")),
    ),
    "clipboard.js": ("text/javascript", ((_STATUS_PAGES, "static/clipboard.js"),)),
    "fitting.js": ("text/javascript", ((_STATUS_PAGES, "static/fitting.js"),)),
    "form_errors.js": ("text/javascript", ((_OURS, "static/form_errors.js"),)),
    "live.js": ("text/javascript", ((_OURS, "static/live.js"),)),
    "relative_times.js": ("text/javascript", ((_STATUS_PAGES, "static/relative_times.js"),)),
    "not_done.js": ("text/javascript", ((_OURS, "static/not_done.js"),)),
    "place.js": ("text/javascript", ((_OURS, "static/place.js"),)),
    "pages.js": ("text/javascript", ((_OURS, "static/pages.js"),)),
    "typed.js": ("text/javascript", ((_OURS, "static/typed.js"),)),
    "playground.js": ("text/javascript", ((_OURS, "static/playground.js"),)),
    "playground_stream.js": ("text/javascript", ((_OURS, "static/playground_stream.js"),)),
    "playground_code.js": ("text/javascript", ((_OURS, "static/playground_code.js"),)),
    "htmx.js": ("text/javascript", (("js_lib_htmx", "static/htmx/htmx.min.js"),)),
}
_FOR_GOOD, _FOR_NOW = "public, max-age=31536000, immutable", "no-cache"


async def asset(request: web.Request) -> web.Response:
    """`/assets/{version}/{name}`: one of these files, from memory. There is no directory behind it."""
    name, is_current = request.match_info["name"], request.match_info["version"] == assets_version()
    if name not in _ASSETS:
        raise Refusal(errors.NO_SUCH_PATH)
    headers = {**HEADERS, hdrs.CACHE_CONTROL: _FOR_GOOD if is_current else _FOR_NOW, hdrs.VARY: hdrs.ACCEPT_ENCODING}
    body = _content(name)
    if "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
        headers[hdrs.CONTENT_ENCODING] = "gzip"
        body = _packed(name)
    return web.Response(body=body, content_type=_ASSETS[name][0], charset="utf-8", headers=headers)


@cache
def assets_version() -> str:
    """What stands for the content of all of them in their path."""
    content = hashlib.sha256()
    for name in _ASSETS:
        content.update(hashlib.sha256(_content(name)).digest())
    return content.hexdigest()[:16]


@cache
def _content(name: str) -> bytes:
    return b"".join(files(package).joinpath(path).read_bytes() for package, path in _ASSETS[name][1])


@cache
def _packed(name: str) -> bytes:
    return gzip.compress(_content(name), mtime=0)
