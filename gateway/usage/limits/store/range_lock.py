"""Locks on bytes of a file, which the kernel lets go of when their process dies, however it dies.

They belong to the open file and not to the process (fcntl(2), open file description locks), where the system has such:
else a second opening of the file by one process would share its locks, and its closing would lose them.
"""

import fcntl
import os
import time
from struct import pack

_HELD = (BlockingIOError, PermissionError)  # POSIX allows EAGAIN and EACCES
_SET = getattr(fcntl, "F_OFD_SETLK", fcntl.F_SETLK)
_PATIENCE = 2.0  # seconds for a lock that is held for microseconds, by a process that a busy machine may keep waiting
_YIELDS = 20  # before sleeping
_SLEEP = 0.0002


class RangeLock:
    """The lock of a byte of a file that is open."""

    __slots__ = ("_file", "_lock", "_unlock")

    def __init__(self, file: int, at: int) -> None:
        self._file = file
        self._lock = _flock(fcntl.F_WRLCK, at)
        self._unlock = _flock(fcntl.F_UNLCK, at)

    def acquire(self) -> None:
        """Lock it. Raises TimeoutError, an OSError, if another holds it for far longer than anybody should."""
        try:
            fcntl.fcntl(self._file, _SET, self._lock)
        except _HELD:
            self._wait()

    def try_acquire(self) -> bool:
        """Lock it, unless somebody else has; it stays locked until it is released, or the file closed."""
        try:
            fcntl.fcntl(self._file, _SET, self._lock)
        except _HELD:
            return False
        return True

    def release(self) -> None:
        """Let go of it."""
        fcntl.fcntl(self._file, _SET, self._unlock)

    def _wait(self) -> None:
        for _ in range(_YIELDS):
            if self.try_acquire():
                return
            os.sched_yield()
        patience = time.monotonic() + _PATIENCE
        while not self.try_acquire():
            if time.monotonic() > patience:
                raise TimeoutError("another process keeps the file of limits locked")
            time.sleep(_SLEEP)


def _flock(kind: int, at: int) -> bytes:
    """Struct flock, as C lays it out: type, whence, start, length, pid."""
    if hasattr(fcntl, "F_OFD_SETLK"):
        return pack("hhqqi4x", kind, os.SEEK_SET, at, 1, 0)
    return pack("qqihh", at, 1, 0, kind, os.SEEK_SET)  # of macOS and the BSDs
