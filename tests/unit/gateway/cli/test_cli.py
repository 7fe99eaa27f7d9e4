"""The command line as a whole: its help, where it finds its registry, how it fails."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from gateway import __version__
from gateway.cli import main
from tests.harness.processes.commands import Run, add, create, read
from tests.harness.storage.config_files import GOOD


def test_help_lists_every_command_without_importing_any() -> None:
    script = "import sys\nfrom gateway.cli import main\nmain(['--help'], standalone_mode=False)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    for name in ("serve", "sandbox", "check", "accounts", "keys", "deployments", "import", "hash-key", "schema"):
        assert re.search(rf"^  {name} ", done.stdout, re.MULTILINE)
    modules = done.stdout.splitlines()[-1].split()
    assert not {"aiohttp", "sqlalchemy", "alembic", "pydantic", "rich", "yaml"} & set(modules)


@pytest.mark.parametrize("name", ["serve", "check", "accounts", "keys", "deployments", "import", "hash-key", "schema"])
def test_every_command_has_help(name: str, run: Run) -> None:
    assert run(name, "--help").output.startswith(f"Usage: main {name}")


def test_help_says_what_an_upstream_may_be_and_when_keys_end(run: Run) -> None:
    def said(*command: str) -> str:
        return " ".join(run(*command, "--help").output.split())

    assert "http[s]://host[:port] or unix:/path" in said("deployments", "add")
    assert "like 2027-01-01T00:00:00Z; never by default" in said("keys", "create")
    assert "never by default" not in said("keys", "rotate")
    assert "by default it gets the old one's lifetime" in said("keys", "rotate")


def test_the_version_is_that_of_the_package(run: Run) -> None:
    assert __version__ in run("--version").output


def test_a_command_that_is_none_is_a_usage_error(run: Run) -> None:
    assert run("key").exit_code == 2


def test_ctrl_c_interrupts_a_command_that_tidies_up_and_kills_any_other() -> None:
    before = signal.getsignal(signal.SIGINT)
    context = click.Context(main)
    try:
        for name, handler in (("serve", signal.SIG_DFL), ("keys", signal.default_int_handler)):
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # as gateway/__main__.py does
            main.get_command(context, name)
            assert signal.getsignal(signal.SIGINT) is handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        main.get_command(context, "keys")
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_L6_no_command_writes_the_configuration(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(GOOD)
    config.chmod(0o400)
    before = config.stat()
    for command in (
        ("check", "--config", str(config)),
        ("keys", "list", "--config", str(config)),
        ("keys", "create", "--config", str(config), "--account", "acme", "--name", "new"),
        ("keys", "revoke", "--config", str(config), "acme/laptop"),
        ("deployments", "add", "--config", str(config), "new", "--account", "acme", "--upstream", "http://h:1"),
        ("deployments", "set", "--config", str(config), "demo", "--ping", "5"),
        ("accounts", "add", "--config", str(config), "new"),
        ("accounts", "remove", "--config", str(config), "acme"),
        ("deployments", "pause", "--config", str(config), "demo"),
        ("deployments", "remove", "--config", str(config), "demo"),
        ("import", str(config), "--database", "DB"),
    ):
        run(*command)
        after = config.stat()
        assert (after.st_ino, after.st_mtime_ns, after.st_ctime_ns) == (
            before.st_ino,
            before.st_mtime_ns,
            before.st_ctime_ns,
        ), command
    assert config.read_text() == GOOD


@pytest.mark.slow
@pytest.mark.parametrize("what", ["key", "deployment"])
def test_an_empty_list_tells_an_empty_account_from_an_unknown_one(what: str, run: Run) -> None:
    add(run)
    create(run)
    place = ("--database", "DB", "--create-account", "--account")
    run("keys", "create", *place, "keys-only", "--name", "x")
    run("deployments", "add", "x", *place, "deployments-only", "--upstream", "http://h:1")
    listing = (f"{what}s", "list", "--database", "DB", "--account")
    other = "keys-only" if what == "deployment" else "deployments-only"
    assert run(*listing, other).stderr == f"Account '{other}' has no {what}.\n"
    assert run(*listing, "nobody").stderr == "There is no account 'nobody'.\n"
    assert run(*listing, other.replace("only", "olny")).stderr.endswith(f"; did you mean `{other}`?\n")


def test_a_database_may_be_named_by_the_configuration_wherever_one_stands(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text("database: sqlite+aiosqlite:///gateway.db")
    account = ("--account", "acme", "--create-account")
    made = read(run("keys", "create", "--config", str(config), *account, "--name", "x", "--json"))
    assert (tmp_path / "gateway.db").is_file()
    listed = read(run("keys", "list", "--json", env={"GGUF_GATEWAY_CONFIG": str(config)}))
    assert [key["id"] for key in listed] == [made["id"]]


def test_an_argument_goes_before_the_environment(run: Run, config: Path) -> None:
    create(run)
    listed = read(run("keys", "list", "--database", "DB", "--json", env={"GGUF_GATEWAY_CONFIG": str(config)}))
    assert [key["name"] for key in listed] == ["laptop"]
    assert listed[0]["id"].startswith("key_")


def test_one_registry_must_be_named_and_only_one(run: Run, config: Path) -> None:
    nothing = run("keys", "list", env={"GGUF_GATEWAY_CONFIG": "", "GGUF_GATEWAY_DATABASE": ""})
    both = run("keys", "list", "--config", str(config), "--database", "DB")
    assert (nothing.exit_code, both.exit_code) == (2, 2)
    assert "--config FILE or --database FILE" in nothing.stderr


def test_accounts_in_the_file_are_listed_but_not_changed(run: Run, config: Path) -> None:
    assert [key["id"] for key in read(run("keys", "list", "--config", str(config), "--json"))] == ["acme/laptop"]
    assert [one["id"] for one in read(run("deployments", "list", "--config", str(config), "--json"))] == ["demo"]
    before = config.read_text()
    for arguments in (
        ["keys", "create", "--account", "a", "--name", "n"],
        ["keys", "revoke", "acme/laptop"],
        ["keys", "rotate", "acme/laptop"],
        ["deployments", "set", "demo", "--ping", "5"],
        ["deployments", "pause", "demo"],
        ["deployments", "remove", "demo"],
    ):
        result = run(*arguments, "--config", str(config))
        assert result.exit_code == 1
        assert re.fullmatch(r".* holds its accounts itself: edit it .* gguf-gateway import .*\n", result.stderr)
    assert config.read_text() == before


NEW = ("--account", "a", "--create-account")
FAILURES = [
    (["keys", "list", "--database", "DB"], "there is no such database"),
    (["keys", "revoke", "x", "--database", "DB"], "there is no such database"),
    (["deployments", "pause", "x", "--database", "DB"], "there is no such database"),
    (["keys", "list", "--database", "/"], "is not a file"),
    (["keys", "list", "--database", os.devnull], "is not a file"),
    (["keys", "list", "--database", "sqlite+aiosqlite:///x.db?mode=ro&key=CANARY"], "parameters (`?...`) are not"),
    (["keys", "list", "--database", "nosuchdb://u:CANARY@h/d"], "this kind of database is unknown"),
    (["keys", "list", "--config", "/nowhere.yaml"], "cannot be read: no such file or directory"),
    (["check", "--config", "/"], "is not a file"),
    (["keys", "create", "--database", "/proc/x.db", *NEW, "--name", "n"], "/proc/x.db"),
    (["keys", "create", "--database", "/nowhere/x.db", *NEW, "--name", "n"], "its folder does not exist"),
    (["keys", "create", "--database", "DB", *NEW, "--account", "a b", "--name", "n"], "Invalid account"),
    (["keys", "create", "--database", "DB", *NEW, "--name", "\x1b[31m"], "Invalid name"),
    (["keys", "create", "--database", "DB", *NEW, "--name", "\udcff"], "Invalid name"),
    (["import", "/nowhere.yaml", "--database", "DB"], "cannot be read: no such file or directory"),
]


@pytest.mark.parametrize(("arguments", "said"), FAILURES)
def test_a_failure_is_one_line_and_no_traceback(arguments: list[str], said: str, run: Run) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "CANARY" not in result.stderr


def test_an_empty_file_is_said_to_be_one_and_the_named_command_fills_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "gateway.db").touch()
    result = run("keys", "list", "--database", "DB")
    assert result.exit_code == 1
    assert "gateway.db: holds nothing yet; `gguf-gateway accounts add NAME --database FILE`" in result.stderr
    assert run("accounts", "add", "acme", "--database", "DB").exit_code == 0
    assert run("keys", "list", "--database", "DB").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["keys", "create", "--database", "DB", "--account", "a"],
        ["keys", "create", "--database", "DB", "--account", "a", "--name", "n", "--expires-at", "tomorrow"],
        ["keys", "create", "--database", "DB", "--account", "a", "--name", "n", "--expires-at", "2027-01-01"],
        ["deployments", "add", "x", "--database", "DB", "--account", "a", "--upstream", "http://h", "--status", "up"],
        ["deployments", "add", "x", "--database", "DB", "--account", "a", "--upstream", "http://h", "--connect", "x"],
    ],
)
def test_an_argument_that_is_wrong_in_itself_is_a_usage_error(arguments: list[str], run: Run) -> None:
    assert run(*arguments).exit_code == 2


def test_no_option_takes_a_secret() -> None:
    named = {"key", "secret", "token", "password", "upstream-key"}
    options: list[str] = []

    def walk(command: Any) -> None:
        options.extend(option.lstrip("-") for parameter in command.params for option in parameter.opts)
        for name in getattr(command, "commands", {}):
            walk(command.commands[name])

    for name in ("check", "accounts", "keys", "deployments", "import", "hash-key", "schema"):
        walk(main.get_command(None, name))  # type: ignore[arg-type]
    assert "upstream-key-env" in options
    assert not named & set(options)
