"""Faults of the body: cut, slow, or with bytes in it that do not belong there."""

from typing import NoReturn

from aiohttp import web
from multidict import CIMultiDict

from mockserver.api.shapes.sse import PING, DataErrors, data_event
from mockserver.core.aiohttp_internals import keep_half_of_head
from mockserver.core.api_errors import ApiError
from mockserver.core.clock import Clock
from mockserver.play.faults import Fault
from mockserver.play.journal import ExchangeEnd
from mockserver.play.journal_middleware import JOURNAL_ENTRY, abort_response
from mockserver.play.truncation import Truncation, is_end, is_event
from mockserver.server.faults.base_fault_writer import FaultWriter

_GARBAGE = b'data: {"choices":[{"del\xff\xfe\x00garbage\n\n'
_STEPS_PER_SECOND = 20


class CutWriter(FaultWriter):
    """Cuts the response where the fault says. A stream that is shorter is cut before its end."""

    def __init__(self, request: web.Request, fault: Fault, clock: Clock) -> None:
        super().__init__(request, fault, clock)
        self._truncation = Truncation(fault)

    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        """Half of the head, if that is where to cut."""
        await super().write_headers(status_line, headers)
        if self.fault.at == "head":
            keep_half_of_head(self)
            self._truncate()

    async def write_event(self, event: bytes) -> None:
        """An event, or what of it comes before the cut."""
        part = self._truncation.feed(event)
        if part is None:
            await super().write_event(event)
            return
        if part:
            await super().write_event(part)
        self._truncate()

    async def write_body(self, body: bytes) -> None:
        """The body up to the cut; one that is shorter is sent as it is."""
        part = self._truncation.feed(body, whole=True)
        if part is None:
            await super().write_body(body)
            return
        if part:
            await super().write_event(part)
        self._truncate()

    async def write_end(self) -> None:
        """No end."""
        self._truncate()

    def _truncate(self) -> NoReturn:
        self.send_headers()
        abort_response(self.request, by_reset=self.fault.reset)


class NoDoneWriter(FaultWriter):
    """Leaves out the event that says a stream is complete."""

    async def write_event(self, event: bytes) -> None:
        """Any other event."""
        if not is_end(event):
            await super().write_event(event)


class ErrorEventWriter(FaultWriter):
    """An error event after so many others (1), as llama-server ends a stream that failed; then the end."""

    async def write_event(self, event: bytes) -> None:
        """An event, unless the error's turn has come."""
        events_before = 1 if self.fault.after_events is None else self.fault.after_events
        if self.events_sent < events_before:
            await super().write_event(event)
            return
        await super().write_event(self._error())
        await super().write_end()
        self.request[JOURNAL_ENTRY].close(ExchangeEnd.FINISHED, self.output_size)
        abort_response(self.request)

    def _error(self) -> bytes:
        fault = self.fault
        if fault.body is not None:
            return data_event(fault.body)
        error = ApiError(fault.status or 500, fault.message or "Compute error.", "server_error")
        if self.request.path.endswith("/messages"):
            return b"event: error\n" + data_event(error.fields())
        return DataErrors().error_event(error)


class TrickleWriter(FaultWriter):
    """The body at so many bytes a second."""

    async def write_event(self, event: bytes) -> None:
        """An event, in small parts."""
        await self._write_slowly(event)

    async def write_body(self, body: bytes) -> None:
        """The body, in small parts."""
        await self._write_slowly(body)
        await self.write_end()

    async def _write_slowly(self, data: bytes) -> None:
        speed = self.fault.bytes_per_second or 1.0
        size = max(1, int(speed / _STEPS_PER_SECOND))
        for start in range(0, len(data), size):
            part = data[start : start + size]
            await super().write_event(part)
            await self.clock.sleep_until(self.clock.now() + len(part) / speed)


class GarbageWriter(FaultWriter):
    """Something that is neither JSON nor UTF-8 between the events; the stream goes on after it."""

    async def write_event(self, event: bytes) -> None:
        """An event, the garbage before it when its turn has come."""
        if self.events_sent == self.fault.after_events and is_event(event):
            await super().write_event(_GARBAGE)
        await super().write_event(event)


class PingsWriter(FaultWriter):
    """A comment, or `size` of them, before each event."""

    async def write_event(self, event: bytes) -> None:
        """The comments and the event."""
        for _ in range(1 if self.fault.size is None else self.fault.size):
            await super().write_event(PING)
        await super().write_event(event)
