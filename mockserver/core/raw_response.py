"""A response written byte by byte: no header of aiohttp's own, and the chunks of the recording."""

from aiohttp import web


class RawResponse(web.StreamResponse):
    """Writes to the client's connection itself. Raises ConnectionError once the client has left."""

    def __init__(self, request: web.Request) -> None:
        super().__init__()
        self._request = request
        self._keeps_connection = False

    @property
    def keep_alive(self) -> bool:
        """Whether another request may follow on this connection."""
        return self._keeps_connection

    async def prepare(self, request: web.BaseRequest) -> None:
        """aiohttp would write a head here."""

    async def write_eof(self, data: bytes = b"") -> None:
        """aiohttp would write an end here."""

    async def send(self, data: bytes) -> None:
        """Write bytes, and wait while the client does not read."""
        transport = self._request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has left")
        transport.write(data)
        self._request.writer.output_size += len(data)
        await self._request.writer.drain()

    async def send_piece(self, data: bytes, *, chunked: bool) -> None:
        """Write a piece of the body, as a chunk or plain."""
        await self.send(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)

    async def finish(self, *, chunked: bool, keep: bool) -> None:
        """The body is whole; `keep` the connection or close it."""
        if chunked:
            await self.send(b"0\r\n\r\n")
        self._keeps_connection = keep

    def close_unfinished(self) -> None:
        """Close the connection with the answer unfinished."""
        if self._request.transport is not None:
            self._request.transport.close()
