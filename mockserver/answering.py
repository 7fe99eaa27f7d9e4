"""From results to an HTTP answer: one JSON body, or a stream with one chunk per result."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

from aiohttp import web

from mockserver.jsontext import dump_bytes, load
from mockserver.machine import Machine
from mockserver.results import Begin, Final, Piece, Progress, Result, Task
from mockserver.sse import Shape

JSON_TYPE = "application/json; charset=utf-8"
MACHINE = web.RequestKey("machine", Machine)
_PING = b":\n\n"


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON response as llama-server writes it."""
    return web.Response(status=status, body=dump_bytes(value), headers={**(headers or {}), "Content-Type": JSON_TYPE})


async def body_of(request: web.Request) -> Any:
    """The JSON body of a request; raises ApiError with the parser's complaint."""
    return load(await request.read())


async def gather(machine: Machine, tasks: Sequence[Task], shape: Shape) -> Any:
    """Run the tasks to their end; the JSON value of the answer."""
    async with aclosing(machine.run(tasks)) as results:
        finals = [result async for result in results if isinstance(result, Final)]
    return shape.plain(sorted(finals, key=lambda final: final.task.index))


async def answer(request: web.Request, tasks: Sequence[Task], shape: Shape, *, stream: bool) -> web.StreamResponse:
    """Run the tasks and send what comes of them. An error before the first result is a plain JSON error."""
    machine = request[MACHINE]
    if not stream:
        return json_answer(await gather(machine, tasks, shape))
    async with aclosing(machine.run(tasks)) as results:
        await anext(results)
        response = web.StreamResponse(headers={"X-Accel-Buffering": "no", "Content-Type": "text/event-stream"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        async with _pinging(request, response, tasks[0].params.ping_seconds):
            await _send(response, results, shape)
        await response.write_eof()
    return response


async def _send(response: web.StreamResponse, results: AsyncGenerator[Result], shape: Shape) -> None:
    async for result in results:
        if events := _events(shape, result):
            await response.write(events)
    if end := shape.end():
        await response.write(end)


def _events(shape: Shape, result: Result) -> bytes:
    match result:
        case Piece():
            return shape.piece(result)
        case Progress():
            return shape.progress(result)
        case Final():
            return shape.final(result)
        case Begin():
            return b""


@asynccontextmanager
async def _pinging(request: web.Request, response: web.StreamResponse, seconds: int) -> AsyncGenerator[None]:
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
    """Compare the number of bytes sent, once in so many seconds: unchanged means silence."""
    seen = -1
    with suppress(ConnectionError):
        while True:
            await asyncio.sleep(seconds)
            if request.writer.output_size == seen:
                await response.write(_PING)
            seen = request.writer.output_size
