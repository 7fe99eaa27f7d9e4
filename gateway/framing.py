"""Refuses what could be read in two ways, before anyone reads it: the gateway and its upstreams must never differ.

aiohttp's parser already refuses most of it (RFC 9112 6: duplicate and conflicting lengths, bad chunks, bare line
feeds); here is what it lets through.
"""

import re

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.typedefs import Handler

from gateway import errors
from gateway.errors import Refusal

# RFC 9110 7.2 and RFC 3986 3.2.2: a name or address and perhaps a port. No path, no user, no `#`.
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._~-]{1,253})(?::[0-9]{1,5})?").fullmatch
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})").search


@web.middleware
async def refuse_ambiguous(request: web.Request, handler: Handler) -> web.StreamResponse:
    """400, 405 or 417 for a request whose meaning is not beyond doubt; all of them end the connection."""
    fault = _fault_of(request)
    if fault is not None:
        raise fault
    return await handler(request)


def _fault_of(request: web.Request) -> Refusal | None:
    headers = request.headers
    if request.version not in {HttpVersion10, HttpVersion11}:
        return Refusal(errors.BAD_REQUEST, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    if request.method == "CONNECT":
        return Refusal(errors.WRONG_METHOD, "other methods", Allow="GET, HEAD, POST")
    if hdrs.TRANSFER_ENCODING in headers and not _is_plain_chunked(request):
        return Refusal(errors.BAD_REQUEST, "its Transfer-Encoding is not understood")
    if not _has_one_good_host(request):
        return Refusal(errors.BAD_REQUEST, "its Host header is not valid")
    path = request.raw_path.partition("?")[0]  # as sent, still percent-encoded
    if "#" in request.raw_path or "\\" in path or _BAD_ESCAPE(path):
        return Refusal(errors.BAD_REQUEST, "its target is not a valid URL")
    if hdrs.EXPECT in headers and headers[hdrs.EXPECT].lower() != "100-continue":
        return Refusal(errors.EXPECTATION)
    return None


def _is_plain_chunked(request: web.Request) -> bool:
    codings = request.headers.getall(hdrs.TRANSFER_ENCODING)
    return request.version == HttpVersion11 and len(codings) == 1 and codings[0].strip().lower() == "chunked"


def _has_one_good_host(request: web.Request) -> bool:
    hosts = request.headers.getall(hdrs.HOST, [])
    if not hosts:
        return request.version == HttpVersion10
    return len(hosts) == 1 and _HOST(hosts[0]) is not None and _port_of(hosts[0]) <= 65535


def _port_of(host: str) -> int:
    _, _, port = host.rpartition(":")
    return int(port) if port.isdigit() and not host.endswith("]") else 0


async def no_early_continue(_request: web.Request) -> None:
    """Replaces aiohttp's handler of `Expect`, which invites the body before the key has been looked at."""
