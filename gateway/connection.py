"""One HTTP/1.1 connection to a llama-server, carrying one exchange at a time.

Bytes of an answer are handed on in the very call in which the socket delivered them.
"""

import asyncio
import select
from typing import Protocol, cast

import httptools

from gateway.answer_head import Head, UpstreamError, checked_head
from gateway.pipe import Pipe
from gateway.silence import Silence

MAX_HEAD_BYTES = 64 * 1024
_FULL_READ = 128 * 1024  # bytes; who reads as much at once has more to read (uvloop's buffer has twice that size)
_MAX_INTERIM_ANSWERS = 16  # 1xx before the real answer


class Receiver(Protocol):
    """Who takes an answer: `head_received`, then `body_received` for each read of the socket, then nothing more.

    The data is empty where a read brought none of the body: the head alone, or the `last` of it, after which the
    connection is free. `broken` may come in place of any of these, and is the last then.
    """

    def head_received(self, head: Head) -> None: ...
    def body_received(self, data: bytes, last: bool) -> None: ...
    def broken(self, error: UpstreamError) -> None: ...


class Connection(asyncio.BaseProtocol):
    """Send with `begin` and `write`; the answer arrives at the receiver given to `begin`.

    Once the receiver has set a `pipe`, chunks may go there instead, until it gives the connection back. What the pipe
    does not pass on, it has to hand to `parse`.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._receiver: Receiver | None = None
        self._poll = select.poll()
        self._parser = httptools.HttpResponseParser(self)
        self._head: Head | None = None
        self._head_told = False
        self._raw_headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0  # of the headers, counted where it may matter
        self._read_bytes = 0  # of all that came until the head was over
        self._interim_answers = 0
        self._pieces: list[bytes] = []
        self._complete = False
        self._chunk_over = False
        self._open_pipe: Pipe | None = None
        self._surplus = False
        self._paused = False
        self._writable = asyncio.Event()
        self._writable.set()
        self.silence = Silence()
        self.pipe: Pipe | None = None
        self.idle_since = 0.0
        self.exchanges = 0

    # --- the way up

    def begin(self, receiver: Receiver, data: bytes) -> None:
        """Start an exchange with the request's first bytes. Raises UpstreamError if the connection is gone."""
        if self.is_closing():
            raise UpstreamError("the connection closed before the request was sent")
        self._receiver = receiver
        self._head = None
        self._head_told = False
        self._raw_headers = []
        self._pieces = []
        self._head_bytes = self._read_bytes = self._interim_answers = 0
        self._complete = self._surplus = self._chunk_over = False
        self.exchanges += 1
        self.transport.write(data)

    def write(self, data: bytes) -> None:
        """Send more of the request. After the upstream has gone this does nothing: the receiver was told."""
        if not self.is_closing():
            self.transport.write(data)

    async def drain(self) -> None:
        """Wait until the upstream has taken most of what was written, or is gone."""
        await self._writable.wait()

    # --- the way down

    def pause_reading(self) -> None:
        """Let the upstream feel that the client is slow."""
        if not self._paused and not self.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Undo `pause_reading`, if there was one."""
        if self._paused and not self.is_closing():
            self._paused = False
            self.transport.resume_reading()

    @property
    def data_received(self) -> Pipe:
        """Who takes what the socket brings. uvloop asks this only when it is given a protocol (see `_read_by`)."""
        return self._open_pipe or self.parse

    def parse(self, data: bytes) -> None:
        """Take a read of the socket. What has taken the pipe before it was whole chunks: the parser is between two."""
        if self._receiver is None:
            self.abort()  # nobody asked: whatever this is, it must not become part of the next answer
            return
        wrong = self._feed(data)
        self._hand_on()
        if wrong:
            self._fail(wrong)
            return
        between_chunks = self._chunk_over and data.endswith(b"\r\n")
        self._read_by(self.pipe if between_chunks else None)
        if len(data) >= _FULL_READ:
            self._let_others_read()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        socket = transport.get_extra_info("socket")
        if socket is not None:
            self._poll.register(socket.fileno(), select.POLLIN | select.POLLHUP)

    def connection_lost(self, exc: Exception | None) -> None:
        self._writable.set()
        head = self._head
        if self._receiver is None:
            return
        if exc is None and head is not None and head.length is None and not head.chunked:
            self._complete = True
            self._hand_on()  # RFC 9112 6.3 item 8: the body was all that came before the close
        else:
            self._fail("it closed the connection" if exc is None else f"the connection broke: {exc}")

    def eof_received(self) -> None:
        """Nothing is sent to an upstream that has closed: what follows is `connection_lost`."""

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # --- the life of a connection

    @property
    def transport(self) -> asyncio.Transport:
        """The socket's transport. Raises UpstreamError before the connection stands."""
        if self._transport is None:
            raise UpstreamError("not connected")
        return self._transport

    def is_closing(self) -> bool:
        """Whether no request can be sent here any more."""
        return self._transport is None or self._transport.is_closing()

    def is_stale(self) -> bool:
        """Whether an idle connection has been closed, or written to, by the other side.

        Asks the kernel too: the event loop may not have got round to it yet.
        """
        if self.is_closing():
            return True
        return bool(self._poll.poll(0))

    def may_be_reused(self) -> bool:
        """Whether the answer just received leaves the connection fit for the next request."""
        head = self._head
        return self._complete and not self._surplus and not self.is_closing() and head is not None and head.keep_alive

    def release(self) -> None:
        """Forget the exchange; nothing is handed on any more. What the last client held back, the next must hear."""
        self._receiver = self.pipe = None
        self._read_by(None)
        self.resume_reading()

    def abort(self) -> None:
        """Close at once, so that the upstream notices and frees its slot."""
        self.release()
        self.silence.end()
        if self._transport is not None:
            self._transport.abort()

    # --- the parser's callbacks

    def on_message_begin(self) -> None:
        if self._complete:
            self._surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head is None:  # after it come trailers, which never become headers
            self._raw_headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._complete:
            return
        if self._read_bytes > MAX_HEAD_BYTES:  # of which a part may be the body's
            self._head_bytes += sum(len(name) + len(value) for name, value in self._raw_headers)
            _limit_head(self._head_bytes)
        status = self._parser.get_status_code()
        if status < 200:
            self._skip_interim()
            return
        self._head = checked_head(status, self._parser.get_http_version(), self._raw_headers)

    def on_body(self, data: bytes) -> None:
        if not self._complete:
            self._pieces.append(data)

    def on_chunk_header(self) -> None:
        self._chunk_over = False

    def on_chunk_complete(self) -> None:
        self._chunk_over = True

    def on_message_complete(self) -> None:
        self._complete = self._complete or self._head is not None

    # --- inside

    def _read_by(self, pipe: Pipe | None) -> None:
        """Open this pipe; None closes the one that is open."""
        if pipe is not self._open_pipe:
            self._open_pipe = pipe
            self.transport.set_protocol(self)

    def _feed(self, data: bytes) -> str | None:
        """Have the callbacks called; what is wrong, if something is, and matters to this answer."""
        if self._head is None:
            self._read_bytes += len(data)
        try:
            self._parser.feed_data(data)
            if self._head is None:
                _limit_head(self._read_bytes)  # a line without end is no header yet
        except httptools.HttpParserUpgrade:
            return "it tried to switch protocols"
        except (httptools.HttpParserError, UpstreamError) as error:
            if not self._complete:
                return f"it does not speak valid HTTP: {_innermost(error)}"
            self._surplus = True
        return None

    def _let_others_read(self) -> None:
        """Read on in the next turn of the event loop: libuv would go on here for 32 reads as large as this."""
        if not self._paused and not self.is_closing():
            self.transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._read_on)

    def _read_on(self) -> None:
        if not self._paused and not self.is_closing():
            self.transport.resume_reading()

    def _skip_interim(self) -> None:
        self._raw_headers = []
        self._interim_answers += 1
        if self._interim_answers > _MAX_INTERIM_ANSWERS:
            raise UpstreamError("it sent interim answers without end")

    def _hand_on(self) -> None:
        """Tell the receiver what this read has brought: all of it in one piece, and the end with the last one."""
        if self._receiver is None or self._head is None:
            return
        is_news = not self._head_told
        if is_news:
            self._head_told = True
            self._receiver.head_received(self._head)
        receiver, pieces, last = self._receiver, self._pieces, self._complete
        if receiver is None or not (pieces or last or is_news):
            return
        self._pieces = []
        if last:
            self._receiver = None
        receiver.body_received(pieces[0] if len(pieces) == 1 else b"".join(pieces), last)

    def _fail(self, why: str) -> None:
        receiver = self._receiver
        self.abort()
        if receiver is not None:
            receiver.broken(UpstreamError(why))


def _limit_head(size: int) -> None:
    if size > MAX_HEAD_BYTES:
        raise UpstreamError(f"its headers exceed {MAX_HEAD_BYTES} bytes")


def _innermost(error: BaseException) -> str:
    """What was really wrong: the parser wraps what its callbacks raise."""
    return str(error.__context__ or error)
