"""What is kept of an answer while it passes: enough to read its token usage, and to see whether a stream is whole."""

from collections import deque

# A stream's first event and its last ones, or both ends of a JSON body, in all the shapes recorded of llama-server.
_FIRST_BYTES = 2048
_EVENT_ENDS = b"}\n\n"  # a comment never ends like this
_LAST_BYTES = 4096
_LAST_CHUNKS = 8  # the usage is in one of the last three
_LAST_PIECES = 16  # kept apart: joining them for every event would cost more than all the rest done for it
_OPENING_BYTES = 512  # of an event: its name, and of its data all that is not text
_MOST_COMMENTS = 256  # behind an event: a read of nothing but line ends would be looked at byte by byte
_NO_EVENT = b":\n"  # what begins like this is a comment, or nothing
_CARRIAGE_RETURN = ord("\r")
_NO_CHUNKS: deque[bytes] = deque(maxlen=0)
ONE_EVENT = 1 << 36  # beyond the bytes of any answer


class Excerpt:
    """The `size`, the number of `events`, the `first` and the last bytes of an answer, collected as it passes.

    Where it is a stream (`has_events`), the `opening` of its last event as well, which may be longer than what is kept.
    `chunks` came after all that was added, in their frames. A passthrough puts them there (`keep_chunks`), counts their
    content, and notes when the last of them was `last_chunk_at`, in the event loop's time.
    """

    __slots__ = (
        "_is_between_events",
        "_newest",
        "_opening",
        "chunks",
        "first",
        "has_events",
        "last_chunk_at",
        "passed",
    )

    def __init__(self) -> None:
        self.passed = 0  # bytes, and ONE_EVENT for each event: a second sum for each event would cost six percent more
        self.first = b""
        self._newest: list[bytes] = []
        self.chunks = _NO_CHUNKS
        self.last_chunk_at = 0.0
        self.has_events = False
        self._is_between_events = True  # surely; if not, it may be so all the same
        self._opening = b""

    @property
    def size(self) -> int:
        """Bytes that have passed."""
        return self.passed & (ONE_EVENT - 1)

    @property
    def events(self) -> int:
        """Events that have passed, if it is a stream: chunks that a passthrough has counted, else ends of events."""
        return self.passed // ONE_EVENT

    @property
    def has_begun(self) -> bool:
        """Whether enough of the beginning is kept: of a stream its first event, of all else the first bytes."""
        return self.size >= _FIRST_BYTES or self.first.find(_EVENT_ENDS) >= 0

    @property
    def opening(self) -> bytes:
        """The first bytes of the last event that is no comment; empty if they are not known.

        They are not where an event came in several chunks past `add`, where lines end in CR, nor before hundreds of
        comments.
        """
        return b"" if self.chunks else self._opening

    def keep_chunks(self) -> deque[bytes]:
        """From now on chunks may be put here."""
        if self.chunks is _NO_CHUNKS:
            self.chunks = deque(maxlen=_LAST_CHUNKS)
        return self.chunks

    def add(self, data: bytes) -> None:
        """Note a piece that has passed."""
        if self.chunks:
            self._newest = [self.last()]
            self._opening = b""
            self._is_between_events = self._newest[0].endswith(b"\n\n")
            self.chunks.clear()
        if self.has_events:
            self._note_events(data)
        if not self.first:  # of most answers the first piece is the only one
            self.first = data[:_FIRST_BYTES]
        elif not self.has_begun:
            self.first += data[: _FIRST_BYTES - self.size]
        self.passed += len(data)
        self._newest.append(data if len(data) <= _LAST_BYTES else data[-_LAST_BYTES:])
        if len(self._newest) > _LAST_PIECES:
            self._newest = [self.last()]

    def last(self) -> bytes:
        """The last bytes that have passed: 4 KiB, or 8 events."""
        if not self.chunks and len(self._newest) == 1:
            return self._newest[0]
        contents = [chunk[chunk.index(b"\n") + 1 : -2] for chunk in self.chunks]
        before = self._newest if len(contents) < _LAST_CHUNKS else []  # else some may be missing in between
        return b"".join((*before, *contents))[-_LAST_BYTES:]

    def _note_events(self, data: bytes) -> None:
        """Called with each piece before it is added. Nearly every one is one event."""
        _, blank_line, more = data.partition(b"\n\n")
        is_whole = blank_line and not more and self._is_between_events
        if is_whole and data[0] not in _NO_EVENT and _CARRIAGE_RETURN not in data:
            self._opening = data[:_OPENING_BYTES]
            self.passed += ONE_EVENT
            return
        self._note_opening(data)
        if not data.startswith(b":"):
            self.passed += data.count(b"\n\n") * ONE_EVENT
        self._is_between_events = data.endswith(b"\n\n")

    def _note_opening(self, data: bytes) -> None:
        """An event may have begun with the end of the piece before."""
        seen = self.last()[-_OPENING_BYTES:] + data
        before, comments = seen.rfind(b"\n\n", 0, len(seen) - 1), 0
        while before >= 0 and comments < _MOST_COMMENTS and seen.startswith((b":", b"\n"), before + 2):
            before, comments = seen.rfind(b"\n\n", 0, before + 1), comments + 1
        begun = seen[before + 2 :] if before >= 0 else seen if self.size <= _OPENING_BYTES else b""
        if _CARRIAGE_RETURN in data or comments == _MOST_COMMENTS:
            self._opening = b""
        elif begun and not begun.startswith((b":", b"\n")):
            self._opening = begun[:_OPENING_BYTES]


def ends_of(body: bytes) -> tuple[bytes, bytes]:
    """Of an answer that came whole: what an excerpt has as its `first` and `last` bytes."""
    return body[:_FIRST_BYTES], body[-_LAST_BYTES:]


def stream_of(*pieces: bytes) -> Excerpt:
    """The excerpt of a stream that came in these pieces."""
    excerpt = Excerpt()
    excerpt.has_events = True
    for piece in pieces:
        excerpt.add(piece)
    return excerpt
