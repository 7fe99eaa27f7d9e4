"""Answers whose body is spoiled: cut, slow, or with something in it that should not be there."""

from typing import NoReturn

from aiohttp import web
from multidict import CIMultiDict

from mockserver.api.shapes.sse import DataErrors, data_event
from mockserver.core.api_errors import ApiError
from mockserver.core.clock import Clock
from mockserver.play.faults import Fault
from mockserver.play.journal import ExchangeEnd
from mockserver.play.journal_middleware import JOURNAL_ENTRY
from mockserver.play.truncation import Truncation, is_end, is_event
from mockserver.server.faults.fault_writer import FaultWriter, break_off

_PING = b":\n\n"
_GARBAGE = b'data: {"choices":[{"del\xff\xfe\x00garbage\n\n'
_STEPS_PER_SECOND = 20


class CutWriter(FaultWriter):
    """Breaks off where the fault says; a stream that is shorter lacks its end at least."""

    def __init__(self, request: web.Request, fault: Fault, clock: Clock) -> None:
        super().__init__(request, fault, clock)
        self._cutter = Truncation(fault)

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


class NoDoneWriter(FaultWriter):
    """Leaves out the event that says a stream is complete."""

    async def piece(self, piece: bytes) -> None:
        """Any other event."""
        if not is_end(piece):
            await super().piece(piece)


class ErrorEventWriter(FaultWriter):
    """An error event after so many others (1), as llama-server ends a stream that failed; then the end."""

    async def piece(self, piece: bytes) -> None:
        """An event, unless the error's turn has come."""
        wanted = 1 if self.fault.after_events is None else self.fault.after_events
        if self.events < wanted:
            await super().piece(piece)
            return
        await super().piece(self._error())
        await super().end()
        self.request[JOURNAL_ENTRY].end(ExchangeEnd.FINISHED, self.output_size)
        break_off(self.request)

    def _error(self) -> bytes:
        fault = self.fault
        if fault.body is not None:
            return data_event(fault.body)
        error = ApiError(fault.status or 500, fault.message or "Compute error.", "server_error")
        if self.request.path.endswith("/messages"):
            return b"event: error\n" + data_event(error.fields())
        return DataErrors().error(error)


class TrickleWriter(FaultWriter):
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


class GarbageWriter(FaultWriter):
    """Something that is neither JSON nor UTF-8 between the events; the stream goes on after it."""

    async def piece(self, piece: bytes) -> None:
        """An event, the garbage before it when its turn has come."""
        if self.events == self.fault.after_events and is_event(piece):
            await super().piece(_GARBAGE)
        await super().piece(piece)


class PingsWriter(FaultWriter):
    """A comment, or `size` of them, before each event."""

    async def piece(self, piece: bytes) -> None:
        """The comments and the event."""
        for _ in range(1 if self.fault.size is None else self.fault.size):
            await super().piece(_PING)
        await super().piece(piece)
