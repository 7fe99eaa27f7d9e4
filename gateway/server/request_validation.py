"""Refuses ambiguous requests: the gateway and its upstreams must never read one differently.

aiohttp's parser already refuses most of it (RFC 9112 6: duplicate and conflicting lengths, bad chunks, bare line
feeds); here is what it lets through.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import chain
from typing import Any

from aiohttp import HttpVersion, HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.http import RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.core import errors
from gateway.core.errors import Refusal
from gateway.proxy.aiohttp_internals import AiohttpConnection
from gateway.proxy.client_connection import ClientConnection
from gateway.proxy.request_body import EXPECTATIONS

MAX_HEADER_BYTES = 32 * 1024  # of all headers together, names and values

# RFC 9110 7.2 and RFC 3986 3.2.2: a name or address and perhaps a port. No path, no user, no `#`.
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._~-]{1,253})(?::[0-9]{1,5})?").fullmatch
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_VERSIONS = (HttpVersion11, HttpVersion10)
_ODD_VERSION = web.RequestKey("odd_version", HttpVersion)

RequestFactory = Callable[..., web.BaseRequest]


def without_surprises(make: RequestFactory) -> RequestFactory:
    """Wrap aiohttp's request factory: set aside what aiohttp would act upon before any middleware has run.

    It answers `Expect` by inviting the body, or with an error page of its own, before the key has been looked at;
    it loses the bytes after an `Upgrade` that it does not know; and it answers in any version it is spoken to.
    """

    def make_request(message: RawRequestMessage, *rest: Any) -> web.BaseRequest:
        headers, version = message.headers, message.version
        if hdrs.EXPECT not in headers and hdrs.UPGRADE not in headers and version in _VERSIONS:
            return make(message, *rest)
        told = CIMultiDict(headers)
        expectations = told.popall(hdrs.EXPECT, [])
        spoken = version if version in _VERSIONS else HttpVersion11
        close = message.should_close or hdrs.UPGRADE in headers
        request = make(message._replace(headers=CIMultiDictProxy(told), version=spoken, should_close=close), *rest)
        if expectations and not _was_invited(request):
            request[EXPECTATIONS] = expectations
        if spoken != version:
            request[_ODD_VERSION] = version
        return request

    return make_request


def _was_invited(request: web.BaseRequest) -> bool:
    """Whether its client has been told to continue, which is said once for each request."""
    connection = request.protocol
    if not isinstance(connection, ClientConnection) or not connection.is_invited:
        return False
    connection.is_invited = False
    return True


def refuse_ambiguous(request: web.Request) -> None:
    """Raise a 400, 405 or 417 for an ambiguous request; all of them close the connection."""
    fault = _fault_of(request)
    if fault is not None:
        raise fault


def _fault_of(request: web.Request) -> Refusal | None:
    headers = request.headers
    connection = request.protocol
    if _ODD_VERSION in request or (isinstance(connection, AiohttpConnection) and not connection.speaks_http):
        return Refusal(errors.BAD_REQUEST, "only HTTP/1.0 and HTTP/1.1 are supported")
    if request.method == "CONNECT":
        return Refusal(errors.WRONG_METHOD, "other methods", Allow="GET, HEAD, POST")
    if hdrs.TRANSFER_ENCODING in headers and not _is_plain_chunked(request):
        return Refusal(errors.BAD_REQUEST, "its Transfer-Encoding is not understood")
    if not _has_one_good_host(request):
        return Refusal(errors.BAD_REQUEST, "its Host header is not valid")
    path = request.raw_path.partition("?")[0]  # as sent, still percent-encoded
    if "#" in request.raw_path or "\\" in path or _BAD_ESCAPE(path):
        return Refusal(errors.BAD_REQUEST, "its target is not a valid URL")
    if sum(map(len, chain.from_iterable(request.raw_headers))) > MAX_HEADER_BYTES:
        return Refusal(errors.BAD_REQUEST, f"its headers exceed {MAX_HEADER_BYTES} bytes")
    if EXPECTATIONS in request and [asked.lower() for asked in request[EXPECTATIONS]] != ["100-continue"]:
        return Refusal(errors.EXPECTATION)
    return None


def _is_plain_chunked(request: web.Request) -> bool:
    codings = request.headers.getall(hdrs.TRANSFER_ENCODING)
    return request.version == HttpVersion11 and len(codings) == 1 and codings[0].strip().lower() == "chunked"


def _has_one_good_host(request: web.Request) -> bool:
    hosts = request.headers.getall(hdrs.HOST, [])
    if not hosts:
        return request.version == HttpVersion10
    return len(hosts) == 1 and is_host(hosts[0])


@lru_cache(maxsize=256)
def is_host(value: str) -> bool:
    """Whether this is what a `Host` header may say: a name or an address, and perhaps a port."""
    if _HOST(value) is None:
        return False
    _, colon, port = value.rpartition(":")
    return not colon or value.endswith("]") or int(port) <= 65535
