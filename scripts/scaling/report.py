"""The table of `make bench-scale`, on the terminal and as a section of the performance page."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scripts.scaling import changes_report
from scripts.scaling.measures import FIGURES

Values = Mapping[str, Mapping[str, list[float]]]
_FILE = "performance-scale.json"

_METHOD = """
Measured by `make bench-scale` with {keys:,} keys and so many deployments in an SQLite file, all of them before one
backend, each asked once. Beside what a row says, a client on a connection of its own asks every 10 ms; its wait counts
from when a request was due: median / 99th percentile / longest. Other processes of the machine are in its wait as well:
its wait with nothing else going on says how much that is. The CPU time of the gateway's idle time is not counted in
that of scrapes and changes.

Machine: {date}, {processor}, load before {load before}, Python {Python}.
"""


def print_table(values: Values, console: Console) -> None:
    """All figures, on the terminal."""
    table = Table("figure", *(f"{int(size):,}" for size in _sizes(values)), box=None, header_style="bold")
    for row in _rows(values):
        table.add_row(*row)
    console.print(table)


def write(folder: Path, machine: Mapping[str, str], keys: int, values: Values) -> None:
    """Keep what was measured, for `section`."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": machine, "keys": keys, "values": values}, indent=1, ensure_ascii=False)
    (folder / _FILE).write_text(text + "\n", encoding="utf-8")


def section(folder: Path) -> str:
    """The section of the performance page, in Markdown, and that of `make bench-changes`; as far as it was measured."""
    return "\n\n".join(filter(None, (_section(folder), changes_report.section(folder))))


def _section(folder: Path) -> str:
    file = folder / _FILE
    if not file.exists():
        return ""
    record = json.loads(file.read_text(encoding="utf-8"))
    head = ("deployments", *(f"{int(size):,}" for size in _sizes(record["values"])))
    lines = [head, ("---",) * len(head), *_rows(record["values"])]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    method = _METHOD.strip().format(keys=record["keys"], **record["machine"])
    return f"## Many deployments, many keys\n\n{method}\n\n{table}"


def _sizes(values: Values) -> list[str]:
    return sorted({size for by_size in values.values() for size in by_size}, key=int)


def _rows(values: Values) -> Iterator[tuple[str, ...]]:
    for figure, (words, unit, scale) in FIGURES.items():
        if figure in values:
            cells = (values[figure].get(size, ()) for size in _sizes(values))
            yield (f"{words}, {unit}", *(" / ".join(_shown(value * scale) for value in cell) or "–" for cell in cells))


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
