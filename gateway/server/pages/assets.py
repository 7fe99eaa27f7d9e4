"""What the pages' HTML refers to: style, script, icon, and htmx from its package."""

from functools import cache
from importlib.resources import files

from aiohttp import web

from gateway.core import errors
from gateway.core.errors import Refusal
from gateway.server.pages.layout import HEADERS

_FILES = {
    "favicon.svg": ("gateway.server.handlers", "static/favicon.svg", "image/svg+xml"),
    "status.css": ("gateway.server.handlers", "static/status.css", "text/css"),
    "clipboard.js": ("gateway.server.handlers", "static/clipboard.js", "text/javascript"),
    "fitting.js": ("gateway.server.handlers", "static/fitting.js", "text/javascript"),
    "live.js": ("gateway.server.pages", "static/live.js", "text/javascript"),
    "relative_times.js": ("gateway.server.handlers", "static/relative_times.js", "text/javascript"),
    "pages.css": ("gateway.server.pages", "static/pages.css", "text/css"),
    "pages.js": ("gateway.server.pages", "static/pages.js", "text/javascript"),
    "playground.js": ("gateway.server.pages", "static/playground.js", "text/javascript"),
    "playground_stream.js": ("gateway.server.pages", "static/playground_stream.js", "text/javascript"),
    "playground_code.js": ("gateway.server.pages", "static/playground_code.js", "text/javascript"),
    "usage.css": ("gateway.server.pages", "static/usage.css", "text/css"),
    "htmx.js": ("js_lib_htmx", "static/htmx/htmx.min.js", "text/javascript"),
}


async def asset(request: web.Request) -> web.Response:
    """`/assets/{name}`: one of these files, from memory. There is no directory behind it."""
    name = request.match_info["name"]
    if name not in _FILES:
        raise Refusal(errors.NO_SUCH_PATH)
    headers = {**HEADERS, "Cache-Control": "no-cache"}
    return web.Response(body=_content(name), content_type=_FILES[name][2], charset="utf-8", headers=headers)


@cache
def _content(name: str) -> bytes:
    package, path, _ = _FILES[name]
    return files(package).joinpath(path).read_bytes()
