"""Passes an exchange on to a real llama-server, bytes and pieces as they come, and notes it meanwhile."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from http import HTTPStatus
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from mockserver.core.raw_response import RawResponse
from mockserver.play.journal_middleware import record_raw_head, record_raw_piece
from mockserver.play.recording.recording_file import RecordedPiece, Recording, RecordingEnd, RecordingError

_CONNECT_SECONDS = 10.0
_READ_BYTES = 65536
_LONGEST_HEAD = 2**20
_OURS = frozenset({"host", "content-length", "transfer-encoding", "expect"})  # the framing of the request is ours
_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class UnreachableError(Exception):
    """Nothing was asked: there is no connection to the server. One sentence."""


class Upstream:
    """The server at `url`; `keep` gets each exchange with it once that is over, however it ended.

    `option` is where the URL was given. Raises RecordingError, naming it, for a URL that cannot be used.
    """

    def __init__(self, url: str, keep: Callable[[Recording], None], option: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RecordingError(f"{option} must be like http://127.0.0.1:9931, not {url!r}.")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._host = parts.hostname
        self._port = parts.port or (443 if self._tls else 80)
        self._prefix = parts.path.rstrip("/")
        self._keep = keep

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """Answer a request as the server does. Raises UnreachableError."""
        recording = await recording_of(request)
        reader, writer = await self._connect()
        with closing(writer):
            writer.write(self._request(recording))
            try:
                return await _pass_on(request, recording, reader)
            finally:
                self._keep(recording)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                return await asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=_LONGEST_HEAD)
        except (OSError, TimeoutError) as error:
            why = error or "it takes too long"
            raise UnreachableError(f"{self._host}:{self._port} cannot be reached ({why})") from error

    def _request(self, recording: Recording) -> bytes:
        lines = [f"{recording.method} {self._prefix}{recording.path} HTTP/1.1", f"Host: {self._host}:{self._port}"]
        lines += [f"{name}: {value}" for name, value in recording.request_headers if name.lower() not in _OURS]
        if recording.body or recording.method == hdrs.METH_POST:
            lines.append(f"Content-Length: {len(recording.body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + recording.body


async def recording_of(request: web.Request) -> Recording:
    """A request as it would stand on file, but for its secrets."""
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
    return Recording(request.method, request.raw_path, headers, await request.read())


async def _pass_on(request: web.Request, recording: Recording, reader: asyncio.StreamReader) -> web.StreamResponse:
    """Send the answer on as it comes, and note it. What breaks off there breaks off here."""
    answer, started = RawResponse(request), time.monotonic()
    recording.ended = RecordingEnd.LEFT  # until it is known better: to be cancelled is to be left
    try:
        await _read_head(reader, recording)
        recording.head_after_ms = _since(started)
        await send_head(request, recording, answer)
        async for data in _pieces(reader, recording):
            recording.pieces.append(RecordedPiece(_since(started), data))
            await send_piece(request, data, recording, answer)
        await answer.finish(chunked=recording.is_chunked, keep=recording.is_kept)
        recording.ended = RecordingEnd.FINISHED
    except (EOFError, ConnectionError, ValueError, asyncio.LimitOverrunError):
        is_here = request.transport is not None and not request.transport.is_closing()
        recording.ended = RecordingEnd.CUT if is_here else RecordingEnd.LEFT
        answer.close_unfinished()
    finally:
        recording.ended_after_ms = _since(started)
    return answer


async def send_head(request: web.Request, recording: Recording, answer: RawResponse) -> None:
    """Send the head of a recording, and have it in the journal, if there is one."""
    answer.set_status(recording.status)
    record_raw_head(request, recording.status, list(recording.headers))
    await answer.send(recording.head)


async def send_piece(request: web.Request, data: bytes, recording: Recording, answer: RawResponse) -> None:
    """The same for a piece of its body."""
    record_raw_piece(request, data)
    await answer.send_piece(data, chunked=recording.is_chunked)


def _since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 2)


async def _read_head(reader: asyncio.StreamReader, recording: Recording) -> None:
    """Note status line and headers, past any `100 Continue`. Raises EOFError or ValueError if there is no head."""
    while recording.status < HTTPStatus.OK:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        recording.status_line, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        recording.headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        if not recording.status:
            raise ValueError("this is not HTTP")


async def _pieces(reader: asyncio.StreamReader, recording: Recording) -> AsyncIterator[bytes]:
    """The body, chunk by chunk, or else as it comes. Raises EOFError or ValueError if it is not whole."""
    length = recording.header("content-length")
    if recording.method == hdrs.METH_HEAD or recording.status in _BODILESS:
        return
    if recording.is_chunked:
        while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            yield (await reader.readexactly(size + 2))[:-2]
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass  # trailers
        return
    left = int(length) if length else None
    while left != 0 and (data := await reader.read(_READ_BYTES if left is None else min(left, _READ_BYTES))):
        left = None if left is None else left - len(data)
        yield data
    if left:
        raise EOFError("the body ended early")
