"""Locks on bytes of a file, which the kernel lets go of when their process dies, however it dies.

They belong to the open file and not to the process (fcntl(2), open file description locks), where the system has such:
else a second opening of the file by one process would share its locks, and its closing would lose them.
"""

import fcntl
import os
import time
from functools import lru_cache
from struct import pack

_SET = getattr(fcntl, "F_OFD_SETLK", fcntl.F_SETLK)
_PATIENCE = 2.0  # seconds for a lock that is held for microseconds, by a process that a busy machine may keep waiting
_YIELDS = 20  # before sleeping
_SLEEP = 0.0002


def lock(file: int, at: int) -> None:
    """Lock the byte. Raises TimeoutError, an OSError, if another holds it for far longer than anybody should."""
    if not try_lock(file, at):
        _wait(file, at)


def try_lock(file: int, at: int) -> bool:
    """Lock the byte, unless somebody else has; it stays locked until the file is closed."""
    try:
        fcntl.fcntl(file, _SET, _flock(fcntl.F_WRLCK, at))
    except (BlockingIOError, PermissionError):  # POSIX allows EAGAIN and EACCES
        return False
    return True


def unlock(file: int, at: int) -> None:
    """Let go of the byte."""
    fcntl.fcntl(file, _SET, _flock(fcntl.F_UNLCK, at))


def _wait(file: int, at: int) -> None:
    for _ in range(_YIELDS):
        if try_lock(file, at):
            return
        os.sched_yield()
    patience = time.monotonic() + _PATIENCE
    while not try_lock(file, at):
        if time.monotonic() > patience:
            raise TimeoutError("another process keeps the file of limits locked")
        time.sleep(_SLEEP)


@lru_cache(maxsize=512)
def _flock(kind: int, at: int) -> bytes:
    """Struct flock, as C lays it out: type, whence, start, length, pid."""
    if hasattr(fcntl, "F_OFD_SETLK"):
        return pack("hhqqi4x", kind, os.SEEK_SET, at, 1, 0)
    return pack("qqihh", at, 1, 0, kind, os.SEEK_SET)  # of macOS and the BSDs
