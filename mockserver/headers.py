"""The headers of an answer, in llama-server's order and with its values; none of aiohttp's own."""

from aiohttp import hdrs, web
from multidict import CIMultiDict

_LAST = (hdrs.CONTENT_TYPE, hdrs.CONTENT_LENGTH, hdrs.TRANSFER_ENCODING)
_DROPPED = (*_LAST, hdrs.DATE, hdrs.SERVER, hdrs.CONNECTION)
_KEEP_ALIVE = "timeout=5, max=100"
MOST_REQUESTS = 100
"""Requests on one connection before the server closes it (`max` above)."""


async def arrange(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: runs after aiohttp has added its headers, and puts them all in the real order."""
    found = response.headers
    ordered: CIMultiDict[str] = CIMultiDict()
    ordered[hdrs.SERVER] = "llama.cpp"
    ordered[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = request.headers.get(hdrs.ORIGIN, "")
    for name, value in found.items():
        if name not in _DROPPED:
            ordered.add(name, value)
    connection = ("Keep-Alive", _KEEP_ALIVE) if response.keep_alive else (hdrs.CONNECTION, "close")
    if request.method == hdrs.METH_OPTIONS:
        ordered[hdrs.CONTENT_TYPE] = found[hdrs.CONTENT_TYPE]
        ordered.add(*connection)
        ordered[hdrs.CONTENT_LENGTH] = "0"
    else:
        for name in _LAST:
            if name in found:
                ordered[name] = found[name]
        ordered.add(*connection)
    if request.method == hdrs.METH_HEAD:
        ordered[hdrs.ACCEPT_RANGES] = "bytes"
    found.clear()
    found.extend(ordered)
