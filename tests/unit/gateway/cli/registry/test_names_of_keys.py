"""Names of keys: one valid key of an account to a name, in a file and in a database, and what frees a name again."""

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from gateway.registry.base import ChangeError
from tests.harness.processes.commands import CommandProcess
from tests.harness.storage.changes import Changes, changing
from tests.harness.storage.config_files import GOOD
from tests.harness.storage.databases import as_the_first_version_left_it

pytestmark = pytest.mark.slow  # each command is a process: `make test-tools` runs them

LAPTOP = ("keys", "create", "--account", "acme", "--name", "laptop")
TWICE = """\
accounts:
  acme:
    keys:
      - {name: laptop, key: gw_CANARY_first}
      - {name: phone, key: gw_CANARY_other}
      - name: laptop
        key: gw_CANARY_second
  beta: {keys: [{name: laptop, key: gw_CANARY_third}]}
"""


def test_two_keys_of_one_name_in_a_file_are_refused_with_the_line(command: CommandProcess, tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(TWICE)
    command.place = ("--config", str(path))
    said = f"{path}:6: accounts.acme.keys[2].name: is the name of the key on line 4, too; give each its own"
    for arguments in (("check",), ("keys", "list")):
        assert command.refuses(*arguments) == said
    path.write_text(TWICE.replace("- name: laptop", "- name: tablet"))
    path.chmod(0o600)
    assert [key["id"] for key in command.reads("keys", "list")] == [
        *("acme/laptop", "acme/phone", "acme/tablet"),
        "beta/laptop",
    ]


def test_two_valid_keys_of_one_name_in_a_database_are_refused(command: CommandProcess) -> None:
    first = command.reads(*LAPTOP, "--create-account")["id"]
    assert command.refuses(*LAPTOP) == (
        f"Account acme has a valid key 'laptop' already, {first}: "
        "choose another name, or revoke that key first (to replace it, rotate it)."
    )
    command.says("keys", "create", "--account", "acme", "--name", "Laptop")
    command.says("keys", "create", "--account", "beta", "--create-account", "--name", "laptop")
    assert len(command.reads("keys", "list")) == 3


def test_an_ended_key_frees_its_name_and_a_rotated_one_passes_it_on(command: CommandProcess) -> None:
    first = command.reads(*LAPTOP, "--create-account")["id"]
    second = command.reads("keys", "rotate", first)["id"]  # until tomorrow both are valid
    command.says("keys", "revoke", first)
    assert f"a valid key 'laptop' already, {second}" in command.refuses(*LAPTOP)
    third = command.reads("keys", "rotate", second, "--grace", "0")["id"]
    assert f"a valid key 'laptop' already, {third}" in command.refuses(*LAPTOP)
    command.says("keys", "revoke", third)
    command.says(*LAPTOP)
    states = Counter(key["state"] for key in command.reads("keys", "list"))
    assert states == {"revoked": 2, "expired": 1, "valid": 1}


def test_keys_of_one_name_in_an_older_database_all_go_on_working(command: CommandProcess, tmp_path: Path) -> None:
    first = command.reads(*LAPTOP, "--create-account")["id"]
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as database, database:  # as earlier versions let it be
        columns = "name, account, created_at"
        database.execute(
            f"INSERT INTO keys (id, digest, {columns}) SELECT 'key_twin', '{'ab' * 32}', {columns} FROM keys"
        )
    as_the_first_version_left_it(tmp_path / "gateway.db")
    assert {key["id"]: key["state"] for key in command.reads("keys", "list")} == {first: "valid", "key_twin": "valid"}
    assert "a valid key 'laptop' already" in command.refuses(*LAPTOP)
    assert command.reads("keys", "rotate", "key_twin", "--grace", "0")["name"] == "laptop"
    command.says("keys", "revoke", first)
    assert "a valid key 'laptop' already" in command.refuses(*LAPTOP)


def test_an_import_brings_no_second_key_of_a_name(command: CommandProcess, config: Path) -> None:
    first = command.reads(*LAPTOP, "--create-account")["id"]
    assert command.refuses("import", str(config)) == (
        f"Account acme has a valid key 'laptop' already, {first}: "
        "choose another name in the file, or revoke that key first (to replace it, rotate it)."
    )
    assert command.reads("deployments", "list") == []
    config.write_text(GOOD.replace("name: laptop,", "name: laptop, expires_at: 2020-01-01T00:00:00Z,"))
    command.says("import", str(config))
    command.says("keys", "revoke", first)
    config.write_text(GOOD.replace("CANARY", "CANARY_new"))
    assert "Keys: 1 added" in command.says("import", str(config))
    assert "Keys: 0 added, 1 already there" in command.says("import", str(config))


async def test_of_many_who_want_a_name_at_once_one_gets_it(tmp_path: Path) -> None:
    path = str(tmp_path / "gateway.db")
    async with changing(path, create=True) as one:
        await one.add_account("acme")

    async def create() -> str:
        async with changing(path) as change:
            return (await change.create_key("acme", "laptop"))[1]

    made = await asyncio.gather(*(create() for _ in range(6)), return_exceptions=True)
    assert sum(isinstance(one, str) for one in made) == 1
    assert all("a valid key 'laptop' already" in str(one) for one in made if isinstance(one, ChangeError))


async def test_a_change_takes_the_revision_before_it_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database server lets two transactions read the same; only the row that both must change parts them."""
    async with changing(str(tmp_path / "gateway.db"), create=True) as one:
        seen = await _statements(one, monkeypatch)
    assert seen[0].startswith("UPDATE revision SET number=")
    assert any(statement.startswith("SELECT") for statement in seen[1:])


async def _statements(change: Changes, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What adding an account asks the database, in this order."""
    from sqlalchemy import event

    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_others: object) -> None:
        seen.append(statement)

    event.listen(change.engine.sync_engine, "before_cursor_execute", note)
    await change.add_account("acme")
    return [one for one in seen if not one.startswith(("BEGIN", "PRAGMA"))]
