"""Commands on files that are something else: each says so in one line, and leaves the file as it is."""

from pathlib import Path

import pytest

from tests.harness.processes.commands import CommandProcess

pytestmark = pytest.mark.slow  # each command is a process: `make test-tools` runs them

COMMANDS = {
    "accounts add": ("accounts", "add", "acme"),
    "accounts list": ("accounts", "list"),
    "keys create": ("keys", "create", "--account", "acme", "--name", "laptop"),
    "keys list": ("keys", "list"),
    "keys revoke": ("keys", "revoke", "key_0"),
    "deployments list": ("deployments", "list"),
    "deployments set": ("deployments", "set", "demo", "--ping", "5"),
    "deployments remove": ("deployments", "remove", "demo"),
    "check": ("check",),
}
COMPOSE = """\
x-base: &base {restart: always, image: "${IMAGE}"}
services:
  web: {<<: *base, ports: ["80:80"]}
  db: {image: postgres}
volumes: {data: {}}
"""
NO_GATEWAY = "1: this is no gateway configuration: it has neither `accounts` nor `database`"
FOREIGN = {
    "a composition of containers": (COMPOSE, NO_GATEWAY),
    "somebody's settings": ("a: 1\nb: 2\nc: {d: [1]}\n", NO_GATEWAY),
    "a package": ('{"name": "x", "version": "1"}', NO_GATEWAY),
    "a note": ("Buy milk.\n", "1: the file must be a mapping, with lines like `server:`"),
    "a list": ("- a\n- b\n", "1: the file must be a mapping, with lines like `server:`"),
    "nothing": ("", "1: the file is empty; it needs `database`, or `accounts` with keys"),
    "a page": ("# Title\n\nSome *words*: and [more](x): of\n them\n", "not valid YAML"),
}


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_every_command_says_in_one_line_that_a_file_is_no_configuration(
    arguments: tuple[str, ...], command: CommandProcess, tmp_path: Path
) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text(COMPOSE)
    command.place = ("--config", str(path))
    assert command.refuses(*arguments).startswith(f"{path}:{NO_GATEWAY}")
    assert path.read_text() == COMPOSE
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("text", "said"), FOREIGN.values(), ids=FOREIGN)
def test_whatever_else_a_file_is_takes_one_line(text: str, said: str, command: CommandProcess, tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(text)
    command.place = ("--config", str(path))
    assert said in command.refuses("keys", "list")


def test_a_configuration_with_slips_in_all_its_sections_is_still_one(command: CommandProcess, tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("acounts: {}\ndeploymnts: {}\n")
    command.place = ("--config", str(path))
    said = command("keys", "list").stderr.splitlines()
    assert any("acounts: unknown setting; did you mean `accounts`?" in line for line in said)
    assert any("deploymnts: unknown setting; did you mean `deployments`?" in line for line in said)


def test_a_database_in_the_place_of_a_configuration_is_told_its_own(command: CommandProcess, tmp_path: Path) -> None:
    command.says("accounts", "add", "acme")
    database = command.place[1]
    command.place = ("--config", database)
    said = f"{database}: is an SQLite database, no configuration; commands take it as --database {database}"
    assert command.refuses("keys", "list") == said
    config = tmp_path / "gateway.yaml"
    config.write_text("database: gateway.db\n")
    command.place = ("--database", str(config))
    for arguments in (("keys", "list"), ("accounts", "add", "acme"), ("deployments", "pause", "demo")):
        assert command.refuses(*arguments) == (
            f"{config}: is not an SQLite database; left unchanged (a configuration is named by --config)"
        )
