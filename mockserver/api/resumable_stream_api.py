"""Reading a stream again, looking it up, stopping it: `/v1/stream` and `/v1/streams/lookup`.

Mirrors tools/server/server-stream.cpp.
"""

import re
from contextlib import aclosing
from typing import Any

from aiohttp import hdrs, web

from mockserver.api.send_results import STREAM_SESSIONS, json_body, json_response, send_stream
from mockserver.core.api_errors import ApiError
from mockserver.core.nlohmann_json import JsonError

_NO_PINGS = 0
_UNSIGNED = re.compile(r"[ \t\n\v\f\r]*([+-]?)([0-9]+)")
_LARGEST = 2**64 - 1


async def resume(request: web.Request) -> web.StreamResponse:
    """`GET /v1/stream?conv_id=..&from=N`: the stream from byte N on."""
    session = request.app[STREAM_SESSIONS].find(_conversation(request))
    async with aclosing(session.read(_offset(request.query.get("from", "")))) as chunks:
        return await send_stream(request, chunks, _NO_PINGS)


async def stop(request: web.Request) -> web.Response:
    """`DELETE /v1/stream?conv_id=..`."""
    request.app[STREAM_SESSIONS].stop(_conversation(request))
    return web.Response(status=204, headers={hdrs.CONTENT_TYPE: "application/json"})


async def look_up(request: web.Request) -> web.Response:
    """`POST /v1/streams/lookup`: what is no list of names counts as none."""
    try:
        body = await json_body(request)
    except JsonError as error:
        complaint = {"message": f"invalid body: {error.message}", "type": "invalid_request_error"}
        return json_response({"error": complaint}, 400)
    asked: Any = body.get("conversation_ids") if isinstance(body, dict) else None
    conversations = [name for name in asked if isinstance(name, str) and name] if isinstance(asked, list) else []
    return json_response(request.app[STREAM_SESSIONS].look_up(conversations))


def _conversation(request: web.Request) -> str:
    conversation = request.query.get("conv_id", "")
    if not conversation:
        raise ApiError(400, "Missing conversation id in path")
    return conversation


def _offset(text: str) -> int:
    """What `std::stoull` makes of a text: the number it begins with, of a negative one the complement."""
    match = _UNSIGNED.match(text or "0")
    if not match or int(match[2]) > _LARGEST:
        raise ApiError(400, "Invalid 'from' offset")
    return int(match[1] + match[2]) % (_LARGEST + 1)
