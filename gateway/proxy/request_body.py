"""The client's request body on its way up: measured, bounded in size and time, never parsed."""

import asyncio
from collections.abc import Callable

from aiohttp import HttpVersion11, hdrs, web

from gateway.core import errors
from gateway.core.errors import Refusal
from gateway.proxy.upstream.connection import UpstreamConnection

# A body up to this size is complete before the upstream hears of it, so that a slow or broken upload costs the
# model server nothing. A larger one streams.
HELD_BYTES = 256 * 1024
# Below this pace an upload is an attack or a dead line: 1 byte a second must not hold a connection forever.
_SLOWEST_BYTES_PER_SECOND = 4096

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

# What the client's `Expect` headers said. Set where the request is made: aiohttp itself must not see them.
EXPECTATIONS = web.RequestKey("expectations", list)


def content_length(size: int) -> bytes:
    """The header line that tells the upstream how long a body is."""
    return b"Content-Length: %d\r\n" % size


class RequestBody:
    """The body of one request. `limit` in bytes, `silence` in seconds between two pieces of it."""

    def __init__(self, request: web.Request, limit: int, silence: float) -> None:
        self._content = request.content
        self._request = request
        self._limit = limit
        self._silence = silence
        self._declared = request.content_length
        self._clock = asyncio.get_running_loop().time
        self._waited = 0.0  # for the client, in seconds
        self.size = 0
        if self._declared is not None and self._declared > limit:
            raise Refusal(errors.TOO_LARGE, limit)
        codings = request.headers.getall(hdrs.CONTENT_ENCODING, ())
        if any(coding.lower() != "identity" for coding in codings):
            raise Refusal(errors.ENCODED_BODY)

    @property
    def complete(self) -> bool:
        """Whether all of the body has been read from the client."""
        return self._content.at_eof()

    def framing(self) -> bytes:
        """The header line that tells the upstream how long the body is. Call after `read_first`."""
        if self.complete:
            return content_length(self.size)
        if self._declared is not None:
            return content_length(self._declared)
        return b"Transfer-Encoding: chunked\r\n"

    async def read_first(self) -> bytes:
        """The whole body if it is short, else its beginning. Raises Refusal: empty, too large, too slow, broken."""
        _invite(self._request)  # only now, when the key and the deployment are known to be good
        if self._content.is_eof():
            first = self._count(self._content.read_nowait())
        else:
            first = await self._read_held()
        if not first:
            raise Refusal(errors.EMPTY_BODY)
        return first

    async def continue_to(self, connection: UpstreamConnection, first: bytes, touch: Callable[[], None]) -> None:
        """Send `first` and then what follows, no faster than the upstream takes it. Raises Refusal.

        `touch` is called whenever the upstream has taken a piece.
        """
        chunked = self._declared is None
        piece = first
        while piece:
            connection.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            await connection.drain()
            touch()
            piece = await self._next()
        if chunked:
            connection.write(b"0\r\n\r\n")

    async def _read_held(self) -> bytes:
        pieces = []
        while self.size < HELD_BYTES and (piece := await self._next()):
            pieces.append(piece)
        return b"".join(pieces)

    async def _next(self) -> bytes:
        left = self._silence + self.size / _SLOWEST_BYTES_PER_SECOND - self._waited
        begun = self._clock()
        try:
            async with asyncio.timeout(min(self._silence, left)):
                return self._count(await self._content.readany())
        except TimeoutError as error:
            raise Refusal(errors.SLOW_UPLOAD) from error
        except web.RequestPayloadError as error:
            raise Refusal(errors.BAD_REQUEST, "its body is badly framed") from error
        finally:
            self._waited += self._clock() - begun

    def _count(self, piece: bytes) -> bytes:
        self.size += len(piece)
        if self.size > self._limit:
            raise Refusal(errors.TOO_LARGE, self._limit)
        return piece


async def read_short(request: web.Request, silence: float) -> bytes:
    """The whole of a short body, a form or JSON; aiohttp limits its size, and remembers it.

    Raises Refusal where it is broken, or takes longer than `silence` altogether.
    """
    _invite(request)
    try:
        async with asyncio.timeout(silence):
            return await request.read()
    except TimeoutError as error:
        raise Refusal(errors.SLOW_UPLOAD) from error
    except web.RequestPayloadError as error:
        raise Refusal(errors.BAD_REQUEST, "its body is badly framed") from error


def _invite(request: web.Request) -> None:
    """Say 100 to a client that waits for it (RFC 9110 10.1.1)."""
    expects = EXPECTATIONS in request and request.version >= HttpVersion11
    if expects and not request.content.is_eof() and request.transport is not None:
        request.transport.write(CONTINUE)
