"""Where the fault `cut` ends a response: arithmetic over the pieces in which it is sent, without any I/O."""

from collections.abc import Iterator

from mockserver.play.faults import Fault

_ENDS = (b"data: [DONE]", b"event: message_stop", b"event: response.completed")
_MARKS = (b"data:", b"event:")
_HALF_CHARACTER = b"\xc3"


def events(chunk: bytes) -> Iterator[bytes]:
    """The server-sent events of a chunk, which holds whole ones only."""
    rest = chunk
    while rest:
        event, mark, rest = rest.partition(b"\n\n")
        yield event + mark


def is_event(data: bytes) -> bool:
    """Whether it is an event, not a comment."""
    return data.startswith(_MARKS)


def is_end(data: bytes) -> bool:
    """Whether it is the event by which a client knows that the stream is complete."""
    return data.startswith(_ENDS)


class Truncation:
    """Is fed a response event by event, and says where to cut it."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        within = fault.at == "event" and fault.after_events is None
        self._event_limit: int | None = 1 if within else fault.after_events
        self._bytes_sent = self._characters_sent = self._events_sent = 0

    def feed(self, data: bytes, *, whole: bool = False) -> bytes | None:
        """The bytes of a piece that are sent before the cut; `None` means all of it, without a cut.

        `whole` says that the piece is a whole body.
        """
        fault = self._fault
        if fault.after_bytes is not None:
            return self._until_byte(data, fault.after_bytes)
        if fault.after_characters is not None:
            return self._until_character(data, fault.after_characters)
        if fault.at == "character":
            return _half_character(data, whole=whole)
        if whole:
            return data[: len(data) // 2]
        if fault.at == "done":
            return b"" if is_end(data) else None
        return self._until_event(data)

    def _until_byte(self, data: bytes, limit: int) -> bytes | None:
        room = limit - self._bytes_sent
        self._bytes_sent += len(data)
        return data[:room] if len(data) >= room else None

    def _until_character(self, data: bytes, limit: int) -> bytes | None:
        text = data.decode("utf-8", "surrogateescape")
        room = limit - self._characters_sent
        self._characters_sent += len(text)
        return text[:room].encode("utf-8", "surrogateescape") if len(text) >= room else None

    def _until_event(self, data: bytes) -> bytes | None:
        if not is_event(data):
            return None
        limit, inside = self._event_limit or 0, self._fault.at == "event"
        if self._events_sent == limit:
            return data[: len(data) // 2] if inside else b""
        self._events_sent += 1
        return data if self._events_sent == limit and not inside else None


def _half_character(data: bytes, *, whole: bool) -> bytes | None:
    """Up to the first byte of the first character that has several; without one, half of one where the end would be."""
    for position, byte in enumerate(data):
        if byte > 0x7F:
            return data[: position + 1]
    if whole:
        return data[: len(data) // 2] + _HALF_CHARACTER
    return _HALF_CHARACTER if is_end(data) else None
