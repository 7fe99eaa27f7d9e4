"""What is wrong with a source, and where: a file's lines and fields, said in sentences. Pure: no I/O."""

import re
from dataclasses import dataclass, field

MAX_CHARS = 5_000_000  # that a file may have
Path = tuple[str | int, ...]
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")


class SourceError(Exception):
    """A configuration or a registry's source cannot be used. `lines` say where and why, one error each."""

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = lines

    def __str__(self) -> str:
        return "\n".join(self.lines)

    @property
    def in_one_line(self) -> str:
        """All of it, for the log."""
        return " | ".join(self.lines)


@dataclass(slots=True)
class Document:
    """A file's content as plain values: `value`, the line of each by its path, and the errors found so far.

    `is_partial` says that fields are missing from it, which other errors explain: do not ask for them.

    No sentence passed to `add_error` may quote a value of the file: it may be a key, misplaced.
    """

    source: str
    value: object = None
    lines: dict[Path, int] = field(default_factory=lambda: {(): 1})
    errors: dict[tuple[int, Path], str] = field(default_factory=dict)
    is_partial: bool = False

    def add_error(self, path: Path, sentence: str, line: int | None = None) -> None:
        """Note an error. Only the first at a place is kept: what follows from it is not worth a line."""
        self.errors.setdefault((self.line_of(path) if line is None else line, path), sentence)

    def line_of(self, path: Path) -> int:
        """The line, from 1, of the value at `path`, or of the innermost one around it that exists."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]

    def raise_errors(self) -> None:
        """Raise SourceError with all errors, top to bottom, as `FILE:LINE: FIELD: sentence`, if there are any."""
        lines = []
        for (line, path), sentence in sorted(self.errors.items(), key=lambda item: item[0][0]):
            lines.append(f"{self.source}:{line}: {field_name(path)}{': ' if path else ''}{sentence}")
        if lines:
            raise SourceError(*lines)


def field_name(path: Path) -> str:
    """A path in writing: `accounts.acme.keys[0].key`.

    A name that is not a plain word is shown as `?`: in `{key:gw_...}`, the space forgotten, it is the key itself.
    """
    name = ""
    for part in path:
        if isinstance(part, int):
            name += f"[{part}]"
        else:
            shown = part if _PLAIN_NAME.fullmatch(part) and "gw_" not in part else "?"
            name += f".{shown}" if name else shown
    return name


def counted(number: int, thing: str) -> str:
    """`1 key`, `2 keys`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
