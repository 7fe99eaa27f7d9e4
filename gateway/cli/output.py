"""What commands print: JSON for scripts, a table on a terminal, bare columns in a pipe."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime

import click

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def print_json(value: object) -> None:
    """Print a value as JSON; points in time as ISO 8601."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """Print rows under their columns; `empty` on standard error if there are none."""
    content = list(rows)
    if not content:
        click.echo(empty, err=True)
    elif sys.stdout.isatty():
        _print_rich(columns, content)
    else:
        widths = [max(len(row[index]) for row in (columns, *content)) for index in range(len(columns))]
        for row in (columns, *content):
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def when(moment: datetime | None, never: str = "never") -> str:
    """A point in time as people read it, in UTC."""
    return never if moment is None else moment.strftime("%Y-%m-%d %H:%M UTC")


def _print_rich(columns: Sequence[str], rows: list[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    Console().print(table)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} has no place in JSON")


_STYLES = {
    "valid": "green",
    "ready": "green",
    "auto": "green",
    "expired": "yellow",
    "deploying": "yellow",
    "paused": "yellow",
    "revoked": "red",
    "holds": "green",
    "broken": "red",
}
