"""What the gateway uses of aiohttp beyond its documented interface. All of it is here.

A release of aiohttp may lack any of it. `unfit` says what makes it useless, `shortcomings` what works on without it.
"""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import aiohttp
from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage, StreamWriter

from gateway.proxy.request_line_watch import RequestLineWatch

# To know when aiohttp waits for a request, and to keep it from closing a connection that is busy without it.
_FOR_FAST_PATH = ("_waiter", "_messages", "_next_keepalive_close_time", "_keepalive_timeout", "_process_keepalive")
# To find the requests that it has read and will never begin, because their client has left.
_FOR_UNBEGUN = ("_messages", "_request_factory", "_task_handler", "_force_close", "_close")
# To tell the reader of a request's body that no more of it can come.
_FOR_BODIES = ("_messages", "_request_count")

_MAX_HEAD_BYTES = 64 * 1024  # kept of a head that is not whole yet; more than the parser takes for all that matters
_ORIGIN = re.compile(rb"^origin:[ \t]*([!-~]+)[ \t]*\r?$", re.MULTILINE | re.IGNORECASE)
_MAX_FRAMING_BYTES = 64 * 1024  # chunk sizes and extensions, beyond seven bytes for every one of the body


def _missing(names: tuple[str, ...]) -> list[str]:
    return [f"RequestHandler.{name}" for name in names if not hasattr(web.RequestHandler, name)]


_HAS_FAST_PATH = not _missing(_FOR_FAST_PATH)
_HAS_UNBEGUN = not _missing(_FOR_UNBEGUN)
_HAS_BODIES = not _missing(_FOR_BODIES)


def unfit() -> str | None:
    """Why the gateway cannot serve with this aiohttp at all, in a sentence; None if it can."""
    if hasattr(web.AppRunner, "_make_server"):
        return None
    return f"aiohttp {aiohttp.__version__} lacks AppRunner._make_server, which the gateway needs; install an older one."


def shortcomings() -> list[str]:
    """What this aiohttp lacks and what is lost by that, a sentence each."""
    lacks = f"aiohttp {aiohttp.__version__} lacks "
    sentences = []
    if not _HAS_FAST_PATH:
        names = ", ".join(_missing(_FOR_FAST_PATH))
        sentences.append(f"{lacks}{names}: all requests are served without the fast path, at about twice the cost")
    if not _HAS_UNBEGUN:
        names = ", ".join(_missing(_FOR_UNBEGUN))
        sentences.append(f"{lacks}{names}: a request has no line in the log if its client leaves in the same moment")
    if not _HAS_BODIES:
        names = ", ".join(_missing(_FOR_BODIES))
        sentences.append(f"{lacks}{names}: a badly framed body is refused only when its time is over")
    return sentences


class AiohttpConnection(web.RequestHandler):
    """One client connection of aiohttp's server, with names for what the gateway has to know of its state."""

    __slots__ = ("_body", "_body_bytes", "_head", "_is_unreadable", "_made", "_request_lines", "event_loop")

    def __init__(self, manager: web.Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self.event_loop: asyncio.AbstractEventLoop = options["loop"]
        self._request_lines = RequestLineWatch()
        self._made: web.BaseRequest | None = None  # aiohttp has made it, and has not begun it yet
        self._body: StreamReader | None = None  # of the request that was read last, while more of it is to come
        self._head = b""  # of the request that is not whole yet, or that could not be read
        self._is_unreadable = False  # what came last: the connection ends with the answer to it
        self._body_bytes = 0  # on the wire, framing included, beyond those that came with the head

    @property
    def waits_for_request(self) -> bool:
        """Whether aiohttp waits for the first byte of a request. Never so where it does not tell."""
        if not _HAS_FAST_PATH:
            return False
        return self._waiter is not None and not self._waiter.done() and not self._messages

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way here that aiohttp does not know of."""
        return False

    @property
    def idle_since(self) -> float:
        """When the last request was over, or the connection was made: seconds of the event loop's clock."""
        return self._next_keepalive_close_time - self._keepalive_timeout

    def restart_keepalive(self) -> None:
        """Let the time for which the connection may be idle begin now."""
        self._next_keepalive_close_time = self.event_loop.time() + self._keepalive_timeout

    def _process_keepalive(self) -> None:
        """Called by aiohttp when the connection has been idle, as far as aiohttp knows, for long enough."""
        if self.is_busy:
            self.restart_keepalive()
        super()._process_keepalive()

    def request_made(self, request: web.BaseRequest) -> None:
        """Note what aiohttp makes of what it has read: its task may be cancelled before it runs."""
        self._made = request

    def request_begun(self) -> None:
        """Note that this task runs: whatever happens from now on, the request is seen to its end."""
        self._made = None

    def unbegun(self) -> Iterator[web.BaseRequest | None]:
        """The requests that aiohttp has read and will never begin, now that the client has left; None if unreadable.

        There are none where the gateway has ended the connection: what comes behind its last answer is no request.
        """
        make, task = (self._request_factory, self._task_handler) if _HAS_UNBEGUN else (None, None)
        if make is None or task is None or self._force_close or self._close:
            return
        if self._made is not None:
            yield self._made if self._made.raw_headers else None
        for message, body in self._messages:
            if isinstance(message, RawRequestMessage):
                yield make(message, body, self, StreamWriter(self, self.event_loop), task)
            else:
                yield None

    @property
    def speaks_http(self) -> bool:
        """Whether all that aiohttp has read as requests of HTTP are that. Always so where it does not tell."""
        return not self._request_lines.found

    @property
    def unread_origin(self) -> str | None:
        """The web page's origin that a head which could not be read names; None if it names none, or several."""
        found = {origin.decode() for origin in _ORIGIN.findall(self._head)}
        return found.pop() if len(found) == 1 else None

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let go of what was read and not begun: it holds this, and the two would wait for the collector."""
        super().connection_lost(exc)
        self._body = self._made = None
        if _HAS_UNBEGUN:
            self.event_loop.call_soon(self._messages.clear)  # once a task that was about to take one has looked

    def feed(self, data: bytes) -> None:
        """Let aiohttp read, and answer, what came. The reader of a body is told when no more of it can come."""
        if not _HAS_BODIES:
            super().data_received(data)
            return
        if self._is_unreadable:
            return  # aiohttp would note another error for each piece of it, and keep it
        requests, in_body = self._request_count, self._body is not None
        super().data_received(data)
        self._request_lines.see(data, requests=self._request_count - requests, in_body=in_body)
        if self._request_count != requests:
            self._see_last_read(data)
        elif not in_body:
            self._keep_of_head(data)
        else:
            self._see_more_of_body(len(data))
        if self._body is not None and self._body.is_eof():
            self._body = None  # with what of it nobody will read

    def _see_last_read(self, data: bytes) -> None:
        """Note of what request more may come, or that nothing which aiohttp could read will."""
        message, body = self._messages[-1]
        if isinstance(message, RawRequestMessage):
            self._body, self._body_bytes, self._head = body, 0, b""
        else:
            self._is_unreadable = True
            self._keep_of_head(data)
            _forget_frames(message.exc)
            self._spoil_body()  # aiohttp notes the error for later, and leaves the reader waiting

    def _see_more_of_body(self, size: int) -> None:
        self._body_bytes += size
        if self._body is not None and self._body_bytes > _MAX_FRAMING_BYTES + 8 * self._body.total_bytes:
            self._spoil_body()

    def _keep_of_head(self, data: bytes) -> None:
        self._head += data[: max(0, _MAX_HEAD_BYTES - len(self._head))]

    def _spoil_body(self) -> None:
        """Give an error to the reader of the body of which more was to come, if there is one.

        Twice: a reader that the end of a chunk has woken in this turn of the event loop finds nothing to read, and
        waits again without a look at what was set meanwhile.
        """
        if self._body is not None:
            self._body.set_exception(web.RequestPayloadError())
            self.event_loop.call_soon(self._body.set_exception, web.RequestPayloadError())


def _forget_frames(error: BaseException | None) -> None:
    """Free what an error's frames hold, the bytes and the connection: being a circle, they would stay for long."""
    while error is not None:
        error.__traceback__ = None
        error = error.__context__
