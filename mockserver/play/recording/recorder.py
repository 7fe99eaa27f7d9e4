"""Stands before a real llama-server, passes everything on, and keeps each exchange on file."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from mockserver.core.raw_response import RawResponse
from mockserver.play.recording.recording_file import (
    RecordedPiece,
    Recording,
    RecordingEnd,
    RecordingError,
    files_of,
    scrub,
    write,
)

_CONNECT_SECONDS = 10.0
_READ_BYTES = 65536
_LONGEST_HEAD = 2**20
# The framing of the request is ours; its body goes on as it came, compressed or not.
_OURS = frozenset({"host", "content-length", "transfer-encoding", "expect"})
_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)

Log = Callable[[str], None]


class Recorder:
    """One file for each exchange, in `folder`; `log` is called with a line about each.

    Raises RecordingError for a folder or a URL that cannot be used.
    """

    def __init__(self, upstream: str, folder: Path, log: Log = lambda line: None) -> None:
        parts = urlsplit(upstream)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RecordingError(f"--upstream must be like http://127.0.0.1:9931, not {upstream!r}.")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._host = parts.hostname
        self._port = parts.port or (443 if self._tls else 80)
        self._prefix = parts.path.rstrip("/")
        self._folder, self._log = folder, log
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordingError(f"Cannot record to {folder}: {error.strerror}.") from error
        last = files_of(folder)[-1:]
        self._number = int(last[0].name[:4]) if last else 0

    def app(self) -> web.Application:
        """The application that records."""
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:(?s:.*)}", self._record)
        return app

    async def _record(self, request: web.Request) -> web.StreamResponse:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
        recording = Recording(request.method, request.raw_path, headers, await request.read())
        try:
            reader, writer = await self._connect()
        except (OSError, TimeoutError) as error:
            message = f"{self._host}:{self._port} cannot be reached, nothing recorded: {error or 'it takes too long'}"
            self._log(message)
            return web.json_response({"error": message}, status=502)
        with closing(writer):
            writer.write(self._request(recording))
            try:
                return await self._pass_on(request, recording, reader)
            finally:
                self._save(recording)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=_LONGEST_HEAD)

    def _request(self, recording: Recording) -> bytes:
        lines = [f"{recording.method} {self._prefix}{recording.path} HTTP/1.1", f"Host: {self._host}:{self._port}"]
        lines += [f"{name}: {value}" for name, value in recording.request_headers if name.lower() not in _OURS]
        if recording.body or recording.method == hdrs.METH_POST:
            lines.append(f"Content-Length: {len(recording.body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + recording.body

    async def _pass_on(
        self, request: web.Request, recording: Recording, reader: asyncio.StreamReader
    ) -> web.StreamResponse:
        """Send the answer on as it comes, and note it. What breaks off there breaks off here."""
        answer, started = RawResponse(request), time.monotonic()
        recording.ended = RecordingEnd.LEFT  # until it is known better: to be cancelled is to be left
        try:
            await _read_head(reader, recording)
            recording.head_after_ms = _since(started)
            await answer.send(recording.head)
            async for data in _pieces(reader, recording):
                recording.pieces.append(RecordedPiece(_since(started), data))
                await answer.send_piece(data, chunked=recording.is_chunked)
            await answer.finish(chunked=recording.is_chunked, keep=recording.is_kept)
            recording.ended = RecordingEnd.FINISHED
        except (EOFError, ConnectionError, ValueError):
            is_here = request.transport is not None and not request.transport.is_closing()
            recording.ended = RecordingEnd.CUT if is_here else RecordingEnd.LEFT
            answer.close_unfinished()
        finally:
            recording.ended_after_ms = _since(started)
        return answer

    def _save(self, recording: Recording) -> None:
        self._number += 1
        scrub(recording)
        path = write(recording, self._folder, self._number)
        status = recording.status_line.partition(" ")[2] or "nothing"
        self._log(
            f"{recording.method} {recording.path} -> {status}, {len(recording.pieces)} pieces, {recording.ended}: "
            f"{path.name}"
        )


def _since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 2)


async def _read_head(reader: asyncio.StreamReader, recording: Recording) -> None:
    """Note status line and headers, past any `100 Continue`. Raises EOFError if there is no head."""
    while True:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status_line, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        if not status_line.split(" ")[1].startswith("1"):
            break
    recording.status_line = status_line
    recording.headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]


async def _pieces(reader: asyncio.StreamReader, recording: Recording) -> AsyncIterator[bytes]:
    """The body, chunk by chunk, or else as it comes. Raises EOFError or ValueError if it is not whole."""
    status = int(recording.status_line.split(" ")[1])
    length = recording.header("content-length")
    if recording.method == hdrs.METH_HEAD or status in _BODILESS:
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
