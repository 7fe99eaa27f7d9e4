"""Where an answer breaks off: pure arithmetic over the pieces in which it is sent."""

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


def is_event(piece: bytes) -> bool:
    """Whether it is an event, not a comment."""
    return piece.startswith(_MARKS)


def is_end(piece: bytes) -> bool:
    """Whether it is the event by which a client knows that the stream is complete."""
    return piece.startswith(_ENDS)


class Truncation:
    """Is fed an answer piece by piece, an event at a time, until it is to break off."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        within = fault.at == "event" and fault.after_events is None
        self._events: int | None = 1 if within else fault.after_events
        self._sent = self._characters = self._counted = 0

    def feed(self, piece: bytes, *, whole: bool = False) -> bytes | None:
        """What of a piece is sent before the cut; `None`: all of it, without a cut. `whole`: it is the whole body."""
        fault = self._fault
        if fault.after_bytes is not None:
            return self._until_byte(piece, fault.after_bytes)
        if fault.after_characters is not None:
            return self._until_character(piece, fault.after_characters)
        if fault.at == "character":
            return _half_character(piece, whole=whole)
        if whole:
            return piece[: len(piece) // 2]
        if fault.at == "done":
            return b"" if is_end(piece) else None
        return self._until_event(piece)

    def _until_byte(self, piece: bytes, limit: int) -> bytes | None:
        room = limit - self._sent
        self._sent += len(piece)
        return piece[:room] if len(piece) >= room else None

    def _until_character(self, piece: bytes, limit: int) -> bytes | None:
        text = piece.decode("utf-8", "surrogateescape")
        room = limit - self._characters
        self._characters += len(text)
        return text[:room].encode("utf-8", "surrogateescape") if len(text) >= room else None

    def _until_event(self, piece: bytes) -> bytes | None:
        if not is_event(piece):
            return None
        limit, inside = self._events or 0, self._fault.at == "event"
        if self._counted == limit:
            return piece[: len(piece) // 2] if inside else b""
        self._counted += 1
        return piece if self._counted == limit and not inside else None


def _half_character(piece: bytes, *, whole: bool) -> bytes | None:
    """Up to the first byte of the first character that has several; without one, half of one where the end would be."""
    for position, byte in enumerate(piece):
        if byte > 0x7F:
            return piece[: position + 1]
    if whole:
        return piece[: len(piece) // 2] + _HALF_CHARACTER
    return _HALF_CHARACTER if is_end(piece) else None
