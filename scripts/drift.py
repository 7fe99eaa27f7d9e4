"""`make drift`: the mock beside the real llama-server, asked the same thousand things; what differs, by its cause.

Then llama.cpp's own tests on the real one.
Writes docs/reference/drift.md. Exit status 0, whatever differs: it measures, and judges nothing.
"""

import datetime
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.cli.sandbox.mock_process import SandboxError
from gateway.cli.sandbox.real_server import PACKAGE, VERSION, RealServer, find_real_server
from scripts.command.own_process import end_in_order_at_sigterm
from scripts.conforming.counting import count_real
from scripts.conforming.suite import SuiteError
from scripts.drifting.exchange import Request
from scripts.drifting.generating.generator import requests
from scripts.drifting.playing import Pair, Tally
from scripts.drifting.report import PAGE, share, tests_told, written
from scripts.drifting.servers import BRIEF, MODES, ServerError, mock_command, real_command, serving
from scripts.record_wire import RECORDINGS, request_of

_MINIMISED_SECONDS = 180.0  # in each mode
_EVERY = 100  # requests from one plain line to the next, where there is no bar


@click.command()
@click.option("--version", default=VERSION, show_default=True, help="The build that `make real` made.")
@click.option("--seed", default=1, show_default=True, help="Another one makes other requests.")
@click.option("--count", type=click.IntRange(min=1), default=1000, show_default=True, help="Requests in each mode.")
@click.option("--mode", "modes", multiple=True, type=click.Choice(list(MODES)), help="Only this one; may be repeated.")
@click.option("--model", type=click.Path(exists=True, path_type=Path), help="A smaller model, which is quicker.")
@click.option("--minutes", default=40.0, show_default=True, help="End by then, whatever is left.")
@click.option("--conformance/--no-conformance", default=True, help="Run llama.cpp's own tests, too.")
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True, help="Of these tests at a time.")
@click.option("--dry", is_flag=True, help="Print the page instead of writing it.")
def main(
    version: str,
    seed: int,
    count: int,
    *,
    modes: tuple[str, ...],
    model: Path | None,
    minutes: float,
    conformance: bool,
    workers: int,
    dry: bool,
) -> None:
    """Compare the mock with the real server in each mode."""
    end_in_order_at_sigterm()
    tally, deadline, tests = Tally(), time.monotonic() + 60 * minutes, ""
    today = datetime.datetime.now(datetime.UTC).date()
    try:
        real = find_real_server(version)
        real = RealServer(real.binary, model or real.model)
        for mode in modes or MODES:
            _play(mode, real, [*_recorded(mode), *requests(seed, count, mode)], tally, deadline)
            print(f"{mode}: {share(tally, mode)}", flush=True)
        servers = f"{PACKAGE} {version} and {real.model.name}"
        if conformance:
            tests = tests_told(count_real(real, workers), f"Run on {today} with {servers}.")
    except (SandboxError, ServerError, SuiteError) as error:
        sys.exit(f"drift: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    about = f"Measured on {today} with {servers}:\nseed {seed}, {count:,} made requests in each mode."
    page = written(tally, about, tests)
    if dry:
        print(page)
    else:
        PAGE.write_text(page, encoding="utf-8")
        print(f"{len(tally.causes)} causes: {PAGE}")


def _play(mode: str, real: RealServer, asked: list[Request], tally: Tally, deadline: float) -> None:
    with (
        tempfile.TemporaryDirectory() as scratch,
        serving(real_command(real, (*MODES[mode], *BRIEF)), Path(scratch) / "real.log") as real_url,
        serving(mock_command((*MODES[mode], *BRIEF)), Path(scratch) / "mock.log") as mock_url,
        _progress() as progress,
    ):
        pair = Pair(mode, real_url, mock_url)
        bar = progress.add_task(f"Asked in mode {mode}", total=len(asked))

        def told() -> None:
            progress.advance(bar)
            done = tally.asked[mode].total()
            if progress.disable and done % _EVERY == 0:
                print(f"{mode}: {done} of {len(asked)}, {tally.alike[mode].total()} alike", flush=True)

        pair.play(asked, tally, told, deadline)
        progress.update(bar, description=f"The smallest requests of mode {mode}", total=None)
        pair.minimise(tally, min(deadline, time.monotonic() + _MINIMISED_SECONDS))


def _recorded(mode: str) -> Iterator[Request]:
    """The requests that were recorded of a server in this mode."""
    for exchange in json.loads((RECORDINGS / f"{mode}.json").read_text()):
        request = request_of(exchange)
        yield Request("recorded", request.method, request.path, request.headers, request.body)


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


if __name__ == "__main__":
    main()
