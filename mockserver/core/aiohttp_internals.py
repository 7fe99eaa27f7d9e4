"""What the mock uses of aiohttp beyond its documented interface. All of it is here.

A release of aiohttp may lack any of it: `shortcomings` says what is lost then, and all else works on.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import cache, partial
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_writer import StreamWriter

_LOG = logging.getLogger("mockserver")

OnChunk = Callable[[Any], Awaitable[None]]

_LOSSES: dict[tuple[type, str], str] = {
    (web.Server, "_kwargs"): "what is not HTTP gets aiohttp's error page, not llama-server's empty 400",
    (BaseProtocol, "_parser"): "requests are taken and refused as aiohttp does, not as cpp-httplib",
    (web.RequestHandler, "_request_count"): "a connection does not end with its hundredth response",
    (web.RequestHandler, "_request_in_progress"): "who is told to stop waits for connections without a request, too",
    (
        StreamWriter,
        "_on_chunk_sent",
    ): "the journal has neither the bodies of responses nor the time of their first byte",
    (web.BaseRequest, "_payload_writer"): "the faults of heads and bodies are refused; refuse, hang and status work",
    (StreamWriter, "_headers_buf"): "the fault `cut at=head` cuts behind the whole head",
}
"""Attributes of instances, and what does not work without them."""


def _has(kind: type, name: str) -> bool:
    """Whether instances of a class get the attribute when they are made."""
    code = getattr(vars(kind).get("__init__"), "__code__", None)
    return hasattr(kind, name) or (code is not None and name in code.co_names)


_MISSING = frozenset(name for kind, name in _LOSSES if not _has(kind, name))


def shortcomings() -> list[str]:
    """What this aiohttp lacks and what is lost by that, a sentence each."""
    return [
        f"aiohttp {aiohttp.__version__} lacks {kind.__name__}.{name}: {loss}."
        for (kind, name), loss in _LOSSES.items()
        if name in _MISSING
    ]


@cache
def warn_of_shortcomings() -> None:
    """Log the shortcomings, once in a process."""
    for sentence in shortcomings():
        _LOG.warning("%s", sentence)


def connection_factory(
    server: web.Server, connection: type[web.RequestHandler], loop: asyncio.AbstractEventLoop
) -> Callable[[], web.RequestHandler]:
    """What makes the protocol of each accepted connection, of our own class."""
    if "_kwargs" in _MISSING:
        return server
    return partial(connection, server, loop=loop, **server._kwargs)


def replace_parser(connection: BaseProtocol, parser: Any) -> None:
    """Have the bytes of a connection read by another parser, with the methods of `aiohttp.http.HttpRequestParser`."""
    if "_parser" not in _MISSING:
        connection._parser = parser


def request_number(request: web.BaseRequest) -> int:
    """How many requests came on a request's connection, this one included; 0 if aiohttp does not tell."""
    return 0 if "_request_count" in _MISSING else request.protocol._request_count


def is_idle(connection: web.RequestHandler) -> bool:
    """Whether a connection is between two requests; False if aiohttp does not tell."""
    return "_request_in_progress" not in _MISSING and not connection._request_in_progress


def call_on_chunk(writer: AbstractStreamWriter, on_chunk: OnChunk) -> None:
    """Have a coroutine function called with each chunk of a response's body before it is sent."""
    if isinstance(writer, StreamWriter) and "_on_chunk_sent" not in _MISSING:
        writer._on_chunk_sent = on_chunk


def can_replace_writer() -> bool:
    """Whether `replace_writer` works."""
    return "_payload_writer" not in _MISSING


def replace_writer(request: web.BaseRequest, writer: StreamWriter) -> None:
    """Have the response to a request written by another writer, with the `call_on_chunk` of the one before."""
    if "_on_chunk_sent" not in _MISSING:
        writer._on_chunk_sent = getattr(request.writer, "_on_chunk_sent", None)
    request._payload_writer = writer


def keep_half_of_head(writer: StreamWriter) -> None:
    """Drop the second half of a head that was written but not sent."""
    if "_headers_buf" not in _MISSING and writer._headers_buf:
        writer._headers_buf = writer._headers_buf[: len(writer._headers_buf) // 2]
