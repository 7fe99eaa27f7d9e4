"""`gguf-gateway tokens` and `audit`: what programs get, and who did what."""

import json
import os
import pwd
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.harness.processes.commands import Run, create, read

DB = ("--database", "DB")
CREATE = ("tokens", "create", *DB, "--name")
ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture(autouse=True)
def database(run: Run) -> None:
    run("accounts", "add", "acme", *DB)


def audited(run: Run, *more: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in run("audit", *DB, "--json", *more).stdout.splitlines()]


def test_a_token_is_printed_this_once(run: Run, tmp_path: Path) -> None:
    made = read(run(*CREATE, "ci", "--scope", "keys:write", "--scope", "keys:read", "--expires-in", "90d", "--json"))
    assert list(made) == ["id", "token", "name", "scopes", "expires_at"]
    assert (made["name"], made["scopes"]) == ("ci", ["keys:read", "keys:write"])
    end = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=89) < end <= timedelta(days=90)
    bare = run(*CREATE, "all", "--scope", "*")
    assert bare.stdout.startswith("gwa_")
    assert "expires: never. It is not shown again: keep it now." in bare.stderr
    said = run("tokens", "list", *DB, "--json").output + run("tokens", "list", *DB).output + run("audit", *DB).output
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for text in (made["token"], bare.stdout.strip()):
        assert text not in said
        assert text.encode() not in stored


def test_tokens_are_listed_and_revoked(run: Run) -> None:
    made = read(run(*CREATE, "ci", "--scope", "keys:read", "--json"))
    table = run("tokens", "list", *DB).stdout.splitlines()
    assert table[0].split() == ["ID", "NAME", "STATE", "SCOPES", "EXPIRES", "BEGINS", "WITH"]
    assert table[1].split() == [made["id"], "ci", "valid", "keys:read", "never", made["token"][:8]]
    assert run("tokens", "revoke", made["id"], *DB).stdout == f"Token {made['id']} (ci) is revoked.\n"
    assert read(run("tokens", "revoke", made["id"], *DB, "--json"))["state"] == "revoked"
    assert len(audited(run, "--action", "tokens.revoke")) == 1
    missing = run("tokens", "revoke", "tok_none", *DB)
    assert missing.stderr == "There is no token of this id; `gguf-gateway tokens list` shows the ids.\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["ci"], 2, "Missing option '--scope'"),
        (["ci", "--scope", "keys"], 2, "'keys' is not one of"),
        ([" ci", "--scope", "*"], 1, "--name: a name is 1 to 64 printable characters"),
        (["ci", "--scope", "*", "--expires-in", "0"], 1, "The token would have expired before it was made."),
        (
            ["ci", "--scope", "*", "--expires-in", "1d", "--expires-at", "2099-01-01T00:00:00Z"],
            2,
            "Give either --expires-at or --expires-in, not both.",
        ),
    ],
)
def test_what_no_token_can_be_is_said_in_a_sentence(more: list[str], code: int, said: str, run: Run) -> None:
    refused = run(*CREATE, *more)
    assert refused.exit_code == code
    assert said in refused.stderr
    assert read(run("tokens", "list", *DB, "--json")) == []


def test_the_audit_log_says_who_did_what_the_newest_first(run: Run) -> None:
    key = create(run)
    run("keys", "set", key["id"], *DB, "--disable")
    run("keys", "revoke", key["id"], *DB)
    log = audited(run)
    assert [row["action"] for row in log] == ["keys.revoke", "keys.change", "keys.create", "accounts.create"]
    assert {(row["actor_kind"], row["actor_name"], row["face"]) for row in log} == {("machine", ME, "cli")}
    assert (log[1]["before"], log[1]["after"]) == (
        {"state": "valid", "enabled": True, "version": 1},
        {"state": "off", "enabled": False, "version": 2},
    )
    assert key["key"] not in json.dumps(log)
    table = run("audit", *DB).stdout.splitlines()
    assert table[0].split() == ["WHEN", "WHO", "BY", "FROM", "WHAT", "TO", "WHAT", "ACCOUNT", "CHANGED"]
    assert "state: valid -> off; enabled: true -> false" in table[2]


def test_the_audit_log_is_narrowed_down(run: Run) -> None:
    key = create(run)
    assert [row["action"] for row in audited(run, "--action", "keys.create")] == ["keys.create"]
    assert [row["target"] for row in audited(run, "--target", key["id"])] == [key["id"]]
    assert len(audited(run, "--actor", "machine")) == 2
    assert len(audited(run, "--since", "1h")) == 2
    assert audited(run, "--since", "0") == []
    assert run("audit", *DB, "--action", "none").stderr == "Nothing was done.\n"
    assert run("audit", *DB, "--since", "yesterday").exit_code == 2


def test_an_import_is_one_row_of_the_audit_log(run: Run, config: Path) -> None:
    run("import", str(config), *DB)
    [row] = audited(run, "--action", "registry.import")
    after = row["after"]
    assert isinstance(after, dict)
    assert (row["target"], after["accounts"], after["deployments"]) == (str(config)[-64:], [], ["demo"])
    assert len(after["keys"]) == 1
    run("import", str(config), *DB)
    assert len(audited(run, "--action", "registry.import")) == 1
