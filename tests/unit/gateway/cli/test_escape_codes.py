"""Colours of the command line: on a terminal that wants them, and nowhere else."""

from pathlib import Path

import pytest

from tests.harness.processes.commands import NO_WISHES, CommandProcess, on_a_terminal

pytestmark = pytest.mark.slow  # each command is a process: `make test-tools` runs them

LISTS = ("keys", "accounts", "deployments")


@pytest.fixture
def filled(command: CommandProcess) -> CommandProcess:
    account = ("--account", "acme", "--create-account")
    command.says("keys", "create", *account, "--name", "laptop")
    command.says("deployments", "add", "demo", *account, "--upstream", "http://h:1")
    return command


def test_a_terminal_gets_colours_unless_it_says_no(filled: CommandProcess, tmp_path: Path) -> None:
    keys = ("keys", "list", *filled.place)
    assert "\x1b[32mvalid" in on_a_terminal(*keys)
    for refusal in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}):
        shown = on_a_terminal(*keys, **refusal)
        assert "\x1b" not in shown
        assert shown.split()[:3] == ["ID", "NAME", "ACCOUNT"]


@pytest.mark.parametrize("what", LISTS)
def test_a_pipe_gets_no_colours_whatever_is_forced(what: str, filled: CommandProcess) -> None:
    done = filled(what, "list", **{**NO_WISHES, "FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TTY_COMPATIBLE": "1"})
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stdout.splitlines()[1].split()[0] in {"acme", "demo"} or "laptop" in done.stdout


def test_mistakes_are_said_without_colours_too(filled: CommandProcess) -> None:
    for arguments in (("keys", "revoke", "key_0"), ("deployments", "set", "demo"), ("keys", "create")):
        done = filled(*arguments, FORCE_COLOR="1")
        assert done.returncode in {1, 2}
        assert "\x1b" not in done.stderr
