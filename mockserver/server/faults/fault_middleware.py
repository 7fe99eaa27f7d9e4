"""Fault injection: which request meets a fault, and whether it gets no response, another one, or a faulty one."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from mockserver.api.send_results import JSON_TYPE, json_response
from mockserver.core.aiohttp_internals import can_replace_writer, replace_writer, shortcomings
from mockserver.core.api_errors import INVALID_KEY, LOADING, NOT_FOUND, TYPES
from mockserver.core.clock import Clock
from mockserver.core.nlohmann_json import dump_bytes
from mockserver.core.request_matching import RequestView
from mockserver.play.faults import Fault, Faults
from mockserver.play.journal_middleware import JOURNAL_ENTRY, abort_response
from mockserver.server.faults.base_fault_writer import FaultWriter
from mockserver.server.faults.body_faults import (
    CutWriter,
    ErrorEventWriter,
    GarbageWriter,
    NoDoneWriter,
    PingsWriter,
    TrickleWriter,
)
from mockserver.server.faults.head_faults import ContentLengthWriter, ContentTypeWriter, GzipWriter, HugeHeaderWriter

FAULTS = web.AppKey("faults", Faults)
CLOCK = web.AppKey("clock", Clock)
HEADER = "X-Mock-Fault"
_NO_HTTP = b"\x00\xff\xfe\x01 this is not HTTP\r\n\r\n"
_BODIES = {401: INVALID_KEY, 404: NOT_FOUND, 503: LOADING}

_WRITERS: dict[str, Callable[[web.Request, Fault, Clock], FaultWriter]] = {
    "cut": CutWriter,
    "no-done": NoDoneWriter,
    "error-event": ErrorEventWriter,
    "trickle": TrickleWriter,
    "garbage": GarbageWriter,
    "content-type": ContentTypeWriter,
    "content-length": ContentLengthWriter,
    "huge-header": HugeHeaderWriter,
    "gzip": GzipWriter,
    "pings": PingsWriter,
}


@web.middleware
async def inject_faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Inject the fault that a request meets, if any."""
    faults, header = request.app[FAULTS], request.headers.get(HEADER)
    if not faults and header is None:
        return await handler(request)
    try:
        fault = faults.choose(RequestView(request.method, request.path, request.headers, await request.read()), header)
    except ValueError as error:
        return json_response(_error(400, f"{HEADER}: {error}"), 400)
    if fault is None:
        return await handler(request)
    request[JOURNAL_ENTRY].fault = fault.fault if fault.status is None else str(fault.status)
    return await _inject(fault, request, handler)


async def _inject(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    if fault.fault == "refuse":
        abort_response(request, by_reset=fault.reset)
    if fault.fault == "garbage" and fault.after_events is None:
        _send_garbage(request)
    if fault.fault == "status":
        return _status_response(fault)
    if fault.fault == "redirect":
        return web.Response(status=fault.status or 307, headers={hdrs.LOCATION: fault.to})
    clock = request.app[CLOCK]
    if fault.fault == "hang":
        await _hang(fault, clock)
    elif can_replace_writer():
        replace_writer(request, _WRITERS[fault.fault](request, fault, clock))
    else:
        return json_response(_error(500, " ".join(shortcomings())), 500)
    return await handler(request)


async def _hang(fault: Fault, clock: Clock) -> None:
    """Until the client leaves, or for so many seconds."""
    if fault.seconds is None:
        await asyncio.Event().wait()
    else:
        await clock.sleep_until(clock.now() + fault.seconds)


def _send_garbage(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.write(_NO_HTTP)
    abort_response(request)


def _status_response(fault: Fault) -> web.Response:
    """The status with the fault's body, or else with llama-server's own, or one in its form."""
    status, body = fault.status or 500, fault.body
    if body is None:
        body = _error(status, fault.message) if fault.message else _BODIES.get(status, _error(status, ""))
    is_text = isinstance(body, str)
    data = body.encode() if isinstance(body, str) else dump_bytes(body)
    kind = {hdrs.CONTENT_TYPE: "text/plain; charset=utf-8" if is_text else JSON_TYPE}
    return web.Response(status=status, body=data, headers=kind | fault.headers)


def _error(status: int, message: str) -> dict[str, object]:
    """An error in llama-server's form; of a status that it never sends, too."""
    known = {known.value: known.phrase for known in HTTPStatus}
    fallback = TYPES[400] if status < 500 else TYPES[500]
    kind = TYPES.get(status, fallback)
    return {"error": {"code": status, "message": message or known.get(status, "Error"), "type": kind}}
