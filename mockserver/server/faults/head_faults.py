"""Faults of the head: headers that are wrong, too large, or that the client did not ask for."""

import zlib

from aiohttp import hdrs, web
from multidict import CIMultiDict

from mockserver.core.clock import Clock
from mockserver.play.faults import Fault
from mockserver.play.journal_middleware import abort_response
from mockserver.server.faults.base_fault_writer import FaultWriter

_HUGE = 64 * 1024


class ContentTypeWriter(FaultWriter):
    """Says that the body is something else."""

    def alter_headers(self, headers: CIMultiDict[str]) -> None:
        """The wrong type."""
        headers[hdrs.CONTENT_TYPE] = self.fault.value


class ContentLengthWriter(FaultWriter):
    """Says that a body is longer, or shorter, than it is; a stream gets a length beside its chunks."""

    def alter_headers(self, headers: CIMultiDict[str]) -> None:
        """The wrong length."""
        length = int(headers.get(hdrs.CONTENT_LENGTH, "0"))
        headers[hdrs.CONTENT_LENGTH] = str(max(0, length + self.fault.by))

    async def write_body(self, body: bytes) -> None:
        """The body, and then the end of the connection: no client can tell where a next response would begin."""
        await super().write_body(body)
        abort_response(self.request)


class HugeHeaderWriter(FaultWriter):
    """One header of 64 KiB, or of `size` bytes."""

    def alter_headers(self, headers: CIMultiDict[str]) -> None:
        """The header, last."""
        headers["X-Huge"] = "x" * (_HUGE if self.fault.size is None else self.fault.size)


class GzipWriter(FaultWriter):
    """Compresses the body, whether or not the client said that it can read that."""

    def __init__(self, request: web.Request, fault: Fault, clock: Clock) -> None:
        super().__init__(request, fault, clock)
        self._zlib = zlib.compressobj(wbits=31)

    def alter_headers(self, headers: CIMultiDict[str]) -> None:
        """The encoding; the length is not known beforehand."""
        headers[hdrs.CONTENT_ENCODING] = "gzip"
        if self.request.method == hdrs.METH_HEAD:
            return
        headers.pop(hdrs.CONTENT_LENGTH, None)
        headers[hdrs.TRANSFER_ENCODING] = "chunked"
        self.enable_chunking()

    async def write_event(self, event: bytes) -> None:
        """An event that can be read at once."""
        await super().write_event(self._zlib.compress(event) + self._zlib.flush(zlib.Z_SYNC_FLUSH))

    async def write_body(self, body: bytes) -> None:
        """The body, and the end."""
        await self.write_event(body)
        await self.write_end()

    async def write_end(self) -> None:
        """What the compressor still holds, and the end."""
        if self.chunked:
            await super().write_event(self._zlib.flush())
        await super().write_end()
