"""`make bench-changes`: what a change costs a request beside it, with a thousand deployments and very many keys.

Its table is a section of docs/operate/performance.md. `--quick` writes nothing.
"""

import asyncio
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click
from rich.console import Console

from scripts.bench import DOCS, rewrite_page
from scripts.benchmark import targets
from scripts.benchmark.measures import Cores
from scripts.benchmark.process import StartError
from scripts.benchmark.record import machine
from scripts.command.own_process import end_in_order_at_sigterm
from scripts.scaling import changes_report
from scripts.scaling.paired_changes import measured
from scripts.scaling.population import Population

_KEYS = (10_000, 100_000)


@click.command()
@click.option("--quick", is_flag=True, help="Six pairs of each: the figures are rough, and nothing is written.")
@click.option("--pairs", type=click.IntRange(1), default=40, show_default=True, help="How many of each kind.")
@click.option("--deployments", type=click.IntRange(2), default=1_000, show_default=True)
@click.option("--keys", "sizes", type=click.IntRange(1), multiple=True, default=_KEYS, show_default=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Where the figures go.")
def main(quick: bool, pairs: int, deployments: int, sizes: tuple[int, ...], out: Path | None) -> None:
    """Measure requests beside changes, in pairs (ten minutes)."""
    console, on = Console(), machine()
    end_in_order_at_sigterm()
    cores = Cores.of(sorted(os.sched_getaffinity(0)))
    found = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gguf-changes-")))
        backend = stack.enter_context(targets.backend(folder, cores.backend))
        try:
            for keys in sizes:
                console.print(f"[dim]{deployments:,} deployments, {keys:,} keys[/]")
                home = Population(folder / str(keys), backend, deployments, keys)
                home.in_database()
                with home.gateway(cores.measured) as target:
                    found += asyncio.run(measured(home, target, 6 if quick else pairs, folder, cores.load))
        except StartError as error:
            raise click.ClickException(str(error)) from error
    changes_report.print_table(found, console)
    out = out or (None if quick else DOCS)
    if out is not None:
        changes_report.write(out, on, deployments, found)
        rewrite_page(out)


if __name__ == "__main__":
    main()
