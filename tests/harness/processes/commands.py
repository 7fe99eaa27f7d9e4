"""What the tests of the command line share: how to run one, and how to read what a command prints."""

import json
from collections.abc import Callable
from typing import Any

from click.testing import Result

Run = Callable[..., Result]


def read(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def create(run: Run, name: str = "laptop") -> dict[str, Any]:
    made: dict[str, str] = read(
        run("keys", "create", "--database", "DB", "--account", "acme", "--name", name, "--json")
    )
    return made


def add(run: Run, *more: str, stdin: str = "", env: dict[str, str] | None = None) -> Result:
    arguments = ("deployments", "add", "demo", "--database", "DB", "--account", "acme", "--upstream", "http://h:1")
    return run(*arguments, *more, stdin=stdin, env=env)


def shown(run: Run) -> dict[str, Any]:
    listed: list[dict[str, Any]] = read(run("deployments", "list", "--database", "DB", "--json"))
    return listed[0]
