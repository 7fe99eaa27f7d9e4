"""`gguf-gateway keys set`, and what a key is limited to."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.harness.processes.commands import Run, add, create, read
from tests.harness.storage.databases import rows

DB = ("--database", "DB")
LIMITS = ("--deployment", "demo", "--endpoints", "openai", "--network", "10.0.0.0/8", "--network", "::1")


def listed(run: Run) -> dict[str, object]:
    found: list[dict[str, object]] = read(run("keys", "list", *DB, "--json"))
    return found[0]


def test_a_key_is_made_with_limits_that_lists_show(run: Run) -> None:
    add(run)
    made = read(run("keys", "create", *DB, "--account", "acme", "--name", "tablet", "--json", *LIMITS))
    assert made["networks"] == ["10.0.0.0/8", "::1"]
    key = listed(run)
    assert (key["deployments"], key["endpoints"], key["networks"]) == (
        *(["demo"], ["openai"]),
        ["10.0.0.0/8", "::1/128"],
    )
    assert key["prefix"] == made["key"][:8]
    line = run("keys", "list", *DB).stdout.splitlines()[1]
    assert "deployments: demo; endpoints: openai; networks: 10.0.0.0/8, ::1/128" in line
    successor = read(run("keys", "rotate", made["id"], *DB, "--json"))["id"]
    limits = {one["id"]: one["networks"] for one in read(run("keys", "list", *DB, "--json"))}
    assert limits[successor] == ["10.0.0.0/8", "::1/128"]


def test_only_what_is_named_is_changed_and_said_before_and_after(run: Run) -> None:
    add(run)
    key = create(run)["id"]
    said = run("keys", "set", key, *DB, "--name", "phone", "--disable", "--expires-at", "2099-01-01T00:00:00Z", *LIMITS)
    assert said.stdout.splitlines() == [
        f"Key {key} (laptop) of account acme is changed.",
        "  name: laptop -> phone",
        "  enabled: yes -> no",
        "  expires-at: never -> 2099-01-01 00:00 UTC",
        "  deployment: any -> demo",
        "  endpoints: any -> openai",
        "  network: any -> 10.0.0.0/8, ::1/128",
    ]
    assert listed(run)["state"] == "off"
    changed = read(
        run(
            "keys",
            "set",
            key,
            *DB,
            "--enable",
            "--never-expires",
            "--unset",
            "deployment",
            "--unset",
            "network",
            "--json",
        )
    )
    assert (changed["id"], changed["done"]) == (key, "changed")
    assert changed["changed"] == {
        "enabled": {"before": False, "after": True},
        "expires_at": {"before": "2099-01-01T00:00:00Z", "after": None},
        "deployments": {"before": ["demo"], "after": None},
        "networks": {"before": ["10.0.0.0/8", "::1/128"], "after": None},
    }
    after = listed(run)
    assert (after["name"], after["state"], after["endpoints"]) == ("phone", "valid", ["openai"])


def test_a_length_of_time_is_an_end(run: Run) -> None:
    key = create(run)["id"]
    run("keys", "set", key, *DB, "--expires-in", "12h")
    end = datetime.fromisoformat(str(listed(run)["expires_at"])) - datetime.now(UTC)
    assert timedelta(hours=11) < end <= timedelta(hours=12)


def test_what_is_like_that_already_leaves_no_trace(run: Run, tmp_path: Path) -> None:
    key = create(run)["id"]
    seen = "SELECT (SELECT number FROM revision), (SELECT count(*) FROM audit), version FROM keys"
    before = rows(tmp_path / "gateway.db", seen)
    said = run("keys", "set", key, *DB, "--name", "laptop", "--enable", "--unset", "network")
    assert said.stdout == f"Key {key} (laptop) of account acme is like that already; nothing was changed.\n"
    assert rows(tmp_path / "gateway.db", seen) == before
    run("keys", "revoke", key, *DB)
    before = rows(tmp_path / "gateway.db", seen)
    run("keys", "revoke", key, *DB)
    assert rows(tmp_path / "gateway.db", seen) == before


def test_revoking_now_cuts_what_runs_on_it(run: Run, tmp_path: Path) -> None:
    key = create(run)["id"]
    assert run("keys", "revoke", key, *DB).stdout == f"Key {key} (laptop) of account acme is revoked.\n"
    assert rows(tmp_path / "gateway.db", "SELECT cut FROM keys") == [(0,)]
    said = run("keys", "revoke", key, *DB, "--now").stdout
    assert said.endswith("is revoked, and answers that ran on it are broken off.\n")
    assert rows(tmp_path / "gateway.db", "SELECT cut FROM keys") == [(1,)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--deployment", "dem"], 1, "Account acme has no deployment 'dem'."),
        (["--network", "10.0.0.1/8"], 1, "--network: is neither an address nor a network like 10.0.0.0/8"),
        (["--endpoints", "slots"], 2, "'slots' is not one of 'openai', 'anthropic', 'native'"),
        (["--endpoints", "openai", "--endpoints", "openai"], 1, "--endpoints: names a group twice"),
        (["--expires-at", "2020-01-01T00:00:00Z"], 1, "The key would have expired before it was made."),
        (["--name", " x"], 1, "Invalid name: a name is 1 to 64 printable characters"),
        (["--name", "other"], 1, "Account acme has a valid key 'other' already"),
        ([], 2, "Nothing to change: name a setting, like --disable, or --unset NAME."),
        (["--network", "::1", "--unset", "network"], 2, "--unset network contradicts the value given for it."),
        (["--never-expires", "--expires-in", "1d"], 2, "--never-expires contradicts the end given for it."),
        (["--unset", "name"], 2, "'name' is not one of"),
    ],
)
def test_what_a_key_cannot_become_is_said_in_a_sentence(more: list[str], code: int, said: str, run: Run) -> None:
    key = create(run)["id"]
    create(run, "other")
    before = listed(run)
    refused = run("keys", "set", key, *DB, *more)
    assert refused.exit_code == code
    assert said in refused.stderr
    assert listed(run) == before


def test_a_revoked_key_stays_as_it_is_and_one_that_is_not_there_is_said(run: Run) -> None:
    key = create(run)["id"]
    run("keys", "revoke", key, *DB)
    assert run("keys", "set", key, *DB, "--enable").stderr == (
        f"Key {key} is revoked, which is for good; create a new one.\n"
    )
    for action in (["set", "key_none", "--enable"], ["revoke", "key_none"], ["rotate", "key_none"]):
        assert run("keys", *action, *DB).stderr == (
            "There is no key of this id; `gguf-gateway keys list` shows the ids.\n"
        )


def test_how_a_key_waits_in_line_is_said_when_it_is_made_and_changed(run: Run) -> None:
    add(run)
    turns = ("--priority", "batch", "--weight", "2.5")
    made = read(run("keys", "create", *DB, "--account", "acme", "--name", "nightly", "--json", *turns))
    assert (made["priority"], made["weight"]) == ("batch", 2.5)
    assert "batch; weight: 2.5" in run("keys", "list", *DB).stdout.splitlines()[1]
    successor = read(run("keys", "rotate", made["id"], *DB, "--json"))["id"]
    said = run("keys", "set", successor, *DB, "--priority", "interactive", "--weight", "1")
    assert said.stdout.splitlines()[1:] == ["  priority: batch -> interactive", "  weight: 2.5 -> 1"]
    found = {one["id"]: (one["priority"], one["weight"]) for one in read(run("keys", "list", *DB, "--json"))}
    assert found == {made["id"]: ("batch", 2.5), successor: ("interactive", 1.0)}
    wrong = run("keys", "set", successor, *DB, "--weight", "0")
    assert wrong.exit_code != 0
    assert "weight" in wrong.stderr


def test_an_account_gets_a_larger_share_of_a_line(run: Run) -> None:
    add(run)
    assert run("accounts", "set", "acme", *DB, "--weight", "2.5").stdout == "Account acme has the weight 2.5.\n"
    assert read(run("accounts", "list", *DB, "--json"))[0]["weight"] == 2.5
    assert "There is no account 'acne'" in run("accounts", "set", "acne", *DB, "--weight", "2").stderr
    assert run("accounts", "set", "acme", *DB, "--weight", "0").exit_code != 0
