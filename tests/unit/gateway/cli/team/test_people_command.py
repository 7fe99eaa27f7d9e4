"""`gguf-gateway people` and `invitations`: who is invited, what a person becomes, and how they go."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.team.actor import Face, Way
from gateway.team.signing_in.session_limits import SessionLimits
from gateway.team.signing_in.sign_in import accept_invitation
from gateway.team.unit_of_work import TeamDatabase
from tests.harness.processes.commands import Run, read
from tests.harness.storage.databases import rows

DB = ("--database", "DB")
INVITE = ("people", "invite", *DB, "--name")
PASSWORD = "correct horse battery staple"


def invited(run: Run, name: str, *more: str) -> dict[str, Any]:
    made: dict[str, Any] = read(run(*INVITE, name, "--json", *more))
    return made


@pytest.fixture
def people(run: Run, tmp_path: Path) -> dict[str, str]:
    """Two people, an admin and a member of an account, by name: their ids."""
    run("accounts", "add", "acme", *DB)
    for name, more in {"ada": ["--admin"], "ben": ["--account", "acme"]}.items():
        accept(tmp_path, invited(run, name, *more)["url"])
    return {one["name"]: one["id"] for one in read(run("people", "list", *DB, "--json"))}


def accept(folder: Path, url: str) -> None:
    """Follow an invitation as a browser would."""

    async def follow() -> None:
        database = TeamDatabase(folder / "gateway.db")
        text = url.rpartition("/")[2]
        await accept_invitation(database, text, PASSWORD, Way(Face.PAGE), SessionLimits())
        await database.close()

    asyncio.run(follow())


def test_the_first_admin_gets_a_link_and_the_database_is_made(run: Run, tmp_path: Path) -> None:
    made = run(*INVITE, "ada", "--admin")
    assert made.stdout.startswith("http://127.0.0.1:8080/invitations/gwi_")
    assert "The invitation of ada (admin) works once, until" in made.stderr
    assert made.stdout.strip() not in made.stderr
    accept(tmp_path, made.stdout.strip())
    [ada] = read(run("people", "list", *DB, "--json"))
    assert (ada["name"], ada["role"], ada["enabled"], ada["has_password"]) == ("ada", "admin", True, True)
    assert read(run("invitations", "list", *DB, "--json")) == []


def test_a_link_is_printed_as_json_with_all_that_was_asked_for(run: Run) -> None:
    run("accounts", "add", "acme", *DB)
    made = invited(run, "ben", "--account", "acme", "--email", "Ben@Example.org", "--url", "https://g.example/team")
    assert list(made) == ["url", "id", "name", "role", "accounts", "email", "expires_at"]
    assert made["url"].startswith("https://g.example/team/invitations/gwi_")
    assert (made["name"], made["role"], made["email"]) == ("ben", "member", "ben@example.org")
    assert made["accounts"] == ["acme"]
    left = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=23) < left <= timedelta(hours=24)


@pytest.mark.parametrize(
    ("server", "base"),
    [
        ("server: {port: 8123}", "http://127.0.0.1:8123"),
        ("server: {host: 0.0.0.0, port: 8123, admin: {port: 9123}}", "http://127.0.0.1:9123"),
        ("server: {port: 8123, public_url: https://g.example/team/}", "https://g.example/team"),
        ("server: {public_url: https://g.example, admin: {port: 9123}}", "http://127.0.0.1:9123"),
        ("server: {admin: {port: 9123, public_url: https://ops.example}}", "https://ops.example"),
        ("server: {port: 0}", "http://127.0.0.1:8080"),
    ],
)
def test_a_link_begins_where_the_configuration_says(server: str, base: str, run: Run, tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(f"{server}\ndatabase: gateway.db\n")
    made = run("people", "invite", "--admin", "--name", "ada", "--config", str(config))
    assert made.stdout.startswith(f"{base}/invitations/gwi_")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["cleo", "--account", "acne"], "There is no account 'acne'; did you mean `acme`?"),
        (["ada"], "There is somebody called 'ada' already. Choose another name."),
        (["ben", "--email", "nowhere"], "--email: is not an e-mail address like ada@example.org"),
        ([" ben"], "--name: a name is 1 to 64 printable characters, with no space at either end"),
        (["ben", "--account", "a/b"], "--account: use 1 to 64 letters"),
    ],
)
@pytest.mark.usefixtures("people")
def test_who_cannot_be_invited_is_said_in_a_sentence(more: list[str], said: str, run: Run) -> None:
    refused = run(*INVITE, *more)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith(said)
    assert read(run("invitations", "list", *DB, "--json")) == []


def test_an_invitation_is_listed_and_taken_back(run: Run, people: dict[str, str]) -> None:
    made = invited(run, "cleo", "--account", "acme")
    [listed] = read(run("invitations", "list", *DB, "--json"))
    assert (listed["id"], listed["name"], listed["accounts"]) == (made["id"], "cleo", ["acme"])
    assert made["url"].rpartition("/")[2] not in json.dumps(listed)
    assert run("invitations", "remove", made["id"], *DB).stdout == "The invitation of cleo is removed.\n"
    again = run("invitations", "remove", made["id"], *DB)
    assert again.stderr == (
        "There is no invitation of this id that could still be used; `gguf-gateway invitations list` shows the ids.\n"
    )
    assert run("invitations", "list", *DB).stderr == "Nobody is invited.\n"


def test_people_are_listed_and_a_member_is_changed(run: Run, people: dict[str, str], tmp_path: Path) -> None:
    table = run("people", "list", *DB).stdout.splitlines()
    assert table[0].split() == ["NAME", "ROLE", "STATE", "ACCOUNTS", "E-MAIL", "CREATED", "ID"]
    assert table[2].split()[:4] == ["ben", "member", "on", "acme"]
    said = run("people", "set", "ben", *DB, "--role", "admin", "--email", "b@e.org", "--unset", "account", "--disable")
    assert said.stdout.splitlines() == [
        f"ben ({people['ben']}) is changed.",
        "  email: none -> b@e.org",
        "  role: member -> admin",
        "  account: acme -> none",
        "  enabled: yes -> no",
    ]
    seen = "SELECT (SELECT count(*) FROM audit), sum(version) FROM people"
    before = rows(tmp_path / "gateway.db", seen)
    again = run("people", "set", people["ben"], *DB, "--disable")
    assert rows(tmp_path / "gateway.db", seen) == before
    assert again.stdout == f"ben ({people['ben']}) is like that already; nothing was changed.\n"
    changed = read(run("people", "set", "ben", *DB, "--name", "benno", "--json"))
    assert changed["changed"] == {"name": {"before": "ben", "after": "benno"}}


def test_a_person_is_signed_out_and_removed(run: Run, people: dict[str, str], tmp_path: Path) -> None:
    sessions = "SELECT count(*) FROM sessions"
    assert rows(tmp_path / "gateway.db", sessions) == [(2,)]
    assert run("people", "sign-out", "ben", *DB).stdout == "ben is signed out everywhere.\n"
    assert rows(tmp_path / "gateway.db", sessions) == [(1,)]
    assert run("people", "remove", "ben", *DB).stdout == f"ben ({people['ben']}) is removed.\n"
    assert [one["name"] for one in read(run("people", "list", *DB, "--json"))] == ["ada"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["remove", "bern"], "There is nobody called 'bern'; did you mean `ben`?"),
        (["sign-out", "per_0123456789ab"], "There is no person of this id."),
        (["set", "ben", "--name", "ada"], "There is somebody called 'ada' already. Choose another name."),
        (["set", "ada", "--role", "member"], "ada is the last admin: make somebody else one first."),
        (["remove", "ada"], "ada is the last admin: make somebody else one first."),
    ],
)
@pytest.mark.usefixtures("people")
def test_what_cannot_be_done_to_people_is_said_in_a_sentence(arguments: list[str], said: str, run: Run) -> None:
    refused = run("people", *arguments, *DB)
    assert (refused.exit_code, refused.stdout, refused.stderr) == (1, "", f"{said}\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["set", "ben"], "Nothing to change: name a setting"),
        (["set", "ben", "--email", "b@e.org", "--unset", "email"], "--unset email contradicts the value given for it."),
        (["set", "ben", "--account", "acme", "--unset", "account"], "--unset account contradicts the value given"),
        (["invite", "--name", "x", "--url", "nowhere"], "must be a gateway's URL"),
    ],
)
def test_what_says_nothing_or_two_things_is_a_usage_error(arguments: list[str], said: str, run: Run) -> None:
    refused = run("people", *arguments, *DB)
    assert refused.exit_code == 2
    assert said in refused.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["people", "list"],
        ["people", "invite", "--admin", "--name", "ada"],
        ["people", "remove", "ada"],
        ["invitations", "list"],
        ["tokens", "list"],
        ["tokens", "create", "--name", "ci", "--scope", "*"],
        ["audit"],
        ["usage"],
    ],
)
def test_a_file_knows_no_people_tokens_or_audit_log(arguments: list[str], run: Run, config: Path) -> None:
    refused = run(*arguments, "--config", str(config))
    assert refused.exit_code == 1
    assert refused.stderr == (
        f"{config} holds its accounts itself, and no people, tokens, usage or audit log: they need a database: "
        f"gguf-gateway import {config} --database gateway.db\n"
    )
