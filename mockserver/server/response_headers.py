"""The headers of an answer, in llama-server's order and with its values; none of aiohttp's own.

Mirrors tools/server/server-http.cpp.
"""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from multidict import CIMultiDict

_LAST = (hdrs.CONTENT_TYPE, hdrs.CONTENT_LENGTH, hdrs.TRANSFER_ENCODING)
_DROPPED = (*_LAST, hdrs.DATE, hdrs.SERVER, hdrs.CONNECTION)
_KEEP_ALIVE = "timeout=5, max=100"
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
MOST_REQUESTS = 100
"""Requests on one connection before the server closes it (`max` above)."""

Arrange = Callable[[web.Request, web.StreamResponse], Awaitable[None]]


def _is_allowed(origin: str, allowed: str) -> bool:
    """Whether an origin is let in: `*` any, `localhost` this machine's, else those listed by commas."""
    if allowed == "localhost":
        return urlsplit(origin).hostname in _LOCAL
    return allowed == "*" or origin in allowed.split(",")


def arranger(allowed_origins: str) -> Arrange:
    """A signal handler that runs after aiohttp has added its headers, and puts them all in the real order."""

    async def arrange(request: web.Request, response: web.StreamResponse) -> None:
        found = response.headers
        origin = request.headers.get(hdrs.ORIGIN, "")
        ordered: CIMultiDict[str] = CIMultiDict({hdrs.SERVER: "llama.cpp"})
        if _is_allowed(origin, allowed_origins):
            ordered[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        ordered.extend((name, value) for name, value in found.items() if name not in _DROPPED)
        last: list[tuple[str, str]] = [(name, found[name]) for name in _LAST if name in found]
        connection = ("Keep-Alive", _KEEP_ALIVE) if response.keep_alive else (hdrs.CONNECTION, "close")
        if request.method == hdrs.METH_OPTIONS:
            last = [last[0], connection, (hdrs.CONTENT_LENGTH, "0")]
        else:
            last.append(connection)
        ordered.extend(last)
        if request.method == hdrs.METH_HEAD:
            ordered[hdrs.ACCEPT_RANGES] = "bytes"
        found.clear()
        found.extend(ordered)

    return arrange
