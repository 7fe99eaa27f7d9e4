"""A database that is an SQLite file: its name, whether it is one at all, and its errors as sentences."""

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from gateway.config.document import SourceError

WRITE_PATIENCE = 5.0  # seconds a writer waits for another to finish
READ_PATIENCE = 1.0
_HEADER = b"SQLite format 3\0"
_SENTENCES = {
    "database is locked": "is locked by another program",
    "due to lock timeout": "is locked by another program",  # PostgreSQL
    "malformed": "is damaged; restore it from a backup",
    "file is not a database": "is not an SQLite database; left unchanged",
    "unable to open": "cannot be opened; is its folder there, and writable for this user?",
    "readonly": "cannot be written by this user",
    "disk is full": "cannot be written: the disk is full; nothing was changed",
    "disk i/o error": "cannot be read or written: the disk reports an error",
    "no such table": "lacks a table; it was not written by gguf-gateway, or not entirely",
    "no such column": "lacks a column; it was not written by gguf-gateway, or not entirely",
}
_FOREIGN = "is not an SQLite database; left unchanged"
_CONFIGURATION = f"{_FOREIGN} (a configuration is named by --config)"
_MISSING = "there is no such database; `gguf-gateway accounts add NAME --database FILE` makes one"
_EMPTY = "holds nothing yet; `gguf-gateway accounts add NAME --database FILE` makes a database of it"


def place_of(text: str, folder: Path | None = None) -> Path | str:
    """Where a database is: the path of an SQLite file, relative to `folder`, or else the URL as it was given.

    `text` is an SQLAlchemy URL, or a path. Raises SourceError, without quoting the text: it may hold a password.
    """
    scheme, separator, rest = text.partition("://")
    if separator and scheme.partition("+")[0] != "sqlite":
        return text
    path = rest.removeprefix("/") if separator else text
    if separator and "?" in path:
        raise SourceError("database: parameters (`?...`) are not supported for an SQLite file; leave them out")
    if path in {"", ":memory:"} or (separator and not rest.startswith("/")):
        raise SourceError("database: names no file, as in sqlite+aiosqlite:///gateway.db")
    return (folder or Path()).joinpath(Path(path).expanduser()).absolute()


def uri_of(path: Path) -> str:
    """The file as a URI with which SQLite does not create it."""
    return f"file:{quote(os.fsencode(path))}?mode=rw"


def check_file(path: Path, *, create: bool) -> None:
    """Make sure that an SQLite file is there and is one, before anything opens it. A new one gets mode 0600.

    Raises SourceError; it never touches a file that is something else.
    """
    try:
        if create:
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        seen = path.stat()
        if not stat.S_ISREG(seen.st_mode):
            raise SourceError(f"{path}: is not a file")
        with path.open("rb") as file:
            header = file.read(len(_HEADER))
    except FileNotFoundError as error:
        where = "its folder does not exist" if create else _MISSING
        raise SourceError(f"{path}: {where}") from error
    except OSError as error:
        raise SourceError(f"{path}: cannot be opened: {(error.strerror or 'unknown reason').lower()}") from error
    if header != _HEADER and not (create and seen.st_size == 0):
        foreign = _CONFIGURATION if path.suffix in {".yaml", ".yml"} else _FOREIGN
        raise SourceError(f"{path}: {_EMPTY if seen.st_size == 0 else foreign}")


@contextlib.contextmanager
def in_sentences(name: str) -> Iterator[None]:
    """Turn what SQLite raises, or a row that cannot be read, into a SourceError of one sentence."""
    try:
        yield
    except (sqlite3.Error, OSError, ValueError) as error:
        raise SourceError(f"{name}: {sentence(str(error))}") from error


def sentence(said: str) -> str:
    """An error of SQLite, for somebody who has to do something about it."""
    said = said.strip().partition("\n")[0]
    known = (known for part, known in _SENTENCES.items() if part in said.lower())
    return next(known, f"cannot be used: {said}")
