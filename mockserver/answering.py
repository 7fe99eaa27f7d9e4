"""From results to an HTTP answer: one JSON body, or a stream with one chunk per result."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from aiohttp import web

from mockserver.generation import Begin, Final, Machine, Piece, Progress, Result, Task
from mockserver.jsontext import dump_bytes, load

JSON_TYPE = "application/json; charset=utf-8"
MACHINE = web.AppKey("machine", Machine)


class Shape(Protocol):
    """How one API writes results. The chunks a method returns are sent one HTTP chunk each."""

    def plain(self, finals: Sequence[Final]) -> Any:
        """The JSON value of a whole answer."""

    def progress(self, progress: Progress) -> bytes:
        """The events of a prompt's progress."""

    def piece(self, piece: Piece) -> bytes:
        """The events of a piece of text."""

    def final(self, final: Final) -> bytes:
        """The events at the end of one task."""

    def end(self) -> bytes:
        """What closes the whole stream, if anything."""


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON response as llama-server writes it."""
    return web.Response(status=status, body=dump_bytes(value), headers={**(headers or {}), "Content-Type": JSON_TYPE})


def data_event(value: Any) -> bytes:
    """One server-sent event without a name."""
    return b"data: " + dump_bytes(value) + b"\n\n"


def named_event(value: dict[str, Any]) -> bytes:
    """One server-sent event named by its own `type`."""
    return f"event: {value['type']}\n".encode() + data_event(value)


async def body_of(request: web.Request) -> Any:
    """The JSON body of a request; raises ApiError with the parser's complaint."""
    return load(await request.read())


async def answer(request: web.Request, tasks: Sequence[Task], shape: Shape, *, stream: bool) -> web.StreamResponse:
    """Run the tasks and send what comes of them. An error before the first result is a plain JSON error."""
    results = request.app[MACHINE].run(tasks)
    async with aclosing(results):
        if stream:
            return await _stream(request, results, shape)
        finals = [result async for result in results if isinstance(result, Final)]
    finals.sort(key=lambda final: final.task.index)
    return json_answer(shape.plain(finals))


async def _stream(request: web.Request, results: AsyncGenerator[Result], shape: Shape) -> web.StreamResponse:
    await anext(results)
    response = web.StreamResponse(headers={"X-Accel-Buffering": "no", "Content-Type": "text/event-stream"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    async for result in results:
        if events := _events(shape, result):
            await response.write(events)
    if end := shape.end():
        await response.write(end)
    await response.write_eof()
    return response


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
