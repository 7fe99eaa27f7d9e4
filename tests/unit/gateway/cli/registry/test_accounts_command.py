"""`gguf-gateway accounts`: how an account comes to be, never by a slip of the pen, and how it goes."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.harness.processes.commands import CommandProcess
from tests.harness.storage.config_files import GOOD

pytestmark = pytest.mark.slow  # each command is a process: `make test-tools` runs them

CREATE = ("keys", "create", "--name", "laptop", "--account")
ADD = ("deployments", "add", "demo", "--upstream", "http://127.0.0.1:1", "--account")


@pytest.mark.parametrize("owned", [CREATE, ADD], ids=["key", "deployment"])
def test_no_account_is_made_by_a_slip_of_the_pen(owned: tuple[str, ...], command: CommandProcess) -> None:
    assert command.says("accounts", "add", "team") == "Account team is added.\n"
    assert command.refuses(*owned, "taem") == (
        "There is no account 'taem'; did you mean `team`? "
        "`gguf-gateway accounts add taem`, or --create-account, makes a new one."
    )
    assert command.refuses(*owned, "zzz").startswith("There is no account 'zzz'. `gguf-gateway accounts add zzz`")
    assert [one["id"] for one in command.reads("accounts", "list")] == ["team"]
    assert command(*owned, "taem", "--create-account").returncode == 0
    assert [one["id"] for one in command.reads("accounts", "list")] == ["taem", "team"]


@pytest.mark.parametrize("owned", [CREATE, ADD], ids=["key", "deployment"])
def test_no_database_is_left_behind_by_a_command_that_fails(
    owned: tuple[str, ...], command: CommandProcess, tmp_path: Path
) -> None:
    assert "there is no such database; `gguf-gateway accounts add NAME" in command.refuses(*owned, "team")
    assert list(tmp_path.iterdir()) == []
    assert command(*owned, "team", "--create-account").returncode == 0


def test_the_list_counts_what_an_account_owns_and_still_has(command: CommandProcess) -> None:
    assert command("accounts", "add", "empty").returncode == 0
    command.says(*ADD, "team", "--create-account")
    key = command.reads(*CREATE, "team")["id"]
    command.says("keys", "create", "--name", "phone", "--account", "team")
    command.says("keys", "revoke", key)
    table = [line.split()[:3] for line in command.says("accounts", "list").splitlines()]
    assert table[1:] == [["empty", "0", "0"], ["team", "1", "1"]]
    counted = [{name: one[name] for name in ("valid_keys", "deployments")} for one in command.reads("accounts", "list")]
    assert counted == [{"valid_keys": 0, "deployments": 0}, {"valid_keys": 1, "deployments": 1}]
    assert all(one["created_at"].endswith("Z") for one in command.reads("accounts", "list"))


def test_an_account_goes_when_it_owns_nothing_that_works(command: CommandProcess, tmp_path: Path) -> None:
    command.says(*ADD, "team", "--create-account")
    old = command.reads(*CREATE, "team")["id"]
    new = command.reads("keys", "rotate", old, "--grace", "0")["id"]
    said = command.refuses("accounts", "remove", "team")
    assert said == "Account team has 1 deployment and 1 valid key: remove and revoke them first."
    command.says("deployments", "remove", "demo")
    assert command.refuses("accounts", "remove", "team").startswith("Account team has 1 valid key: remove and")
    command.says("keys", "revoke", new)
    assert command.refuses("accounts", "remove", "taem") == "There is no account 'taem'; did you mean `team`?"
    assert command.says("accounts", "remove", "team") == "Account team is removed, and 2 ended keys of it.\n"
    assert command("accounts", "list").stderr == "There is no account.\n"
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as database:
        assert database.execute("SELECT count(*) FROM keys").fetchall() == [(0,)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []


def test_an_account_is_added_once_and_under_a_plain_name(command: CommandProcess) -> None:
    command.says("accounts", "add", "team")
    assert command.refuses("accounts", "add", "team") == "There is an account team already."
    assert command.refuses("accounts", "add", "a/b").startswith("Invalid account: use 1 to 64 letters")
    assert command.reads("accounts", "remove", "team") == {"id": "team", "done": "removed", "ended_keys": 0}


def test_a_name_that_is_nearly_right_is_suggested_everywhere(command: CommandProcess) -> None:
    command.says(*ADD, "team", "--create-account")
    for action in ("pause", "resume", "remove"):
        said = command.refuses("deployments", action, "demmo")
        assert said == "There is no deployment 'demmo'; did you mean `demo`?"
    assert command("keys", "list", "--account", "Team").stderr == "There is no account 'Team'; did you mean `team`?\n"


def test_accounts_of_a_file_are_listed_but_not_changed(command: CommandProcess, config: Path) -> None:
    command.place = ("--config", str(config))
    listed = command.reads("accounts", "list")
    assert listed == [{"id": "acme", "valid_keys": 1, "deployments": 1, "created_at": None, "weight": 1.0}]
    for action in ("add", "remove"):
        assert "holds its accounts itself: edit it" in command.refuses("accounts", action, "acme")
    assert config.read_text() == GOOD
