"""Writers that spoil an answer while it is sent: each kind of fault that lets an answer begin has one."""

import asyncio
import socket
import struct
import zlib
from collections.abc import Callable
from typing import Any, NoReturn

from aiohttp import hdrs, web
from aiohttp.http_writer import StreamWriter
from multidict import CIMultiDict

from mockserver.clock import Clock
from mockserver.cutting import Cutter, events, is_end, is_event
from mockserver.errors import ApiError
from mockserver.faults import Fault
from mockserver.journal import Ended
from mockserver.remembering import EXCHANGE
from mockserver.sse import DataErrors, data_event

_RESET = struct.pack("ii", 1, 0)
_PING = b":\n\n"
_GARBAGE = b'data: {"choices":[{"del\xff\xfe\x00garbage\n\n'
_HUGE = 64 * 1024
_STEPS_PER_SECOND = 20


def break_off(request: web.Request, *, reset: bool = False) -> NoReturn:
    """End the connection behind what was written, by FIN or by RST, and the handler with it."""
    exchange = request[EXCHANGE]
    exchange.end(Ended.CUT, request.writer.output_size)
    transport = request.transport
    if transport is not None and reset:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()
    elif transport is not None:
        transport.close()
    raise ConnectionResetError("cut by a fault")


class Spoiler(StreamWriter):
    """Passes on what it is given: the pieces of a stream one by one, or a whole body."""

    def __init__(self, request: web.Request, fault: Fault, clock: Clock) -> None:
        keep = getattr(request.writer, "_on_chunk_sent", None)
        super().__init__(request.protocol, asyncio.get_running_loop(), on_chunk_sent=keep)
        self.request, self.fault, self.clock = request, fault, clock
        self.events = 0

    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        """The head, as `head` makes it."""
        self.head(headers)
        self.request[EXCHANGE].answer_headers = list(headers.items())
        await super().write_headers(status_line, headers)

    async def write(self, chunk: Any, **options: Any) -> None:
        """A chunk of a stream, event by event."""
        for piece in events(bytes(chunk)):
            await self.piece(piece)
            self.events += is_event(piece)

    async def write_eof(self, chunk: bytes = b"") -> None:
        """A whole body, or the end of a stream."""
        await (self.whole(chunk) if chunk else self.end())

    def head(self, headers: CIMultiDict[str]) -> None:
        """Spoil the head."""

    async def piece(self, piece: bytes) -> None:
        """Send one event or comment."""
        await super().write(piece)

    async def whole(self, body: bytes) -> None:
        """Send the body of a plain answer."""
        await super().write_eof(body)

    async def end(self) -> None:
        """End a stream, or an answer without a body."""
        await super().write_eof()


class Cut(Spoiler):
    """Breaks off where the fault says; a stream that is shorter lacks its end at least."""

    def __init__(self, request: web.Request, fault: Fault, clock: Clock) -> None:
        super().__init__(request, fault, clock)
        self._cutter = Cutter(fault)

    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        """Half of the head, if that is where to cut."""
        await super().write_headers(status_line, headers)
        if self.fault.at == "head" and self._headers_buf:
            self._headers_buf = self._headers_buf[: len(self._headers_buf) // 2]
            self._break_off()

    async def piece(self, piece: bytes) -> None:
        """An event, or what of it comes before the cut."""
        part = self._cutter.feed(piece)
        if part is None:
            await super().piece(piece)
            return
        if part:
            await super().piece(part)
        self._break_off()

    async def whole(self, body: bytes) -> None:
        """The body up to the cut; one that is shorter is sent as it is."""
        part = self._cutter.feed(body, whole=True)
        if part is None:
            await super().whole(body)
            return
        if part:
            await super().piece(part)
        self._break_off()

    async def end(self) -> None:
        """No end."""
        self._break_off()

    def _break_off(self) -> NoReturn:
        self.send_headers()
        break_off(self.request, reset=self.fault.reset)


class NoDone(Spoiler):
    """Leaves out the event that says a stream is complete."""

    async def piece(self, piece: bytes) -> None:
        """Any other event."""
        if not is_end(piece):
            await super().piece(piece)


class ErrorEvent(Spoiler):
    """An error event after so many others (1), as llama-server ends a stream that failed; then the end."""

    async def piece(self, piece: bytes) -> None:
        """An event, unless the error's turn has come."""
        wanted = 1 if self.fault.after_events is None else self.fault.after_events
        if self.events < wanted:
            await super().piece(piece)
            return
        await super().piece(self._error())
        await super().end()
        self.request[EXCHANGE].end(Ended.FINISHED, self.output_size)
        break_off(self.request)

    def _error(self) -> bytes:
        fault = self.fault
        if fault.body is not None:
            return data_event(fault.body)
        error = ApiError(fault.status or 500, fault.message or "Compute error.", "server_error")
        if self.request.path.endswith("/messages"):
            return b"event: error\n" + data_event(error.fields())
        return DataErrors().error(error)


class Trickle(Spoiler):
    """The body at so many bytes a second."""

    async def piece(self, piece: bytes) -> None:
        """An event, in small parts."""
        await self._slowly(piece)

    async def whole(self, body: bytes) -> None:
        """The body, in small parts."""
        await self._slowly(body)
        await self.end()

    async def _slowly(self, data: bytes) -> None:
        speed = self.fault.bytes_per_second or 1.0
        size = max(1, int(speed / _STEPS_PER_SECOND))
        for start in range(0, len(data), size):
            part = data[start : start + size]
            await super().piece(part)
            await self.clock.sleep_until(self.clock.now() + len(part) / speed)


class Garbage(Spoiler):
    """Something that is neither JSON nor UTF-8 between the events; the stream goes on after it."""

    async def piece(self, piece: bytes) -> None:
        """An event, the garbage before it when its turn has come."""
        if self.events == self.fault.after_events and is_event(piece):
            await super().piece(_GARBAGE)
        await super().piece(piece)


class ContentType(Spoiler):
    """Says that the body is something else."""

    def head(self, headers: CIMultiDict[str]) -> None:
        """The wrong type."""
        headers[hdrs.CONTENT_TYPE] = self.fault.value


class ContentLength(Spoiler):
    """Says that a body is longer, or shorter, than it is; a stream gets a length beside its chunks."""

    def head(self, headers: CIMultiDict[str]) -> None:
        """The wrong length."""
        length = int(headers.get(hdrs.CONTENT_LENGTH, "0"))
        headers[hdrs.CONTENT_LENGTH] = str(max(0, length + self.fault.by))

    async def whole(self, body: bytes) -> None:
        """The body, and the end of a connection on which nobody knows where an answer would begin."""
        await super().whole(body)
        break_off(self.request)


class HugeHeader(Spoiler):
    """One header of 64 KiB, or of `size` bytes."""

    def head(self, headers: CIMultiDict[str]) -> None:
        """The header, last."""
        headers["X-Huge"] = "x" * (_HUGE if self.fault.size is None else self.fault.size)


class Gzip(Spoiler):
    """Compresses the body, whether or not the client said that it can read that."""

    def __init__(self, request: web.Request, fault: Fault, clock: Clock) -> None:
        super().__init__(request, fault, clock)
        self._zlib = zlib.compressobj(wbits=31)

    def head(self, headers: CIMultiDict[str]) -> None:
        """The encoding; the length is not known beforehand."""
        headers[hdrs.CONTENT_ENCODING] = "gzip"
        headers.pop(hdrs.CONTENT_LENGTH, None)
        headers[hdrs.TRANSFER_ENCODING] = "chunked"
        self.enable_chunking()

    async def piece(self, piece: bytes) -> None:
        """An event that can be read at once."""
        await super().piece(self._zlib.compress(piece) + self._zlib.flush(zlib.Z_SYNC_FLUSH))

    async def whole(self, body: bytes) -> None:
        """The body, and the end."""
        await self.piece(body)
        await self.end()

    async def end(self) -> None:
        """What the compressor still holds, and the end."""
        await super().piece(self._zlib.flush())
        await super().end()


class Pings(Spoiler):
    """A comment, or `size` of them, before each event."""

    async def piece(self, piece: bytes) -> None:
        """The comments and the event."""
        for _ in range(1 if self.fault.size is None else self.fault.size):
            await super().piece(_PING)
        await super().piece(piece)


SPOILERS: dict[str, Callable[[web.Request, Fault, Clock], Spoiler]] = {
    "cut": Cut,
    "no-done": NoDone,
    "error-event": ErrorEvent,
    "trickle": Trickle,
    "garbage": Garbage,
    "content-type": ContentType,
    "content-length": ContentLength,
    "huge-header": HugeHeader,
    "gzip": Gzip,
    "pings": Pings,
}
