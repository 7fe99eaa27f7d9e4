"""Notices requests of other protocols: aiohttp's parser reads `RTSP/1.0` and `ICE/1.0` as `HTTP/1.0`.

The bytes of a connection are seen as the parser gets them, and once more when it says how many requests it found.
"""

import re

_MAX_LINE_BYTES = 16 * 1024  # more than the parser takes for a request line
# llhttp's list (src/llhttp/http.ts). Not anchored where the line begins: the end of a body may stand before it. No
# match begins within a run of letters: to look at each would take minutes for a body of 256 KiB of them.
_OTHER = re.compile(rb"(?<![A-Z_-])[A-Z_-]+ [!-~\x80-\xff]+ (?:RTSP|ICE)/[0-9.]+ *\r?$", re.MULTILINE)


class RequestLineWatch:
    """One connection. `found`: a request of another protocol was among what came so far."""

    __slots__ = ("_line", "found")

    def __init__(self) -> None:
        self.found = False
        self._line: bytes | None = b""  # the beginning of a request line; None while the rest of its head is to come

    def see(self, data: bytes, *, requests: int, in_body: bool) -> None:
        """Look at what came: so many `requests` were whole with it; `in_body` if it began with the rest of a body."""
        if requests > 1 or (requests and in_body):
            self.found = self.found or _OTHER.search(data) is not None
        elif not in_body and self._line is not None:
            self._read_line(data)
        if requests:
            self._line = data[data.rfind(b"\n") + 1 :][-_MAX_LINE_BYTES:]

    def _read_line(self, data: bytes) -> None:
        line, end, _ = ((self._line or b"") + data[:_MAX_LINE_BYTES]).lstrip(b"\r\n").partition(b"\n")
        self._line = None if end else line
        if end:
            self.found = self.found or _OTHER.search(line) is not None
