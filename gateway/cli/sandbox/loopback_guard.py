"""Keeps pages in a browser from driving the sandbox: the control URL is for programs of this machine."""

import re

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.config.server_settings import is_loopback

_PORT = re.compile(r":[0-9]+$")
_BY_THE_USER = "none"  # Sec-Fetch-Site of an address that was typed in; a page has another


@web.middleware
async def refuse_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """403 for a page of any origin (cross-site request forgery) and for a name that is not ours (DNS rebinding).

    A browser cannot be kept from sending a simple POST, but it says with it which page has sent it.
    """
    if not is_loopback(_PORT.sub("", request.headers.get(hdrs.HOST, "")).strip("[]")):
        return _refused("The control URL answers under the names of this machine only.")
    if hdrs.ORIGIN in request.headers or request.headers.get("Sec-Fetch-Site", _BY_THE_USER) != _BY_THE_USER:
        return _refused("The control URL is not for pages in a browser.")
    return await handler(request)


def _refused(why: str) -> web.Response:
    return web.json_response({"error": why}, status=web.HTTPForbidden.status_code)
