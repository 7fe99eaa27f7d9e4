"""Tells whether a file has changed since it was read, or another one has taken its place."""

from pathlib import Path

Signature = tuple[int, ...]
FileIdentity = tuple[int, int]  # its device, and its number there


def signature_of(path: Path) -> Signature | None:
    """A value that changes when the file does; None if there is no file. The ctime shows edits that keep the mtime.

    The last two numbers are both times, in ns since 1970.
    """
    try:
        seen = path.stat()
    except OSError:
        return None
    return (seen.st_dev, seen.st_ino, seen.st_mode, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)


def file_identity(path: Path) -> FileIdentity | None:
    """Which file is at this path, however often it is written to; None if there is none."""
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_dev, seen.st_ino
