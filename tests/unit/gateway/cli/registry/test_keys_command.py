"""`gguf-gateway keys` and `hash-key`: what they print, and how a key ends."""

import re
from pathlib import Path

import pytest

from gateway.config.settings import json_schema
from gateway.core.secret_text import digest_of
from gateway.registry.database.database_registry import SqlRegistry
from tests.harness.processes.commands import CommandProcess, Run, create, read
from tests.harness.storage.config_files import KEY
from tests.harness.storage.registries import accepts, in_force, opened

NEW = ("--account", "acme", "--create-account")


def test_a_key_is_printed_this_once(run: Run) -> None:
    made = create(run)
    assert list(made) == ["id", "key", "name", "account", "expires_at"]
    assert (made["name"], made["account"], made["expires_at"]) == ("laptop", "acme", None)
    assert made["key"] not in run("keys", "list", "--database", "DB", "--json").output
    assert made["key"] not in run("keys", "list", "--database", "DB").output


def test_in_a_pipe_the_key_stands_alone(run: Run) -> None:
    result = run("keys", "create", "--database", "DB", *NEW, "--name", "x")
    assert re.fullmatch(r"gw_[0-9A-Za-z]{46}\n", result.stdout)
    assert "not shown again" in result.stderr
    assert result.stdout.strip() not in result.stderr


def test_an_expiry_is_kept_in_utc(run: Run) -> None:
    made = run(
        *("keys", "create", "--database", "DB", *NEW, "--name", "x", "--json"),
        *("--expires-at", "2999-01-01T02:00:00+02:00"),
    )
    assert read(made)["expires_at"] == "2999-01-01T00:00:00Z"


@pytest.mark.slow
async def test_a_running_gateway_follows_what_the_command_line_changes(tmp_path: Path, command: CommandProcess) -> None:
    old = command.reads("keys", "create", *NEW, "--name", "laptop")
    async with opened(SqlRegistry(str(tmp_path / "gateway.db"))) as registry:
        assert accepts(registry, old["key"], "acme")
        new = command.reads("keys", "rotate", old["id"], "--grace", "0")
        assert new["successor_of"] == old["id"]

        async def nothing() -> None:
            pass

        await in_force(registry, nothing(), lambda: accepts(registry, new["key"]) and not accepts(registry, old["key"]))
        command.reads("keys", "revoke", new["id"])
        await in_force(registry, nothing(), lambda: not accepts(registry, new["key"]))


def test_the_list_tells_the_states_of_keys_apart(run: Run) -> None:
    keys = {name: create(run, name)["id"] for name in ("valid", "revoked", "expired")}
    run("keys", "revoke", keys["revoked"], "--database", "DB")
    run("keys", "rotate", keys["expired"], "--grace", "0", "--database", "DB")
    listed = {key["id"]: key["state"] for key in read(run("keys", "list", "--database", "DB", "--json"))}
    assert {name: listed[key_id] for name, key_id in keys.items()} == {name: name for name in keys}
    assert len(listed) == 4
    table = run("keys", "list", "--database", "DB").output.splitlines()
    columns = ("ID", "NAME", "ACCOUNT", "STATE", "EXPIRES", "LAST USED", "LIMITS", "SUCCESSOR OF")
    assert table[0].split() == " ".join(columns).split()
    assert len(table) == 5
    assert read(run("keys", "list", "--database", "DB", "--json", "--account", "beta")) == []


def test_rotating_shows_the_successor_and_the_end_of_the_old_key(run: Run) -> None:
    old = create(run)
    new = read(run("keys", "rotate", old["id"], "--database", "DB", "--json"))
    assert set(new) == {"id", "key", "name", "account", "expires_at", "successor_of", "old_expires_at"}
    assert new["key"] != old["key"]
    assert new["old_expires_at"].endswith("Z")


@pytest.mark.parametrize("grace", ["", "1", "-1h", "1y", "999999999d", "h", "٣h", "1h1m"])
def test_a_grace_that_is_no_duration_is_a_usage_error(grace: str, run: Run) -> None:
    assert run("keys", "rotate", "x", "--grace", grace, "--database", "DB").exit_code == 2


@pytest.mark.parametrize("typed", [KEY, KEY + "\n", KEY + "\r\n"])
def test_hash_key_reads_the_key_from_standard_input(typed: str, run: Run) -> None:
    assert run("hash-key", stdin=typed).stdout == digest_of(KEY).hex() + "\n"


def test_hash_key_makes_a_new_key_if_asked(run: Run) -> None:
    made = read(run("hash-key", "--new", "--json"))
    assert digest_of(made["key"]).hex() == made["key_sha256"]


@pytest.mark.parametrize("typed", ["", "short\n", "with space\n", "ключключ\n"])
def test_what_is_no_key_is_not_hashed(typed: str, run: Run) -> None:
    result = run("hash-key", stdin=typed)
    assert (result.exit_code, result.stdout) == (1, "")


def test_the_schema_is_printed_as_json(run: Run) -> None:
    assert read(run("schema")) == json_schema()
