"""Standard output and error through a thread of their own: a reader that does not read freezes no mock.

A pipe's `write` blocks for as long as the pipe is full. As in llama.cpp's `common/log.cpp` another thread writes, but
what waits is bounded: lines beyond that are dropped and counted.
"""

import atexit
import io
import os
import sys
import threading
from time import monotonic
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MOST_KEPT = 1024 * 1024  # bytes that wait to be written
_LAST_SECONDS = 1.0  # how long the end of the process waits for a reader
_RETRY_SECONDS = 0.1  # after an error, as of a full disk or a file that others made non-blocking


class OutputWriter:
    """Writes to a file descriptor, in order; `write` never waits. Of more than `most_kept` bytes it says how many lines
    were lost.
    """

    def __init__(self, file: int, most_kept: int = MOST_KEPT) -> None:
        self.file = file
        self._most_kept = most_kept
        self._changed = threading.Condition()
        self._kept: list[bytes] = []
        self._size = 0  # of what is kept and what is being written, in bytes
        self._dropped = 0
        self._thread: threading.Thread | None = None

    def write(self, data: bytes) -> None:
        """Have it written as soon as possible."""
        with self._changed:
            if self._size and (self._dropped or self._size + len(data) > self._most_kept):
                self._dropped += data.count(b"\n")
                return
            self._kept.append(data)
            self._size += len(data)
            if self._thread is None:  # it must not keep the process alive
                self._thread = threading.Thread(target=self._run, name=f"output {self.file}", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, most: float = _LAST_SECONDS) -> None:
        """Wait until all is written, at most so many seconds."""
        until = monotonic() + most
        with self._changed:
            while self._size and (left := until - monotonic()) > 0:
                self._changed.wait(left)

    def _run(self) -> None:
        while True:
            data = self._next()
            at = 0
            while at < len(data):
                written = self._write_some(memoryview(data)[at:])
                at += written
                with self._changed:
                    self._size -= written
                    self._changed.notify_all()

    def _next(self) -> bytes:
        """All that waits, as soon as there is something."""
        with self._changed:
            self._changed.wait_for(lambda: self._kept or self._dropped)
            kept, self._kept = self._kept, []
            if self._dropped:
                kept.append(b"log: %d lines were lost, nobody read them in time\n" % self._dropped)
                self._size += len(kept[-1])
                self._dropped = 0
            return b"".join(kept)

    def _write_some(self, data: memoryview) -> int:
        try:
            return os.write(self.file, data)
        except BrokenPipeError:
            return len(data)  # there is nobody to read it any more
        except OSError:
            threading.Event().wait(_RETRY_SECONDS)
            return 0


class OutputStream(io.TextIOWrapper):
    """Text through a writer, in place of a standard stream."""

    def __init__(self, writer: OutputWriter, encoding: str) -> None:
        super().__init__(_OutputBytes(writer), encoding, "backslashreplace", write_through=True)


class _OutputBytes(io.BufferedIOBase):
    def __init__(self, writer: OutputWriter) -> None:
        super().__init__()
        self._writer = writer
        self.name = writer.file

    def write(self, data: "ReadableBuffer", /) -> int:
        text = bytes(data)
        self._writer.write(text)
        return len(text)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._writer.file

    def isatty(self) -> bool:
        return os.isatty(self._writer.file)


_writers: list[OutputWriter] = []


def redirect() -> None:
    """From now on nothing that prints waits for a reader; what is printed last is, but not for long."""
    for name in ("stdout", "stderr"):
        stream: TextIO | None = getattr(sys, name)
        if stream is not None:  # it is closed
            writer = OutputWriter(stream.fileno())
            setattr(sys, name, OutputStream(writer, stream.encoding or "utf-8"))
            _writers.append(writer)
    atexit.register(flush)


def say(line: str) -> None:
    """Print a line at once: whoever starts a mock waits for it."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def flush() -> None:
    """Wait until all is written, but not for long: for an end of the process that is no exit."""
    for writer in _writers:
        writer.flush()
