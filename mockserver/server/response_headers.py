"""The headers of an answer, in llama-server's order and with its values; none of aiohttp's own.

Mirrors tools/server/server-http.cpp and vendor/cpp-httplib/httplib.cpp (`Server::write_response_core`).
"""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from multidict import CIMultiDict

from mockserver.core.httplib.content import values_of
from mockserver.core.httplib.field_values import has_token
from mockserver.core.options import Options

_LENGTH = (hdrs.CONTENT_LENGTH, hdrs.TRANSFER_ENCODING)
_DROPPED = (hdrs.CONTENT_TYPE, *_LENGTH, hdrs.DATE, hdrs.SERVER, hdrs.CONNECTION)
_KEEP_ALIVE = "timeout=5, max=100"
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
FIRST_ERROR = 400
"""The first status that ends a connection."""

MOST_REQUESTS = 100
"""Requests on one connection before the server closes it (`max` above)."""

Arrange = Callable[[web.Request, web.StreamResponse], Awaitable[None]]


def preflight(options: Options) -> dict[str, str]:
    """The headers of an answer to OPTIONS."""
    return {
        "Access-Control-Allow-Credentials": "true" if options.cors_credentials else "false",
        "Access-Control-Allow-Methods": options.cors_methods,
        "Access-Control-Allow-Headers": options.cors_headers,
        hdrs.CONTENT_TYPE: "text/html",
    }


def _allowed_origin(origin: str, options: Options) -> str | None:
    """What a web page is told: `*` gives it its own origin where credentials are allowed, `localhost` to those of this
    machine, else what is set.
    """
    allowed = options.allowed_origins
    if allowed == "localhost":
        return origin if urlsplit(origin).hostname in _LOCAL else None
    return origin if allowed == "*" and options.cors_credentials else allowed


def _closes_quietly(request: web.Request) -> bool:
    """Whether a connection is closed without saying so: one of HTTP/1.0 that did not ask to be kept."""
    return not request.keep_alive and not has_token(values_of(request, hdrs.CONNECTION), b"close")


def arranger(options: Options) -> Arrange:
    """A signal handler that runs after aiohttp has added its headers, and puts them all in the real order."""

    async def arrange(request: web.Request, response: web.StreamResponse) -> None:
        found = response.headers
        origin = _allowed_origin(request.headers.get(hdrs.ORIGIN, ""), options)
        ordered: CIMultiDict[str] = CIMultiDict({hdrs.SERVER: "llama.cpp"})
        if origin is not None:
            ordered[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        ordered.extend((name, value) for name, value in found.items() if name not in _DROPPED)
        stays_open = response.keep_alive or (response.status < FIRST_ERROR and _closes_quietly(request))
        connection = ("Keep-Alive", _KEEP_ALIVE) if stays_open else (hdrs.CONNECTION, "close")
        is_empty = found.get(hdrs.CONTENT_LENGTH, "0") == "0" and hdrs.TRANSFER_ENCODING not in found
        length = [] if is_empty else [(name, found[name]) for name in _LENGTH if name in found]
        if hdrs.CONTENT_TYPE in found:
            ordered[hdrs.CONTENT_TYPE] = found[hdrs.CONTENT_TYPE]
        ordered.extend([*length, connection])
        if is_empty:
            ordered[hdrs.CONTENT_LENGTH] = "0"
        if request.method == hdrs.METH_HEAD:
            ordered[hdrs.ACCEPT_RANGES] = "bytes"
        found.clear()
        found.extend(ordered)

    return arrange
