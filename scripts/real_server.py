"""`make real`: a real llama-server and a small model, in a cache outside the repository.

Compiled once, in 20 to 40 minutes on two cores. Until all is there, nothing is: Ctrl-C leaves no half of it.
"""

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from gateway.cli.sandbox.mock_process import SandboxError
from gateway.cli.sandbox.real_server import MODEL, PACKAGE, VERSION, find_real_server, real_folder, server_folder
from scripts.building import compiling
from scripts.building.compiling import check_compiler, compile_server
from scripts.building.errors import BuildError
from scripts.building.model import fetch_model
from scripts.command.own_process import end_in_order_at_sigterm

_STEP = 5  # percent from one plain line to the next
_DRAFTS = "making-"


@click.command()
@click.option("--version", default=VERSION, show_default=True, help=f"Of {PACKAGE} on PyPI: a build of llama.cpp.")
@click.option("--jobs", type=click.IntRange(min=1), default=os.cpu_count() or 1, help="Compilers at a time.")
def main(version: str, jobs: int) -> None:
    """Build it, unless it is there."""
    end_in_order_at_sigterm()
    try:
        _bring(version, jobs)
        real = find_real_server(version)
    except (BuildError, SandboxError) as error:
        sys.exit(f"make real: {error}")
    except OSError as error:
        sys.exit(f"make real: {error.filename}: {error.strerror}.")
    except KeyboardInterrupt:
        print("\nmake real: stopped. Nothing is kept of what was not whole.", file=sys.stderr)
        sys.exit(130)
    print(f"A real llama-server ({PACKAGE} {version}): {real.binary}\nIts model: {real.model}")


def _bring(version: str, jobs: int) -> None:
    model = real_folder() / MODEL
    if model.exists() and server_folder(version).exists():
        return
    with _alone(), _scratch() as scratch:
        if not model.exists():
            print(f"Downloading {MODEL} (93 MB) ...", flush=True)
            fetch_model(scratch)
        if not server_folder(version).exists():
            check_compiler()
            print(f"Compiling {PACKAGE} {version}, {jobs} files at a time; 20 to 40 minutes on two cores.", flush=True)
            with _progress() as told:
                compile_server(version, scratch, jobs, told)


@contextmanager
def _alone() -> Iterator[None]:
    """One at a time; what a killed one has left is removed."""
    real_folder().mkdir(parents=True, exist_ok=True)
    with (real_folder() / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BuildError("another one is at work.") from None
        for left in real_folder().glob(f"{_DRAFTS}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=_DRAFTS, dir=real_folder(), ignore_cleanup_errors=True) as scratch:
        yield Path(scratch)


@contextmanager
def _progress() -> Iterator[compiling.Progress]:
    """A bar on a terminal; elsewhere a line for every few percent."""
    console = Console()
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Compiling", total=100)
        said = 0

        def told(percent: int) -> None:
            nonlocal said
            bar.update(task, completed=percent)
            if not console.is_terminal and percent >= said + _STEP:
                said = percent
                print(f"{percent} %", flush=True)

        yield told


if __name__ == "__main__":
    main()
