"""The same commands on a database and at a gateway that runs: they print the same, and do the same."""

import json
import re
from collections.abc import Iterator

import pytest
from click.testing import Result

from tests.harness.processes.commands import read
from tests.unit.gateway.cli.remote.conftest import Ask, Faces

pytestmark = pytest.mark.slow

# What no two runs have in common.
_OWN = re.compile(
    r"(?P<id>(?:key|tok|inv|per)_)[0-9a-f]{12}|(?P<secret>gw[ai]?_)[0-9A-Za-z]{46}|gw[ai]?_[0-9A-Za-z]{4,5}"
    r"|\d{4}-\d\d-\d\d \d\d:\d\d UTC|\d{4}-\d\d-\d\dT[\d:.]+Z|http://127\.0\.0\.1:\d+/inv"
)
ADD = ("deployments", "add", "demo", "--upstream", "http://127.0.0.1:9", "--account")
KEY = ("keys", "create", "--account", "acme", "--name")


def said(result: Result) -> tuple[int, str, str]:
    """What a command printed, less what no two runs have in common. No failure of it is a traceback."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    out, err = (_OWN.sub("…", text) for text in (result.stdout, result.stderr))
    return result.exit_code, re.sub(" {2,}", "  ", out), re.sub(" {2,}", "  ", err)


def accounts(run: Ask) -> Iterator[Result]:
    yield run("accounts", "add", "beta")
    yield run("accounts", "add", "beta")
    yield run("accounts", "add", "a/b")
    yield run("accounts", "list")
    yield run("accounts", "list", "--json")
    yield run("accounts", "remove", "bata")
    yield run("accounts", "remove", "beta", "--json")


def deployments(run: Ask) -> Iterator[Result]:
    yield run(*ADD, "amce")
    yield run(*ADD, "gamma", "--create-account", "--ping", "15")
    yield run(*ADD, "gamma")
    yield run(*ADD, "other", "--create-account")  # fails, and the account does not stay
    yield run("accounts", "list")
    yield run("deployments", "set", "demo", "--upstream-key-stdin", "--connections", "4", stdin="secret\n")
    yield run("deployments", "set", "demo", "--account", "delta", "--create-account", "--json")
    yield run("deployments", "set", "demo", "--connections", "4")
    yield run("deployments", "set", "demo", "--connections", "0")
    yield run("deployments", "set", "dem", "--connections", "5")
    yield run("deployments", "set", "demo", "--ca-file", "/nowhere.pem", "--unset", "ping")
    yield run("deployments", "pause", "demo")
    yield run("deployments", "resume", "demo", "--json")
    yield run("deployments", "list", "--account", "Delta")
    yield run("deployments", "remove", "demo")
    yield run("deployments", "list")


def keys(run: Ask) -> Iterator[Result]:
    run(*ADD, "acme")
    made = run(*KEY, "laptop", "--deployment", "demo", "--network", "10.0.0.0/8", "--json")
    key = json.loads(made.stdout)["id"]
    yield made
    yield run(*KEY, "laptop", "--json")
    yield run(*KEY, "phone", "--expires-at", "2999-01-01T02:00:00+02:00")
    yield run(*KEY, "tablet", "--deployment", "dem")
    yield run("keys", "create", "--account", "amce", "--name", "x")
    yield run("keys", "set", key, "--disable", "--unset", "deployment", "--expires-at", "2999-01-01T00:00:00Z")
    yield run("keys", "list")
    yield run("keys", "list", "--account", "acme", "--json")
    yield run("keys", "rotate", key)
    yield run("keys", "set", key, "--enable", "--never-expires", "--json")
    yield run("keys", "rotate", key, "--grace", "1h")
    yield run("keys", "rotate", key)
    yield run("keys", "revoke", key, "--now")
    yield run("keys", "revoke", "key_none")
    yield run("keys", "revoke", "../../x")
    yield run("keys", "list", "--account", "ecma")


def team(run: Ask) -> Iterator[Result]:
    yield run("people", "invite", "--admin", "--name", "ada")
    yield run("people", "invite", "--name", "ben", "--account", "acme", "--email", "b@e.org", "--json")
    yield run("people", "invite", "--name", "cleo", "--account", "amce")
    yield run("people", "list")
    yield run("people", "remove", "ada")
    yield run("invitations", "list")
    yield run("invitations", "remove", json.loads(run("invitations", "list", "--json").stdout)[0]["id"])
    made = run("tokens", "create", "--name", "ci", "--scope", "keys:read", "--json")
    yield made
    yield run("tokens", "list")
    yield run("tokens", "revoke", json.loads(made.stdout)["id"])
    yield run("tokens", "revoke", "tok_none")
    yield run("audit", "--action", "none")


@pytest.mark.parametrize("script", [accounts, deployments, keys, team])
def test_both_ways_print_the_same(script: object, faces: Faces) -> None:
    assert callable(script)
    here, there = (list(map(said, script(one))) for one in faces)
    for number, (one, other) in enumerate(zip(here, there, strict=True)):
        assert one == other, number


def test_the_audit_log_tells_the_ways_apart(on_machine: Ask, ask: Ask) -> None:
    ask("accounts", "add", "beta")
    on_machine("accounts", "add", "gamma")
    for run in (on_machine, ask):
        first, second = (json.loads(line) for line in run("audit", "--json", "--since", "1h").stdout.splitlines()[:2])
        assert (first["target"], first["actor_kind"], first["face"]) == ("gamma", "machine", "cli")
        assert (second["target"], second["actor_kind"], second["actor_name"], second["face"]) == (
            *("beta", "token", "all"),
            "api",
        )


def test_lists_are_followed_to_their_end(ask: Ask, on_machine: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        ask("accounts", "add", f"more{number}")
    monkeypatch.setattr("gateway.cli.client.team_client._LONGEST_PAGE", 2)
    for run in (on_machine, ask):
        assert [one["id"] for one in read(run("accounts", "list", "--json"))] == [
            "acme",
            *(f"more{n}" for n in range(5)),
        ]
        assert len(run("audit", "--json").stdout.splitlines()) == 7


def test_a_link_leads_to_the_gateway_that_was_asked(ask: Ask, url: str) -> None:
    made = read(ask("people", "invite", "--admin", "--name", "ada", "--json"))
    assert made["url"].startswith(f"{url}/invitations/gwi_")
    refused = ask("people", "invite", "--admin", "--name", "eve", "--url", url)
    assert (refused.exit_code, "a gateway knows its own" in refused.stderr) == (2, True)


def test_readiness_is_what_the_gateway_says_itself(ask: Ask) -> None:
    ask(*ADD, "acme", "--status", "paused")
    ask("accounts", "list")
    assert read(ask("deployments", "list", "--json"))[0]["readiness"] in {None, "paused"}
