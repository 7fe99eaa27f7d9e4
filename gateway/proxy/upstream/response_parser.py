"""Parses an upstream's answers as they arrive: httptools finds the parts, this module checks them.

Which bytes can be kept, and what clears them? No answer may begin with what is left of another.

- `_heads` and `_raw_headers` hold the lines before a head is known. The head clears both, an interim answer the second;
  an error leaves both, and its connection is closed.
- `_pieces` hold the body since `taken`, which is called in the same read. Bytes of a body without a head are an error,
  those after its end are dropped, and their connection is closed (`surplus`).
- httptools keeps the header it is in. Its next header, or the end of the head or of the last chunk, takes that away:
  trailers never reach the next head.
- llhttp, below it, is between two answers or it is not. Only if it is, and has seen none of the next, is the connection
  used again (`may_be_reused`), and `reset` clears all of the above. It skips empty lines between two answers.
"""

import httptools

from gateway.proxy.upstream.response_head import (
    ResponseHead,
    UpstreamError,
    checked_head,
    plain_answer,
    remembered_head,
)

MAX_HEAD_BYTES = 64 * 1024
_REMEMBERED_BYTES = 4000  # of the reads that a head came with, if the head is to be kept for other answers
_MAX_INTERIM_ANSWERS = 16  # 1xx before the real answer


class ResponseParser:
    """The answers that come over one connection, one at a time: `reset`, then `feed` each read of the socket.

    `head` is None until it is known; `complete` is set by the last byte of the body, and `surplus` by one after it.
    """

    __slots__ = (
        *("_chunk_over", "_framing_bytes", "_head_bytes", "_heads", "_http", "_interim_answers", "_pieces"),
        *("_raw_headers", "_read_bytes", "complete", "head", "surplus"),
    )

    def __init__(self) -> None:
        self._http = httptools.HttpResponseParser(self)
        self.head: ResponseHead | None = None
        self.complete = False
        self._read_bytes = 0  # of all that came until the head was over
        self._clear()

    def reset(self) -> None:
        """Reset for the next answer."""
        if self._read_bytes:
            self._clear()
        self.head = None
        self.complete = False

    def close(self) -> None:
        """Let go of httptools, which holds this: nothing comes any more, and the two would wait for the collector."""
        del self._http

    def plain(self, data: bytes) -> tuple[ResponseHead, bytes] | None:
        """Head and body, if `data` is a plain answer, and nothing has come before it: httptools need not see it."""
        answer = None if self._read_bytes else plain_answer(data)
        if answer is not None:
            self.head = answer[0]
            self.complete = True
        return answer

    def _clear(self) -> None:
        self.surplus = False
        self._raw_headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0  # of the headers, counted where it may matter
        self._heads = b""  # what came until the head was over, interim answers included
        self._read_bytes = 0
        self._framing_bytes = 0  # that came later, since the last of the body
        self._interim_answers = 0
        self._pieces: list[bytes] = []
        self._chunk_over = False

    def feed(self, data: bytes) -> str | None:
        """Take the next bytes. Returns what is wrong with them, if it matters to this answer."""
        has_head = self.head is not None
        if not has_head:
            self._read_bytes += len(data)
            self._heads += data
        try:
            self._http.feed_data(data)
            if self._pieces:
                self._framing_bytes = 0
            elif has_head:
                self._limit_framing(len(data))
            elif self.head is None:
                _limit_head(self._read_bytes)  # httptools reports a header only once its line has ended
        except httptools.HttpParserUpgrade:
            return "it tried to switch protocols"
        except (httptools.HttpParserError, UpstreamError) as error:
            if not self.complete:
                return f"it does not speak valid HTTP: {_innermost(error)}"
            self.surplus = True
        return None

    def taken(self) -> bytes:
        """The part of the body that came since the last call, in one piece."""
        pieces, self._pieces = self._pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def is_between_chunks(self, data: bytes) -> bool:
        """Whether `data`, which was fed last, ends exactly where a chunk ends."""
        return self._chunk_over and data.endswith(b"\r\n")

    def ends_with_connection(self) -> bool:
        """Whether the body is all that comes before the close (RFC 9112 6.3 item 8): then it is complete now."""
        if self.head is None or self.head.length is not None or self.head.chunked:
            return False
        self.complete = True
        return True

    # --- httptools' callbacks

    def on_message_begin(self) -> None:
        if self.complete:
            self.surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head is None:  # after it come trailers, which never become headers
            self._raw_headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        if self._read_bytes > MAX_HEAD_BYTES:  # of which a part may be the body's
            self._head_bytes += sum(len(name) + len(value) for name, value in self._raw_headers)
            _limit_head(self._head_bytes)
        self._check_protocol()
        status = self._http.get_status_code()
        if 100 <= status <= 199:
            self._skip_interim(status)
            return
        self._heads = b""
        read = remembered_head if self._read_bytes <= _REMEMBERED_BYTES else checked_head
        self.head = read(status, self._http.get_http_version(), tuple(self._raw_headers))
        self._raw_headers = []

    def on_body(self, data: bytes) -> None:
        if self.head is None:
            raise UpstreamError("it sent a body without a head")
        if not self.complete:
            self._pieces.append(data)

    def on_chunk_header(self) -> None:
        self._chunk_over = False

    def on_chunk_complete(self) -> None:
        self._chunk_over = True

    def on_message_complete(self) -> None:
        self.complete = self.complete or self.head is not None

    # --- inside

    def _limit_framing(self, size: int) -> None:
        """A chunk's size and its extensions, or the trailers, may be as long as a head."""
        self._framing_bytes += size
        if self._framing_bytes > MAX_HEAD_BYTES:
            raise UpstreamError(f"the framing of its answer exceeds {MAX_HEAD_BYTES} bytes")

    def _check_protocol(self) -> None:
        """Raise UpstreamError unless this head names HTTP: httptools reads RTSP and ICE as well."""
        head = self._heads.lstrip(b"\r\n")
        for _ in range(self._interim_answers):
            head = head.partition(b"\r\n\r\n")[2].lstrip(b"\r\n")
        if not head.startswith(b"HTTP/"):
            raise UpstreamError("another protocol")

    def _skip_interim(self, status: int) -> None:
        """RFC 9110 15.2: an interim answer has no body. 101 is the answer to a request that is never made here."""
        if status == 101:
            raise UpstreamError("it tried to switch protocols")
        self._raw_headers = []
        self._interim_answers += 1
        if self._interim_answers > _MAX_INTERIM_ANSWERS:
            raise UpstreamError("it sent too many interim (1xx) responses")


def _limit_head(size: int) -> None:
    if size > MAX_HEAD_BYTES:
        raise UpstreamError(f"its headers exceed {MAX_HEAD_BYTES} bytes")


def _innermost(error: BaseException) -> str:
    """What was really wrong: httptools wraps what its callbacks raise."""
    return str(error.__context__ or error)
