"""`make bench`: what the gateway costs, compared with nginx, a bare relay and no gateway, in one run on this machine.

`--quick` is a short run that writes nothing into `docs/operate/`. Method and figures of the last whole run:
docs/operate/performance.md.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path

import click
from rich.console import Console

from scripts.benchmark import plain, report, targets
from scripts.benchmark.measures import FULL, QUICK, Bench, Cores, Profile
from scripts.benchmark.process import StartError
from scripts.benchmark.record import Record, dump, load, machine, put_first
from scripts.benchmark.targets import GatewayHome, Target
from scripts.command.own_process import end_in_order_at_sigterm, open_as_many_files_as_may_be
from scripts.command.progress import with_elapsed_time
from scripts.scaling import report as scaling

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs" / "operate"


@click.command()
@click.option("--quick", is_flag=True, help="A minute and a half, to see that it works: the figures are rough.")
@click.option("--rounds", type=click.IntRange(1), help="How often each target is driven.")
@click.option("--streams", type=click.IntRange(1), help="How many streams at a time, instead of 1,000.")
@click.option("--seconds", type=click.FloatRange(1), help="How long those last, instead of 60.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Where JSON, page and picture go.")
def main(quick: bool, rounds: int | None, streams: int | None, seconds: float | None, out: Path | None) -> None:
    """Compare the gateway with nginx, with a bare relay in Python, and with no gateway."""
    console = Console()
    out = out or (None if quick else DOCS)
    profile = QUICK if quick else FULL
    profile = replace(
        profile,
        rounds=rounds or profile.rounds,
        streams=streams or profile.streams,
        stream_seconds=seconds or profile.stream_seconds,
    )
    end_in_order_at_sigterm()
    try:
        record = measure(profile, with_elapsed_time(console))
    except StartError as error:
        raise click.ClickException(str(error)) from error
    console.print()
    report.print_table(record, console)
    if out is not None:
        write(record, out)
        console.print(f"\nWritten: performance.json, .md and .svg in {out}")


def measure(profile: Profile, say: Callable[[str], None]) -> Record:
    """Everything, each target in turn. Raises StartError."""
    open_as_many_files_as_may_be()
    cores = Cores.of(sorted(os.sched_getaffinity(0)))
    record = Record(machine(), {"tool": plain.tool(), "pinned": _pinning(cores), **asdict(profile)})
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gguf-bench-")))
        direct = stack.enter_context(targets.backend(folder, cores.backend))
        driven = [direct]
        if targets.has_nginx():
            driven.append(stack.enter_context(targets.nginx(folder, direct, cores.measured)))
        else:
            say("nginx is not installed (apt-get install nginx): continuing without a comparison")
        driven.append(stack.enter_context(targets.bare_relay(folder, direct, cores.measured)))
        home = targets.GatewayHome(folder, direct)
        home.configure()
        bench = Bench(profile, record, folder, cores, say)
        _measure_alone(bench, home, direct)
        _measure_in_turn(bench, home, driven)
        bench.workers(home)
    return record


def _measure_alone(bench: Bench, home: GatewayHome, direct: Target) -> None:
    def gateway() -> AbstractContextManager[Target]:
        return home.gateway(bench.cores.measured)

    def nginx() -> AbstractContextManager[Target]:
        return targets.nginx(bench.folder, direct, bench.cores.measured)

    bench.starts(lambda: home.gateway(None))
    bench.idle(gateway)
    if targets.has_nginx():
        bench.starts(lambda: targets.nginx(bench.folder, direct, None))
        bench.idle(nginx)
    bench.imports(home.environ)
    home.configure(in_yaml=True)
    bench.idle(gateway, "_yaml")
    home.configure()


def _measure_neighbours(bench: Bench, home: GatewayHome, direct: Target) -> None:
    """In processes that have served nobody else: memory that is there already would hide what a client costs."""
    if targets.has_nginx():
        with targets.nginx(bench.folder, direct, bench.cores.measured) as nginx:
            bench.neighbours(nginx)
    with home.gateway(bench.cores.measured) as gateway:
        bench.neighbours(gateway)


def _measure_in_turn(bench: Bench, home: GatewayHome, others: list[Target]) -> None:
    with home.gateway(bench.cores.measured) as gateway:
        for number in range(bench.profile.rounds):
            bench.say(f"round {number + 1} of {bench.profile.rounds}")
            for target in (*others, gateway):
                bench.latencies(target)
                bench.delays(target)
            bench.requests((*others, gateway))
            bench.odd_requests((*others[1:], gateway))
            bench.events((*others[1:], gateway))
    with home.gateway(bench.cores.measured) as gateway:  # a new one: no memory that others have grown
        for target in (*others, gateway):
            bench.many_streams(target)
    _measure_neighbours(bench, home, others[0])


def write(record: Record, folder: Path) -> None:
    """JSON, page and picture."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "performance.json"
    records = put_first(record, load(kept.read_text(encoding="utf-8")) if kept.exists() else [])
    kept.write_text(dump(records), encoding="utf-8")
    (folder / "performance.md").write_text(report.page(records, scaling.section(folder)), encoding="utf-8")
    (folder / "performance.svg").write_text(report.picture(record), encoding="utf-8")


def rewrite_page(folder: Path) -> None:
    """The page anew, from what is in the folder: `make bench-scale` or `make bench-changes` has measured."""
    kept = folder / "performance.json"
    if kept.exists():
        page = report.page(load(kept.read_text(encoding="utf-8")), scaling.section(folder))
        (folder / "performance.md").write_text(page, encoding="utf-8")


def _pinning(cores: Cores) -> str:
    if cores.measured is None:
        return "Nothing is pinned: there is one core only."
    return (
        f"With `taskset`, what is measured is kept on core {cores.measured}, the load on core {cores.load} and the "
        f"backend on core {cores.backend}; the runs with workers are not pinned."
    )


if __name__ == "__main__":
    main()
