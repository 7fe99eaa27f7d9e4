"""`make bench-scale`: what a thousand deployments and a hundred thousand keys cost whoever asks beside them.

Its table is a section of docs/operate/performance.md. `--quick` writes nothing.
"""

import os
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from scripts.bench import DOCS, rewrite_page
from scripts.benchmark import targets
from scripts.benchmark.measures import Cores
from scripts.benchmark.process import StartError
from scripts.benchmark.record import machine
from scripts.command.own_process import end_in_order_at_sigterm, open_as_many_files_as_may_be
from scripts.command.progress import with_elapsed_time
from scripts.scaling import report
from scripts.scaling.measures import FULL, QUICK, ScaleBench


@click.command()
@click.option("--quick", is_flag=True, help="Two sizes, and a few seconds each: the figures are rough.")
@click.option("--size", "sizes", type=click.IntRange(1), multiple=True, help="How many deployments, instead.")
@click.option("--seconds", type=click.FloatRange(1), help="How long a client asks beside each thing.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Where the figures go.")
def main(quick: bool, sizes: tuple[int, ...], seconds: float | None, out: Path | None) -> None:
    """Measure with many deployments and keys."""
    console = Console()
    amount = QUICK if quick else FULL
    amount = replace(amount, sizes=sizes or amount.sizes, seconds=seconds or amount.seconds)
    on = machine()
    end_in_order_at_sigterm()
    open_as_many_files_as_may_be()
    cores = Cores.of(sorted(os.sched_getaffinity(0)))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gguf-scale-")))
        backend = stack.enter_context(targets.backend(folder, cores.backend))
        bench = ScaleBench(amount, folder, cores, with_elapsed_time(console))
        try:
            for size in amount.sizes:
                bench.database(backend, size)
                bench.yaml(backend, size)
        except StartError as error:
            raise click.ClickException(str(error)) from error
    report.print_table(bench.values, console)
    out = out or (None if quick else DOCS)
    if out is not None:
        report.write(out, on, amount.keys, bench.values)
        rewrite_page(out)


if __name__ == "__main__":
    main()
