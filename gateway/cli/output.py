"""What commands print: JSON for scripts, a table on a terminal, bare columns in a pipe."""

import contextlib
import errno
import io
import json
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
_LONG = 24  # characters; what is longer may be folded, ids and times may not
_SHORTEST = 16  # to which it is folded

_STYLES = {
    "valid": "green",
    "ready": "green",
    "auto": "green",
    "expired": "yellow",
    "deploying": "yellow",
    "paused": "yellow",
    "unreachable": "red",
    "revoked": "red",
    "holds": "green",
    "broken": "red",
}


class OutputError(OSError):
    """Standard output cannot be written; `strerror` is a sentence that says why."""


def say(text: str) -> None:
    """Print a line on standard output. Raises OutputError if it cannot be written."""
    with _written():
        click.echo(text)


def replace_what_cannot_be_encoded() -> None:
    """Print a `?` in place of what the encoding of standard output lacks."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")


def print_json(value: object) -> None:
    """Print a value as JSON; points in time as ISO 8601."""
    unicode = str(getattr(sys.stdout, "encoding", "")).lower().startswith("utf")
    say(json.dumps(value, indent=2, ensure_ascii=not unicode, default=_plain))


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str, numbers: Collection[str] = ()
) -> None:
    """Print rows under their columns; `empty` on standard error if there are none. `numbers` end at the right."""
    content = list(rows)
    if not content:
        click.echo(empty, err=True)
        return
    with _written():
        if sys.stdout.isatty():
            _print_rich(columns, content, numbers)
        else:
            _print_plain(columns, content, numbers)


def when(moment: datetime | None, never: str = "never") -> str:
    """A point in time as people read it, in UTC."""
    return never if moment is None else moment.strftime("%Y-%m-%d %H:%M UTC")


def takes_escape_codes(stream: TextIO) -> bool:
    """Whether colours may be written: to a terminal that knows them, unless NO_COLOR is set (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def console_for(stream: TextIO) -> "Console":
    """rich's console on a stream, without escape codes where they may not be written, whatever FORCE_COLOR says."""
    from rich.console import Console

    return Console(file=stream, highlight=False, force_terminal=takes_escape_codes(stream))


@contextlib.contextmanager
def _written() -> Iterator[None]:
    if sys.stdout is None:
        raise OutputError(errno.EBADF, "Standard output cannot be written: it is closed.")
    try:
        yield
    except OSError as error:
        _give_up_output()
        why = (error.strerror or "unknown reason").lower()
        raise OutputError(error.errno, f"Standard output cannot be written: {why}.") from error


def _give_up_output() -> None:
    """Send what is still to be written nowhere, or Python would try again as it ends, and print a traceback."""
    with contextlib.suppress(OSError):  # it is no file of the system's
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_plain(columns: Sequence[str], rows: list[Sequence[str]], numbers: Collection[str]) -> None:
    widths = [max(len(row[index]) for row in (columns, *rows)) for index in range(len(columns))]
    put = [str.rjust if column in numbers else str.ljust for column in columns]
    for row in (columns, *rows):
        click.echo("  ".join(side(cell, width) for side, cell, width in zip(put, row, widths, strict=True)).rstrip())


def _print_rich(columns: Sequence[str], rows: list[Sequence[str]], numbers: Collection[str]) -> None:
    """A table in which only long cells are folded, without columns in which nothing stands.

    Where the rest does not fit, one block of lines a row.
    """
    from rich.cells import cell_len

    console = console_for(sys.stdout)
    filled = [index for index in range(len(columns)) if any(row[index] for row in rows)]
    shown: list[Sequence[str]] = [[row[index] for index in filled] for row in (columns, *rows)]
    columns, rows = shown[0], shown[1:]
    widths = [max(cell_len(row[index]) for row in (columns, *rows)) for index in range(len(columns))]
    folded = [width > _LONG for width in widths]
    least = sum(_SHORTEST if fold else width for width, fold in zip(widths, folded, strict=True))
    gap = 2 if sum(widths) + 2 * len(columns) <= console.width else 1
    if least + gap * len(columns) - gap <= console.width:
        console.print(_table(columns, rows, folded, gap, numbers))
    else:
        for row in rows:
            console.print(_block(columns, row), soft_wrap=True)


def _table(
    columns: Sequence[str], rows: list[Sequence[str]], folded: list[bool], gap: int, numbers: Collection[str]
) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, gap, 0, 0))
    for column, fold in zip(columns, folded, strict=True):
        least = _SHORTEST if fold else None
        side: Literal["left", "right"] = "right" if column in numbers else "left"
        table.add_column(column, no_wrap=not fold, overflow="fold", min_width=least, justify=side)
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    return table


def _block(columns: Sequence[str], row: Sequence[str]) -> "Text":
    from rich.text import Text

    width = max(map(len, columns))
    block = Text()
    for column, cell in zip(columns, row, strict=True):
        if cell:
            block.append(f"{column:<{width}}  ", style="bold").append(f"{cell}\n", style=_STYLES.get(cell, ""))
    return block


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} has no place in JSON")
