"""The model server of the benchmark: as little work as possible for each answer, all of it checkable.

`python -m scripts.benchmark.backend` prints its port. What it answers:

- `/v1/embeddings`: always the same JSON.
- `/v1/chat/completions`: an event stream as the request's JSON plans it, `{"events": 100, "interval": 0.01}`.
  Each event says when it was written (`"t"`, ns of the monotonic clock); the last but one holds the SHA-256 of all
  before it.
- `/v1/completions`: `{"bytes": 1000}` bytes in chunks, as fast as they are taken, then the same hash.
- `/v1/rerank`: the length and SHA-256 of the request's body.
"""

import asyncio
import hashlib
import json
import random
import re
from time import monotonic_ns
from typing import cast

from scripts.command.own_process import run_on_uvloop

HEALTHY = b'{"status":"ok"}'
USAGE = b'"usage":{"completion_tokens":64,"prompt_tokens":16,"total_tokens":80}'
PLAIN = b'{"object":"list","data":[{"embedding":[' + b"0.0123,".ljust(7) * 120 + b"1.0]}]," + USAGE + b"}"
DONE = b"data: [DONE]\n\n"
_EVENT = (
    b'data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":" word"}}],"created":1767225600,'
    b'"id":"chatcmpl-0123456789abcdefghijklmnopqrstuv","model":"bench","object":"chat.completion.chunk","t":%d}\n\n'
)
_LAST = (
    b'data: {"choices":[],"object":"chat.completion.chunk",' + USAGE + b',"timings":{"predicted_per_second":50.0}}\n\n'
)
_PIECE = bytes(range(256)) * 256
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class _Upload:
    """A body that is hashed as it comes: a model server that stood still over it would hold up the others."""

    def __init__(self, size: int) -> None:
        self.size = self.left = size
        self.seen = hashlib.sha256()

    def take(self, data: bytes) -> None:
        self.seen.update(data)
        self.left -= len(data)


class Peer(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._buffer = b""
        self._unread: _Upload | None = None
        self._transport = asyncio.Transport()
        self._timer: asyncio.TimerHandle | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._bulk: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._unread is not None:
            data = self._read_on(self._unread, data)
        self._buffer = self._buffer + data if self._buffer else data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._buffer, 0, end)
            size = int(length[1]) if length else 0
            path = self._buffer[: self._buffer.find(b"\r\n")].split(b" ")[1]
            if path == b"/v1/rerank":
                body, self._buffer = self._buffer[end + 4 :], b""
                self._buffer = self._read_on(_Upload(size), body)
                continue
            whole = end + 4 + size
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            self._answer(path, body)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._bulk is not None:
            self._bulk.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _answer(self, path: bytes, body: bytes) -> None:
        if path == b"/v1/chat/completions":
            plan = json.loads(body)
            self._begin(b"text/event-stream")
            self._stream(int(plan["events"]), float(plan["interval"]), hashlib.sha256(), first=True)
        elif path == b"/v1/completions":
            self._begin(b"application/octet-stream")
            self._bulk = asyncio.get_running_loop().create_task(self._send_bulk(int(json.loads(body)["bytes"])))
        else:
            self._send_whole(HEALTHY if path == b"/health" else PLAIN)

    def _read_on(self, upload: "_Upload", data: bytes) -> bytes:
        """Hash what came of a long body, and answer at its end. What came behind it is returned."""
        mine, rest = data[: upload.left], data[upload.left :]
        upload.take(mine)
        self._unread = upload if upload.left else None
        if self._unread is None:
            self._send_whole(json.dumps({"bytes": upload.size, "sha256": upload.seen.hexdigest()}).encode())
        return rest

    def _send_whole(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)

    def _begin(self, kind: bytes) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % kind)

    def _stream(self, left: int, interval: float, seen: "hashlib._Hash", *, first: bool = False) -> None:
        if left == 0:
            seen.update(_LAST)
            hashed = b'data: {"sha256":"%b"}\n\n' % seen.hexdigest().encode()
            self._transport.write(_chunk(_LAST) + _chunk(hashed + DONE) + b"0\r\n\r\n")
            return
        event = _EVENT % monotonic_ns()
        seen.update(event)
        self._transport.write(_chunk(event))
        # Streams that began together must not go on in step: a thousand model servers would not.
        pause = random.uniform(0, interval) if first else interval  # noqa: S311 (nothing secret)
        self._timer = asyncio.get_running_loop().call_later(pause, self._stream, left - 1, interval, seen)

    async def _send_bulk(self, size: int) -> None:
        seen = hashlib.sha256()
        while size > 0:
            piece = _PIECE[:size]
            size -= len(piece)
            seen.update(piece)
            self._transport.write(_chunk(piece))
            await self._writable.wait()
            await asyncio.sleep(0)  # others have to be answered, too, while this one is taken as fast as it is sent
        self._transport.write(_chunk(seen.digest()) + b"0\r\n\r\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def serve() -> None:
    """Serve until told to stop."""
    server = await asyncio.get_running_loop().create_server(Peer, "127.0.0.1", 0, backlog=4096)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    run_on_uvloop(serve())
