"""The writer that a fault puts in the place of aiohttp's, to inject the fault while a response is sent."""

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.http_writer import StreamWriter
from multidict import CIMultiDict

from mockserver.core.clock import Clock
from mockserver.play.faults import Fault
from mockserver.play.journal_middleware import JOURNAL_ENTRY
from mockserver.play.truncation import events, is_event


class FaultWriter(StreamWriter):
    """Passes on what it is given: the pieces of a stream one by one, or a whole body."""

    def __init__(self, request: web.Request, fault: Fault, clock: Clock) -> None:
        super().__init__(request.protocol, asyncio.get_running_loop())
        self.request, self.fault, self.clock = request, fault, clock
        self.events_sent = 0

    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        """The headers, as `alter_headers` leaves them."""
        self.alter_headers(headers)
        self.request[JOURNAL_ENTRY].answer_headers = list(headers.items())
        await super().write_headers(status_line, headers)

    async def write(self, chunk: Any, **options: Any) -> None:
        """A chunk of a stream, event by event."""
        for event in events(bytes(chunk)):
            await self.write_event(event)
            self.events_sent += is_event(event)

    async def write_eof(self, chunk: bytes = b"") -> None:
        """A whole body, or the end of a stream."""
        await (self.write_body(chunk) if chunk else self.write_end())

    def alter_headers(self, headers: CIMultiDict[str]) -> None:
        """Change the headers before they are sent."""

    async def write_event(self, event: bytes) -> None:
        """Send one event or comment."""
        await super().write(event)

    async def write_body(self, body: bytes) -> None:
        """Send the body of a plain answer."""
        await super().write_eof(body)

    async def write_end(self) -> None:
        """End a stream, or an answer without a body."""
        await super().write_eof()
