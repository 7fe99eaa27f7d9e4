"""What the command line prints where printing is hard: full disks, closed pipes, terminals of any width."""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.config.settings import json_schema
from tests.harness.patience import PATIENCE
from tests.harness.processes.commands import Run, create, on_a_terminal, read
from tests.harness.storage.config_files import GOOD

pytestmark = pytest.mark.slow


def process(*arguments: str, stdout: Any, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


@contextmanager
def full() -> Iterator[int]:
    """A device on which no space is left."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    device = os.open("/dev/full", os.O_WRONLY)
    yield device
    os.close(device)


@contextmanager
def left() -> Iterator[int]:
    """A pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.parametrize(("unwritable", "as_json"), [(full, ()), (left, ("--json",))])
def test_a_key_that_could_not_be_printed_is_revoked_again(
    unwritable: Callable[[], AbstractContextManager[int]], as_json: tuple[str, ...], run: Run, tmp_path: Path
) -> None:
    old, database = create(run)["id"], str(tmp_path / "gateway.db")
    for command in (["create", "--account", "acme", "--name", "new"], ["rotate", old]):
        with unwritable() as stdout:
            done = process("keys", *command, "--database", database, *as_json, stdout=stdout)
        assert done.returncode == 1
        key = read(run("keys", "list", "--database", "DB", "--json"))[-1]
        assert key["state"] == "revoked"
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith("Standard output cannot be written: ")
        called = f"Key {key['id']} ({key['name']}) of account acme"
        assert f"{called} was shown to nobody and is revoked again." in done.stderr
    assert f"The old one, {old}, works until" in done.stderr


@pytest.mark.slow
def test_a_token_or_link_that_could_not_be_printed_is_taken_back(run: Run, tmp_path: Path) -> None:
    run("accounts", "add", "acme", "--database", "DB")
    made = {"tokens": ("create", "--name", "ci", "--scope", "*"), "people": ("invite", "--admin", "--name", "ada")}
    said = {}
    for group, command in made.items():
        with full() as stdout:
            done = process(group, *command, "--database", str(tmp_path / "gateway.db"), stdout=stdout)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        said[group] = done.stderr
    [token] = read(run("tokens", "list", "--database", "DB", "--json"))
    assert token["state"] == "revoked"
    assert f"Token {token['id']} (ci) was shown to nobody and is revoked again." in said["tokens"]
    assert read(run("invitations", "list", "--database", "DB", "--json")) == []
    assert "The invitation of ada (admin) was shown to nobody and is removed again." in said["people"]


@pytest.mark.parametrize("command", [("schema",), ("contract",), ("contract", "--json")])
def test_a_full_disk_is_said_in_one_line(command: tuple[str, ...]) -> None:
    with full() as stdout:
        done = process(*command, stdout=stdout)
    said = "Standard output cannot be written: no space left on device.\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_who_reads_only_a_part_is_told_nothing() -> None:
    with left() as stdout:
        done = process("schema", stdout=stdout)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_closed_standard_output_is_said_in_one_line() -> None:
    shell = f"{sys.executable} -m gateway schema >&-"
    done = subprocess.run(["/bin/sh", "-c", shell], stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "Standard output cannot be written: it is closed.\n")


def test_what_the_encoding_cannot_say_is_replaced_and_in_json_escaped() -> None:
    table = process("contract", stdout=subprocess.PIPE, PYTHONIOENCODING="latin-1")
    assert (table.returncode, table.stderr) == (0, "")
    assert "?" in table.stdout
    said = process("schema", stdout=subprocess.PIPE, PYTHONIOENCODING="latin-1")
    assert json.loads(said.stdout) == json_schema()


_AS_NOBODY = """
import os, sys  # imported first: the code may be hidden from that user, too
from gateway.cli import check, main, serve, serving
from gateway.cli.registry import deployments, import_command, keys
from gateway.registry import start_configuration
from gateway.registry.database import database_registry
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    "command",
    [["check", "--config"], ["serve", "--config"], ["keys", "list", "--config"], ["import", "--database", "x.db"]],
    ids=lambda command: command[0],
)
def test_a_configuration_that_may_not_be_read_is_one_line_no_usage_error(command: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:  # `tmp_path` is closed to other users
        Path(folder).chmod(0o755)
        path = Path(folder, "gateway.yaml")
        path.write_text(GOOD)
        path.chmod(0)
        done = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, *command, str(path)], capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (1, f"{path}: cannot be read: permission denied\n")


def test_the_command_works_in_bare_surroundings(tmp_path: Path) -> None:
    """As in a container: no HOME, no terminal, the C locale, assertions and docstrings stripped, a closed stdin."""
    done = subprocess.run(
        [
            sys.executable,
            "-OO",
            "-m",
            "gateway",
            "keys",
            "create",
            *("--database", "x.db", "--account", "a", "--create-account", "--name", "ü"),
        ],
        env={"PATH": os.environ["PATH"], "LANG": "C"},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("gw_")


def test_on_a_terminal_the_table_is_coloured_and_in_a_pipe_it_is_plain(run: Run, tmp_path: Path) -> None:
    create(run, "[red]")
    shown = on_a_terminal("keys", "list", "--database", str(tmp_path / "gateway.db"), COLUMNS="120")
    assert "\x1b[32mvalid" in shown
    assert "[red]" in shown
    assert "\x1b" not in run("keys", "list", "--database", "DB").output


def test_a_closed_pipe_is_no_traceback(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "schema"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert "Traceback" not in done.stderr


def test_a_sandbox_whose_port_is_taken_says_how_to_choose_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "gateway", "sandbox", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: Port {port} on 127.0.0.1 is taken.")
    assert done.stderr.endswith("with --port. With make, that is: make run PORT=8081\n")


def lines_on_a_terminal(columns: int, *arguments: str) -> list[str]:
    """The lines that a command shows on a terminal so wide, without their colours."""
    shown = on_a_terminal(*arguments, COLUMNS=str(columns))
    return [line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", shown).splitlines()]


@pytest.mark.parametrize("columns", [30, 60, 80, 200])
def test_on_a_terminal_of_any_width_no_id_time_or_heading_is_broken(run: Run, tmp_path: Path, columns: int) -> None:
    key = create(run)
    successor = read(run("keys", "rotate", key["id"], "--database", "DB", "--json"))
    lines = lines_on_a_terminal(columns, "keys", "list", "--database", str(tmp_path / "gateway.db"))
    assert all(len(line) <= columns or columns < 40 for line in lines)
    assert len(lines) == (3 if columns >= 80 else 11 + lines.count(""))
    words = "\n".join(lines)
    for word in (key["id"], successor["id"], "SUCCESSOR OF", "EXPIRES", "laptop", "never"):
        assert word in words
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", words)


def test_on_a_terminal_long_cells_are_folded_and_others_not() -> None:
    lines = lines_on_a_terminal(80, "contract")
    assert all(len(line) <= 80 for line in lines)
    assert any(line.startswith("503") and "overloaded_error" in line for line in lines)
