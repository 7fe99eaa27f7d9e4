"""`make bench-scale`: what a thousand deployments and a hundred thousand keys cost whoever asks beside them.

Its table is a section of docs/operate/performance.md. `--quick` writes nothing.
"""

import os
import resource
import signal
import sys
import tempfile
import time
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
    begun, on = time.monotonic(), machine()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    cores = Cores.of(sorted(os.sched_getaffinity(0)))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gguf-scale-")))
        backend = stack.enter_context(targets.backend(folder, cores.backend))
        bench = ScaleBench(
            amount, folder, cores, lambda text: console.print(f"[dim]{time.monotonic() - begun:4.0f} s[/]  {text}")
        )
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
