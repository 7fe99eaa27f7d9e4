"""Keeps pages in a browser from driving the mock, and from reading its journal: the control port is for programs."""

import re
from ipaddress import ip_address

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from mockserver.core.nlohmann_json import dump

CONTROL_NAMES = web.AppKey("control_names", frozenset[str])
_PORT = re.compile(r":[0-9]+$")
_BY_THE_USER = "none"  # Sec-Fetch-Site of an address that was typed in; a page has another


@web.middleware
async def refuse_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """403 for a page of any origin, which a browser names with each request that is not plain reading; and for a host
    name that is not ours, which a page may have had resolved to this machine (DNS rebinding).
    """
    if hdrs.ORIGIN in request.headers or request.headers.get("Sec-Fetch-Site", _BY_THE_USER) != _BY_THE_USER:
        return _refused("The control port is not for pages in a browser.")
    host = _PORT.sub("", request.headers.get(hdrs.HOST, "")).lower()
    if not (_is_address(host) or host in request.app[CONTROL_NAMES]):
        return _refused(
            f"The control port answers to localhost, to addresses and to the names of --control-names, not to {host!r}."
        )
    return await handler(request)


def _is_address(host: str) -> bool:
    """Whether it is an address: there is no name in it that could be resolved to another one."""
    try:
        ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _refused(why: str) -> web.Response:
    return web.json_response({"error": why}, status=web.HTTPForbidden.status_code, dumps=dump)
