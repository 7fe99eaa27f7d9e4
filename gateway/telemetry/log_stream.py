"""A standard stream whose text goes the way of the log, and so holds up nobody."""

import io
import os
from typing import TYPE_CHECKING

from gateway.telemetry.log_writer import LogWriter

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class LogStream(io.TextIOWrapper):
    """Text through a writer, in place of a standard stream: for what Python and libraries print on their own."""

    def __init__(self, writer: LogWriter, file: int, encoding: str) -> None:
        super().__init__(_Bytes(writer, file), encoding, "backslashreplace", write_through=True)


class _Bytes(io.BufferedIOBase):
    def __init__(self, writer: LogWriter, file: int) -> None:
        super().__init__()
        self._writer = writer
        self._file = file
        self.name = file

    def write(self, data: "ReadableBuffer", /) -> int:
        text = bytes(data)
        self._writer.write(text)
        return len(text)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file

    def isatty(self) -> bool:
        return os.isatty(self._file)
