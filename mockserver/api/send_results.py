"""From tasks to an HTTP response: one JSON body, or a stream with one chunk for each result.

Mirrors tools/server/server-context.cpp (`handle_completions_impl`).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from aiohttp import web

from mockserver.api.resumable_streams import StreamSessions
from mockserver.api.shapes.sse import PING, ResponseShape, data_event
from mockserver.core.api_errors import ApiError
from mockserver.core.httplib.content import read_content
from mockserver.core.nlohmann_json import dump_bytes, load
from mockserver.core.request_matching import RequestView
from mockserver.engine.results import BeginResult, FinalResult, PartialResult, PromptProgress, Result, Task
from mockserver.engine.server_context import ServerContext
from mockserver.play.journal import ExchangeEnd
from mockserver.play.journal_middleware import JOURNAL_ENTRY
from mockserver.play.mock_context import MOCK_CONTEXT

JSON_TYPE = "application/json; charset=utf-8"
SERVER_CONTEXT = web.RequestKey("server_context", ServerContext)
STREAM_SESSIONS = web.AppKey("sessions", StreamSessions)


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON response as llama-server writes it."""
    return web.Response(status=status, body=dump_bytes(value), headers={**(headers or {}), "Content-Type": JSON_TYPE})


async def json_body(request: web.Request) -> Any:
    """The JSON body of a request; raises ApiError with the parser's complaint."""
    return load(await read_content(request))


async def collect_results(server_context: ServerContext, tasks: Sequence[Task], shape: ResponseShape) -> Any:
    """Run the tasks to their end; the JSON value of the answer."""
    async with aclosing(server_context.run(tasks, stream=False)) as results:
        finals = [result async for result in results if isinstance(result, FinalResult)]
    return shape.response(sorted(finals, key=lambda final: final.task.index))


async def send_results(request: web.Request, tasks: Sequence[Task], shape: ResponseShape) -> web.StreamResponse:
    """Run the tasks and send their results, as a stream if the request wants that.

    An error before the first result is a plain JSON error.
    """
    server_context, params = request[SERVER_CONTEXT], tasks[0].params
    await _plan_canned_reply(request, tasks)
    if not params.shown["stream"]:
        return json_response(await collect_results(server_context, tasks, shape))
    chunks = _chunks(server_context, tasks, shape)
    if conversation := request.headers.get("X-Conversation-Id"):
        session = request.app[STREAM_SESSIONS].open(conversation, chunks)
        await session.started.wait()
        if session.error:
            raise session.error
        chunks = session.read(0)
    async with aclosing(chunks):
        return await send_stream(request, chunks, params.ping_seconds)


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
    async with _Pinger(request, response).pinging(ping_seconds) as pinger:
        async for chunk in chunks:
            await request.app[MOCK_CONTEXT].wait_while_hung()
            if chunk:
                await response.write(chunk)
                pinger.silent_since = pinger.clock.now()
    await response.write_eof()
    # As llama-server, without a word in the head: its provider ends with false (tools/server/server-http.cpp), which
    # cpp-httplib takes for an error.
    response.force_close()
    return response


def _to_events(shape: ResponseShape, result: Result) -> bytes:
    match result:
        case PartialResult():
            return shape.partial(result)
        case PromptProgress():
            return shape.prompt_progress(result)
        case FinalResult():
            return shape.final(result)
        case _:
            return b""


def _begun(result: BeginResult) -> bytes:
    """What another prompt of the stream says when it begins: null, where the first says nothing."""
    return b"" if result.task.choice or result.task.params.return_progress else data_event(None)


class _Pinger:
    """Sends a comment when a stream has been silent for so long, but only while nobody else gets a result either.

    In a server that has been told to stop, nobody does, and a ping is the last that a stream sends.
    """

    def __init__(self, request: web.Request, response: web.StreamResponse) -> None:
        self._request, self._response = request, response
        self._responses, self.clock = request[SERVER_CONTEXT].responses, request[SERVER_CONTEXT].clock
        self.silent_since = self.clock.now()

    @asynccontextmanager
    async def pinging(self, seconds: int) -> AsyncIterator["_Pinger"]:
        """Ping in the block; 0 seconds or less: never."""
        task = asyncio.create_task(self._ping(seconds)) if seconds > 0 else None
        try:
            yield self
        finally:
            if task is not None:
                task.cancel()

    async def _ping(self, seconds: int) -> None:
        context = self._request.app[MOCK_CONTEXT]
        with suppress(ConnectionError):
            while True:
                due = self._responses.next_look(self.silent_since, self.silent_since + seconds)
                if due > self.clock.now():
                    await self.clock.sleep_until(due)
                    continue
                await self._response.write(PING)
                self.silent_since = self.clock.now()
                if context.is_stopping:
                    self._request[JOURNAL_ENTRY].close(ExchangeEnd.CUT)
                    if self._request.transport is not None:
                        self._request.transport.close()
                    return
