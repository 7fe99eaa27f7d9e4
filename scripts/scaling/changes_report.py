"""The table of `make bench-changes`, on the terminal and as a section of the performance page."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from scripts.scaling.paired_changes import DEMAND, Pairs

_FILE = "performance-changes.json"
_HEAD = ("change", "keys", "in force, s", "longest wait without, ms", "with, ms", "longer by, ms")
_METHOD = """
Measured by `make bench-changes` with {deployments:,} deployments in an SQLite file, {pairs} pairs of windows of 1.2 s
for each row. A client asks every 10 ms. In one window of a pair the change is made in the gateway's database, in the
other in a copy that no gateway reads, so that the machine does the same in both. In force: from when the call has
returned until a request is answered by the change, median / longest. The longest waits are medians; the last column is
how much longer the longest wait is with the change: median / 90th percentile / most. Demanded are {in_force:g} s and
{longer:g} ms at most.

Machine: {date}, {processor}, load before {load before}, Python {Python}.
"""


def print_table(measured: Sequence[Pairs], console: Console) -> None:
    """All figures, on the terminal."""
    table = Table(*_HEAD, box=None, header_style="bold")
    for row in _rows([_kept(one) for one in measured]):
        table.add_row(*row)
    console.print(table)


def write(folder: Path, machine: Mapping[str, str], deployments: int, measured: Sequence[Pairs]) -> None:
    """Keep what was measured, for `section`."""
    kept = {"machine": machine, "deployments": deployments, "changes": [_kept(one) for one in measured]}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _FILE).write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def section(folder: Path) -> str:
    """The section of the performance page, in Markdown; empty as long as nothing was measured."""
    file = folder / _FILE
    if not file.exists():
        return ""
    record = json.loads(file.read_text(encoding="utf-8"))
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in (_HEAD, ("---",) * len(_HEAD), *_rows(record["changes"])))
    demand = {"in_force": DEMAND.in_force, "longer": DEMAND.longer * 1e3}
    numbers = {"deployments": record["deployments"], "pairs": record["changes"][0]["pairs"]}
    method = _METHOD.strip().format(**numbers, **demand, **record["machine"])
    return f"## A request beside a change\n\n{method}\n\n{table}"


def _kept(one: Pairs) -> dict[str, Any]:
    return {"kind": one.kind, "keys": one.keys, "pairs": len(one.pairs), **one.figures()}


def _rows(kept: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    for one in kept:
        longer = (f"{one[f'longer, {which}'] * 1e3:.1f}" for which in ("median", "90th", "most"))
        yield (
            one["kind"],
            f"{one['keys']:,}",
            f"{one['in force, median']:.2f} / {one['in force, longest']:.2f}",
            f"{one['without, median'] * 1e3:.1f}",
            f"{one['with, median'] * 1e3:.1f}",
            " / ".join(longer),
        )
