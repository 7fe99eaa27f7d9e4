"""Reading a stream again, looking it up, stopping it: `/v1/stream` and `/v1/streams/lookup`."""

from contextlib import aclosing

from aiohttp import web

from mockserver.api.send_results import STREAM_SESSIONS, json_body, json_response, send_stream
from mockserver.core.api_errors import ApiError

_PING_SECONDS = 30


async def resume(request: web.Request) -> web.StreamResponse:
    """`GET /v1/stream?conv_id=..&from=N`: the stream from byte N on."""
    session = request.app[STREAM_SESSIONS].find(request.query.get("conv_id", ""))
    start = request.query.get("from", "0")
    async with aclosing(session.read(int(start) if start.isdigit() else 0)) as chunks:
        return await send_stream(request, chunks, _PING_SECONDS)


async def stop(request: web.Request) -> web.Response:
    """`DELETE /v1/stream?conv_id=..`."""
    request.app[STREAM_SESSIONS].stop(request.query.get("conv_id", ""))
    return web.Response(status=204)


async def look_up(request: web.Request) -> web.Response:
    """`POST /v1/streams/lookup`."""
    body = await json_body(request)
    conversations = body.get("conversation_ids") if isinstance(body, dict) else None
    if not isinstance(conversations, list):
        raise ApiError(400, '"conversation_ids" must be an array')
    return json_response(request.app[STREAM_SESSIONS].look_up(conversations))
