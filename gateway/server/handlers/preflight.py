"""What a browser asks before it lets a web page send a request: the preflight of the Fetch standard, section 3.3.2."""

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.core import errors
from gateway.core.errors import Refusal
from gateway.core.http.cors import Cors, is_origin, preflight_fields

CORS = web.AppKey("cors", Cors)


@web.middleware
async def answer_preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a preflight, for any path and before a key is asked for: a browser sends none with it.

    Raises Refusal (403), in words for whoever finds it in the log, if pages of its origin may not call.
    """
    origin, method = request.headers.get(hdrs.ORIGIN), request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_METHOD)
    if request.method != hdrs.METH_OPTIONS or origin is None or method is None:
        return await handler(request)
    if not request.app[CORS].allows(origin):
        named = origin if is_origin(origin) else "its origin"
        raise Refusal(errors.FOREIGN_ORIGIN, cause=f"{named} is not in server.cors_origins")
    names = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "")
    return web.Response(status=204, headers=preflight_fields(method, names))
