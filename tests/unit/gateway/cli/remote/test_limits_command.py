"""`limits`: set, listed with what is left, and removed, of a database, of a gateway, and listed of a file."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main
from tests.harness.processes.commands import read
from tests.unit.gateway.cli.remote.conftest import Ask


@pytest.fixture
def key(on_machine: Ask) -> str:
    on_machine("accounts", "add", "acme")
    return str(read(on_machine("keys", "create", "--account", "acme", "--name", "laptop", "--json"))["id"])


@pytest.mark.slow
def test_both_ways_set_and_list_the_same(on_machine: Ask, key: str, ask: Ask) -> None:
    done = on_machine("limits", "set", "--key", key, "--requests-per-minute", "30", "--tokens-per-day", "100000")
    assert done.stdout.splitlines() == [
        f"Key {key} (laptop): 30 requests a minute. It is in force within a second.",
        f"Key {key} (laptop): 100,000 tokens a day. It is in force within a second.",
    ]
    ask("limits", "set", "--account", "acme", "--concurrent-requests", "4", "--shadow")
    local = read(on_machine("limits", "list", "--json"))
    told = [{**row, "resets_at": None} for row in local]
    assert told == [{**row, "resets_at": None} for row in read(ask("limits", "list", "--json"))]
    assert [(row["kind"], row["measure"], row["amount"], row["left"], row["shadow"]) for row in local] == [
        ("account", "concurrent_requests", 4, 4, True),
        ("key", "requests_per_minute", 30, 30, False),
        ("key", "tokens_per_day", 100_000, 100_000, False),
    ]
    shown = ask("limits", "list", "--key", key).stdout.splitlines()
    assert shown[0].split() == ["ID", "ON", "LIMIT", "OF", "USED", "LEFT", "RESETS"]
    assert len(shown) == 3


def test_a_limit_is_let_go_of(on_machine: Ask, key: str, ask: Ask) -> None:
    [made] = read(ask("limits", "set", "--key", key, "--requests-per-minute", "30", "--json"))
    gone = on_machine("limits", "remove", str(made["id"]))
    assert gone.stdout == f"Key {key} (laptop) is no longer limited to 30 requests a minute.\n"
    missing = ask("limits", "remove", str(made["id"]))
    assert (missing.exit_code, missing.stderr) == (
        1,
        "There is no limit of this id; `gguf-gateway limits list` shows the ids.\n",
    )
    assert on_machine("limits", "list").stderr == "There is no limit.\n"


def test_what_is_not_understood_is_said_in_a_sentence(on_machine: Ask, key: str) -> None:
    assert "Who is limited?" in on_machine("limits", "set", "--requests-per-minute", "3").stderr
    assert "To how much?" in on_machine("limits", "set", "--key", key).stderr
    both = on_machine("limits", "set", "--key", key, "--account", "acme", "--requests-per-minute", "3")
    assert "Give either --key or --account, not both." in both.stderr
    none = on_machine("limits", "set", "--key", "key_none", "--requests-per-minute", "3")
    assert (none.exit_code, none.stderr) == (1, "There is no key of the id 'key_none'.\n")
    zero = on_machine("limits", "set", "--key", key, "--requests-per-minute", "0")
    assert zero.stderr == "Invalid --requests-per-minute: must be at least 1.\n"


def test_limits_of_a_file_are_listed_and_set_by_its_editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    config = tmp_path / "gateway.yaml"
    config.write_text("accounts: {acme: {limits: {requests_per_minute: 5}, keys: [{name: a, key: gw_0123456789abcd}]}}")
    listed = CliRunner().invoke(main, ["limits", "list", "--config", str(config), "--json"])
    [row] = json.loads(listed.stdout)
    assert (row["kind"], row["subject"], row["amount"]) == ("account", "acme", 5)
    change = ["limits", "set", "--config", str(config), "--account", "acme", "--requests-per-minute", "9"]
    refused = CliRunner().invoke(main, change)
    assert refused.exit_code == 1
    assert "edit it (a running gateway follows within a second)" in refused.stderr


def test_what_a_service_has_counted_elsewhere_is_unknown_and_no_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    config = tmp_path / "gateway.yaml"
    config.write_text("accounts: {acme: {limits: {requests_per_minute: 5}, keys: [{name: a, key: gw_0123456789abcd}]}}")
    listed = CliRunner().invoke(main, ["limits", "list", "--config", str(config)])
    assert listed.exit_code == 0
    assert listed.stdout.splitlines()[1].split()[-2:] == ["unknown", "unknown"]
    assert "its STATE_DIRECTORY" in listed.stderr


def test_an_import_takes_limits_along(tmp_path: Path) -> None:
    config, database = tmp_path / "gateway.yaml", str(tmp_path / "new.db")
    limits = "{tokens_per_day: 7, shadow: [tokens_per_day], deployments: {demo: {requests_per_minute: 2}}}"
    config.write_text(
        "accounts:\n  acme:\n    limits: {concurrent_requests: 5}\n    keys:\n"
        f"      - {{name: a, key: gw_0123456789abcdef, limits: {limits}}}\n"
        "deployments: {demo: {account: acme, upstream: 'http://127.0.0.1:9'}}\n"
    )
    for _ in range(2):
        done = CliRunner().invoke(main, ["import", str(config), "--database", database])
        assert done.exit_code == 0, done.stderr
    rows = read(CliRunner().invoke(main, ["limits", "list", "--database", database, "--json"]))
    told = [(row["kind"], row["subject_name"], row["deployment"], row["amount"], row["shadow"]) for row in rows]
    assert told == [("account", None, None, 5, False), ("key", "a", None, 7, True), ("key", "a", "demo", 2, False)]
