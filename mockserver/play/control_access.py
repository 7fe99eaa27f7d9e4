"""Keeps pages in a browser from driving the mock, and from reading its journal: the control port is for programs."""

import re
from ipaddress import ip_address
from typing import Any

from aiohttp import hdrs, web

from mockserver.core.nlohmann_json import dump

_PORT = re.compile(r":[0-9]+$")
_BY_THE_USER = "none"  # Sec-Fetch-Site of an address that was typed in; a page has another


@web.middleware
async def refuse_pages(request: web.Request, handler: Any) -> web.StreamResponse:
    """403 for a page of any origin, which a browser names with each request that is not plain reading; and on loopback
    for a name that is not loopback's, which a page may have had resolved to this machine (DNS rebinding).
    """
    if hdrs.ORIGIN in request.headers or request.headers.get("Sec-Fetch-Site", _BY_THE_USER) != _BY_THE_USER:
        return _refused("The control port is not for pages in a browser.")
    if _was_asked_on_loopback(request) and not _is_loopback(_PORT.sub("", request.headers.get(hdrs.HOST, ""))):
        return _refused("On loopback, the control port answers under the names of this machine only.")
    response: web.StreamResponse = await handler(request)
    return response


def _was_asked_on_loopback(request: web.Request) -> bool:
    address = request.transport.get_extra_info("sockname") if request.transport is not None else None
    return address is not None and _is_loopback(str(address[0]))


def _is_loopback(host: str) -> bool:
    name = host.strip("[]").lower()
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _refused(why: str) -> web.Response:
    return web.json_response({"error": why}, status=web.HTTPForbidden.status_code, dumps=dump)
