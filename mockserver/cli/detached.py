"""`mock-llama-server --detach`: the mock as a process of its own, which goes on when the command has returned."""

import subprocess
import sys
from collections.abc import Sequence

import click

_LISTENS = "main: server is listening on "


def start(arguments: Sequence[str]) -> int:
    """Start it with these arguments, and pass on what it says until it listens. Returns the exit code.

    From then on nobody reads what it says, and no pipe of ours is held open: whoever waits for our output to end, as
    CI runners do, does not wait for it.
    """
    command = [sys.executable, "-m", "mockserver", *arguments]
    process = subprocess.Popen(  # noqa: S603  our own program
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # a Ctrl-C in the terminal is not meant for it
    )
    for line in process.stdout or ():
        click.echo(line, nl=False)
        if line.startswith(_LISTENS):
            click.echo(f"main: goes on in the background; kill {process.pid} ends it")
            process.returncode = 0  # it is not ours to wait for, and Python need not warn of it
            return 0
    return process.wait() or 1
