"""The body of a request, cut out of the bytes of a connection: by its length, or by its chunks.

Mirrors vendor/cpp-httplib/httplib.cpp (`read_content_with_length`, `ChunkedDecoder`).
"""

import re
from typing import Protocol

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[ \t!-~\x80-\xff]*)?")
_LONGEST_LINE = 32768


class BrokenBody(Exception):
    """What came is not the body that the head announced."""


class BodyReader(Protocol):
    """Takes what belongs to the body from the front of a buffer."""

    done: bool

    def take(self, buffer: bytearray) -> bytes:
        """The next bytes of the body, none if more has to come. Raises BrokenBody."""


class LengthReader:
    """A body of a known length."""

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = not length

    def take(self, buffer: bytearray) -> bytes:
        """What is there of it."""
        data = bytes(buffer[: self._left])
        del buffer[: len(data)]
        self._left -= len(data)
        self.done = not self._left
        return data


class ChunkReader:
    """A body in chunks; trailers are read and dropped."""

    def __init__(self) -> None:
        self.done = False
        self._left = 0
        self._in_trailers = False

    def take(self, buffer: bytearray) -> bytes:
        """What is there of it, of several chunks as one."""
        taken = bytearray()
        while not self.done and self._advance(buffer, taken):
            pass
        return bytes(taken)

    def _advance(self, buffer: bytearray, taken: bytearray) -> bool:
        """Go one step on; False if more has to come for that."""
        if self._left > 2:
            data = buffer[: self._left - 2]
            taken += data
            del buffer[: len(data)]
            self._left -= len(data)
            return bool(data)
        if self._left:
            return self._end_chunk(buffer)
        line = _take_line(buffer)
        if line is None:
            return False
        if self._in_trailers:
            self.done = not line
        else:
            self._begin_chunk(line)
        return True

    def _begin_chunk(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if not match:
            raise BrokenBody
        length = int(match[1], 16)
        self._in_trailers = not length
        self._left = length + 2 if length else 0

    def _end_chunk(self, buffer: bytearray) -> bool:
        if len(buffer) < len(b"\r\n"):
            return False
        if buffer[:2] != b"\r\n":
            raise BrokenBody
        del buffer[:2]
        self._left = 0
        return True


def _take_line(buffer: bytearray) -> bytes | None:
    end = buffer.find(b"\r\n")
    if end < 0:
        if len(buffer) > _LONGEST_LINE:
            raise BrokenBody
        return None
    line = bytes(buffer[:end])
    del buffer[: end + 2]
    return line
