"""From tasks to an HTTP response: one JSON body, or a stream with one chunk for each result.

Mirrors tools/server/server-context.cpp (`handle_completions_impl`).
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from aiohttp import web

from mockserver.api.resumable_streams import StreamSessions
from mockserver.api.shapes.sse import ResponseShape, data_event
from mockserver.core.api_errors import ApiError
from mockserver.core.httplib.content import read_content
from mockserver.core.nlohmann_json import dump_bytes, load
from mockserver.core.request_matching import RequestView
from mockserver.engine.results import BeginResult, FinalResult, PartialResult, PromptProgress, Result, Task
from mockserver.engine.server_context import ServerContext
from mockserver.play.mock_context import MOCK_CONTEXT

JSON_TYPE = "application/json; charset=utf-8"
SERVER_CONTEXT = web.RequestKey("server_context", ServerContext)
STREAM_SESSIONS = web.AppKey("sessions", StreamSessions)
_PING = b":\n\n"


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON response as llama-server writes it."""
    return web.Response(status=status, body=dump_bytes(value), headers={**(headers or {}), "Content-Type": JSON_TYPE})


async def json_body(request: web.Request) -> Any:
    """The JSON body of a request; raises ApiError with the parser's complaint."""
    return load(await read_content(request))


async def collect_results(server_context: ServerContext, tasks: Sequence[Task], shape: ResponseShape) -> Any:
    """Run the tasks to their end; the JSON value of the answer."""
    async with aclosing(server_context.run(tasks)) as results:
        finals = [result async for result in results if isinstance(result, FinalResult)]
    return shape.response(sorted(finals, key=lambda final: final.task.index))


async def send_results(
    request: web.Request, tasks: Sequence[Task], shape: ResponseShape, *, stream: bool
) -> web.StreamResponse:
    """Run the tasks and send their results. An error before the first result is a plain JSON error."""
    server_context = request[SERVER_CONTEXT]
    await _plan_canned_reply(request, tasks)
    if not stream:
        return json_response(await collect_results(server_context, tasks, shape))
    chunks = _chunks(server_context, tasks, shape)
    if conversation := request.headers.get("X-Conversation-Id"):
        session = request.app[STREAM_SESSIONS].open(conversation, chunks)
        await session.started.wait()
        if session.error:
            raise session.error
        chunks = session.read(0)
    async with aclosing(chunks):
        return await send_stream(request, chunks, tasks[0].params.ping_seconds)


async def _plan_canned_reply(request: web.Request, tasks: Sequence[Task]) -> None:
    """Put the canned answer for a request, if there is one, into the plans of its tasks."""
    answers, ids = request.app[MOCK_CONTEXT].answers, request[SERVER_CONTEXT].ids
    if not answers:
        return
    reply = answers.choose(RequestView(request.method, request.path, request.headers, await request.read()))
    if reply is not None:
        for task in tasks:
            task.plan = replace(task.plan, reply=reply, call_ids=[ids.new() for _ in reply.calls])


async def _chunks(server_context: ServerContext, tasks: Sequence[Task], shape: ResponseShape) -> AsyncGenerator[bytes]:
    """The chunks of a stream. The first is empty: it says that the response has begun."""
    has_started = False
    try:
        async with aclosing(server_context.run(tasks)) as results:
            async for result in results:
                yield _begun(result) if has_started and isinstance(result, BeginResult) else _to_events(shape, result)
                has_started = True
        yield shape.stream_end()
    except ApiError as error:
        if not has_started:
            raise
        yield shape.error_event(error)


async def send_stream(request: web.Request, chunks: AsyncGenerator[bytes], ping_seconds: int) -> web.StreamResponse:
    """Send chunks as they come; the headers go out with the first, even an empty one."""
    first = await anext(chunks, b"")
    response = web.StreamResponse(headers={"X-Accel-Buffering": "no", "Content-Type": "text/event-stream"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    if first:
        await response.write(first)
    async with _pinging_in_silence(request, response, ping_seconds):
        async for chunk in chunks:
            await request.app[MOCK_CONTEXT].wait_while_hung()
            if chunk:
                await response.write(chunk)
    await response.write_eof()
    return response


def _to_events(shape: ResponseShape, result: Result) -> bytes:
    match result:
        case PartialResult():
            return shape.partial(result)
        case PromptProgress():
            return shape.prompt_progress(result)
        case FinalResult():
            return shape.final(result)
        case BeginResult():
            return b""


def _begun(result: BeginResult) -> bytes:
    """What another prompt of the stream says when it begins: null, where the first says nothing."""
    return b"" if result.task.choice or result.task.params.return_progress else data_event(None)


@asynccontextmanager
async def _pinging_in_silence(request: web.Request, response: web.StreamResponse, seconds: int) -> AsyncGenerator[None]:
    """Send a comment whenever the stream was silent for so many seconds; 0 or less: never."""
    if seconds <= 0:
        yield
        return
    pinger = asyncio.create_task(_ping(request, response, seconds))
    try:
        yield
    finally:
        pinger.cancel()


async def _ping(request: web.Request, response: web.StreamResponse, seconds: int) -> None:
    """Compare the number of bytes sent, once in so many seconds: the stream is silent if it is unchanged."""
    seen, clock = request.writer.output_size, request[SERVER_CONTEXT].clock
    with suppress(ConnectionError):
        while True:
            await clock.sleep_until(clock.now() + seconds)
            if request.writer.output_size == seen:
                await response.write(_PING)
            seen, clock = request.writer.output_size, request[SERVER_CONTEXT].clock
