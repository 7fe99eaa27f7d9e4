"""What the tests of the command line share: how to run one, and how to read what a command prints."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import Result

from tests.harness.processes.fork_server import fork_server

Run = Callable[..., Result]

# An environment that asks neither for colours nor for none.
NO_WISHES = {"NO_COLOR": "", "FORCE_COLOR": "", "TERM": "xterm"}


def read(result: Result) -> Any:
    """The JSON that a command printed, which must have succeeded."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def create(run: Run, name: str = "laptop") -> dict[str, Any]:
    """Make a key of acme, and acme if need be; the key as JSON, its text in it."""
    made: dict[str, str] = read(
        run("keys", "create", "--database", "DB", "--account", "acme", "--create-account", "--name", name, "--json")
    )
    return made


def add(run: Run, *more: str, stdin: str = "", env: dict[str, str] | None = None) -> Result:
    """Add the deployment demo with further options."""
    place = ("--database", "DB", "--account", "acme", "--create-account")
    return run("deployments", "add", "demo", *place, "--upstream", "http://h:1", *more, stdin=stdin, env=env)


def shown(run: Run) -> dict[str, Any]:
    """The first deployment in the list, as JSON."""
    listed: list[dict[str, Any]] = read(run("deployments", "list", "--database", "DB", "--json"))
    return listed[0]


def on_a_terminal(*arguments: str, **environ: str) -> str:
    """What a command that succeeds shows on a terminal."""
    ours, theirs = pty.openpty()
    command = (sys.executable, "-m", "gateway", *arguments)
    subprocess.run(command, stdout=theirs, stderr=theirs, env={**os.environ, **NO_WISHES, **environ}, check=True)
    os.close(theirs)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)
    return shown


class CommandProcess:
    """`gguf-gateway` on one database, each command a process of its own."""

    def __init__(self, database: Path) -> None:
        self.place: tuple[str, ...] = ("--database", str(database))

    def __call__(self, *arguments: str, stdin: str = "", **environ: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end. No failure of it is a traceback."""
        done = fork_server().run((*arguments, *self.place), stdin=stdin, environ=environ)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def says(self, *arguments: str, stdin: str = "") -> str:
        """What a command that succeeds prints."""
        done = self(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def reads(self, *arguments: str) -> Any:
        """The JSON that a command prints."""
        return json.loads(self.says(*arguments, "--json"))

    def refuses(self, *arguments: str, stdin: str = "") -> str:
        """The one line in which a command says why it changes nothing."""
        done = self(*arguments, stdin=stdin)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done
        return done.stderr.rstrip("\n")
