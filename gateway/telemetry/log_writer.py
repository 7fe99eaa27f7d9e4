"""Writes the log in a thread of its own: a reader that does not read, or a disk that is full, holds up nobody else.

A pipe's `write` blocks for as long as the pipe is full. Making standard error non-blocking instead would do it to all
processes that share it, the shell among them.
"""

import os
import select
import signal
import threading
import weakref
from collections.abc import Callable
from time import monotonic

MOST_KEPT = 4 * 1024 * 1024  # bytes that wait to be written; some 15,000 requests
_PIECE = 64 * 1024  # bytes written at a time
_SHARED_PIECE = select.PIPE_BUF  # the same where others write to the file: so much a pipe takes whole, or not yet
_RETRY_SECONDS = 1.0  # after an error, as of a full disk
_STUCK_SECONDS, _LAST_SECONDS = 2.0, 5.0  # how long the end waits while nothing is taken; and at most
_FORK_SECONDS = 0.5  # the same for a fork

_open: "weakref.WeakSet[LogWriter]" = weakref.WeakSet()


class LogWriter:
    """Writes to a file descriptor, in order. `write` never waits, whatever becomes of the file.

    What cannot be written yet is kept, up to `most_kept` bytes. Then lines are dropped; `gap`, given how many and for
    how many seconds, says so in their place as soon as it is their turn.
    """

    def __init__(self, file: int, gap: Callable[[int, float], bytes], most_kept: int = MOST_KEPT) -> None:
        self._file = file
        self._gap = gap
        self._most_kept = most_kept
        self._is_shared = False  # with processes forked from this one, or with the one it was forked from
        self._reset()
        _open.add(self)

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._kept: list[bytes] = []
        self._size = 0  # of what is kept and what is being written, in bytes
        self._dropped = 0  # lines
        self._dropping_since = self._advanced_at = monotonic()
        self._failures = 0
        self._thread: threading.Thread | None = None
        self._is_ending = False  # the thread

    def write(self, data: bytes) -> None:
        """Have whole lines written as soon as possible."""
        with self._changed:
            if self._size == 0:
                self._advanced_at = monotonic()
            elif self._dropped or self._size + len(data) > self._most_kept:
                if not self._dropped:
                    self._dropping_since = monotonic()
                self._dropped += max(data.count(b"\n"), 1)
                return
            self._kept.append(data)
            self._size += len(data)
            self._wake()

    def flush(self, most: float = _LAST_SECONDS, stuck: float = _STUCK_SECONDS) -> None:
        """Wait until all is written: `most` seconds altogether, and `stuck` from when something was taken last.

        A disk that is full, or a pipe whose reader is gone, is tried once more and not waited for.
        """
        until = monotonic() + most
        with self._changed:
            failures = self._failures
            self._changed.notify_all()
            while self._size and self._failures == failures:
                left = min(until, self._advanced_at + stuck) - monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)

    def _wake(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="log", daemon=True)  # it must not keep the process alive
            try:
                thread.start()
            except RuntimeError:
                return  # no memory for a thread: the next line tries again
            self._thread = thread
        self._changed.notify_all()

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are the other thread's
        while (data := self._next()) is not None:
            self._write_all(data)

    def _next(self) -> bytes | None:
        """What to write next, as soon as there is something; None when the thread is to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._kept or self._dropped or self._is_ending)
            if not self._kept and not self._dropped:
                self._thread = None
                return None
            kept, self._kept = self._kept, []
            if self._dropped:
                gap = self._gap(self._dropped, monotonic() - self._dropping_since)
                self._dropped = 0
                kept.append(gap)
                self._size += len(gap)
            return b"".join(kept)

    def _write_all(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            try:
                written = os.write(self._file, data[at : self._end_of_piece(data, at)])
            except BlockingIOError:  # whoever shares the file has made it non-blocking
                select.select((), (self._file,), (), _RETRY_SECONDS)
            except OSError:  # a full disk, a pipe whose reader is gone: either may come back
                with self._changed:
                    self._failures += 1
                    self._changed.notify_all()
                    self._changed.wait(_RETRY_SECONDS)
            else:
                at += written
                with self._changed:
                    self._size -= written
                    self._advanced_at = monotonic()
                    self._changed.notify_all()

    def _end_of_piece(self, data: bytes, at: int) -> int:
        """Where to end a write that begins `at`; where others write as well, behind a line if that is possible."""
        if not self._is_shared:
            return at + _PIECE
        return data.rfind(b"\n", at, at + _SHARED_PIECE) + 1 or data.find(b"\n", at) + 1 or len(data)

    def before_fork(self) -> None:
        """Let the thread end, unless the log is stuck: a process with threads is better not forked."""
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()
            thread = self._thread
        self.flush(_FORK_SECONDS, _FORK_SECONDS)
        if thread is not None:
            thread.join(_FORK_SECONDS if not self._size else 0)

    def after_fork_here(self) -> None:
        """Go on."""
        self._is_ending = False
        self._is_shared = True

    def after_fork_in_child(self) -> None:
        """Begin anew: what is kept is the parent's to write."""
        self._reset()
        self._is_shared = True


def _each(act: Callable[[LogWriter], None]) -> Callable[[], None]:
    def act_on_all() -> None:
        for writer in tuple(_open):
            act(writer)

    return act_on_all


os.register_at_fork(
    before=_each(LogWriter.before_fork),
    after_in_parent=_each(LogWriter.after_fork_here),
    after_in_child=_each(LogWriter.after_fork_in_child),
)
