"""`gguf-gateway deployments set`: one setting changes in place, and a running gateway follows."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.harness.patience import wait_until
from tests.harness.processes.commands import CommandProcess
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat

pytestmark = pytest.mark.slow  # each command is a process: `make test-tools` runs them

PLACE = ("--account", "acme", "--create-account")
SET = ("deployments", "set", "demo")
SECRET = "CANARYUP"


@pytest.fixture
def demo(command: CommandProcess) -> CommandProcess:
    """Commands on a database that holds one deployment, `demo`."""
    command.says("deployments", "add", "demo", *PLACE, "--upstream", "http://h:1", "--silence", "30", "--waiting", "7")
    return command


def listed(command: CommandProcess) -> dict[str, Any]:
    found: list[dict[str, Any]] = command.reads("deployments", "list")
    return found[0]


def test_only_what_is_named_is_changed_and_said_before_and_after(demo: CommandProcess) -> None:
    before = listed(demo)
    assert demo.says(*SET, "--upstream", "http://h:2", "--connections", "4", "--silence", "45.5", "--waiting", "7") == (
        "Deployment demo is changed.\n"
        "  upstream: http://h:1 -> http://h:2\n"
        "  silence: 30 s -> 45.5 s\n"
        "  connections: default -> 4\n"
    )
    expected = {**before, "upstream": "http://h:2"}
    expected["limits"] = {"connections": 4, "waiting": 7}
    expected["timeouts"] = {**before["timeouts"], "silence": 45.5}
    assert listed(demo) == expected
    assert demo.says(*SET, "--connections", "4") == "Deployment demo is like that already; nothing was changed.\n"
    assert demo.says(*SET, "--endpoints", "openai", "--endpoints", "native").splitlines()[1:] == [
        "  endpoints: default -> openai,native"
    ]
    assert listed(demo)["endpoints"] == ["openai", "native"]
    assert json.loads(demo.says(*SET, "--connections", "5", "--json")) == {
        "id": "demo",
        "done": "changed",
        "changed": {"connections": {"before": 4, "after": 5}},
    }


def test_each_setting_with_a_default_can_be_given_it_again(demo: CommandProcess, tmp_path: Path) -> None:
    fresh = listed(demo)
    said = {"connect": "1", "first-byte": "2", "silence": "3", "queue": "4", "connections": "5", "waiting": "6"}
    said |= {"ping": "7", "status": "paused", "endpoints": "native"}
    demo.says(
        *SET, "--upstream-key-stdin", *(word for name in said for word in (f"--{name}", said[name])), stdin=SECRET
    )
    assert (listed(demo)["status"], listed(demo)["has_upstream_key"]) == ("paused", True)
    unset = [word for name in (*said, "upstream-key", "ca-file") for word in ("--unset", name)]
    lines = demo.says(*SET, *unset).splitlines()
    assert lines[0] == "Deployment demo is changed."
    assert {line.partition(":")[0].strip() for line in lines[1:]} == {*said, "upstream-key"}
    assert "  ping: 7 s -> default" in lines
    assert "  status: paused -> auto" in lines
    fresh["timeouts"]["silence"], fresh["limits"]["waiting"] = 600.0, 256
    assert listed(demo) == fresh


def test_no_upstream_key_is_ever_shown(demo: CommandProcess) -> None:
    said = [
        demo.says(*SET, "--upstream-key-stdin", stdin=SECRET),
        demo(*SET, "--upstream-key-env", "UP", UP=f"{SECRET}2").stdout,
        demo.says(*SET, "--unset", "upstream-key"),
        demo.says(*SET, "--upstream-key-stdin", "--json", stdin=SECRET),
    ]
    assert [text.splitlines()[1] for text in said[:3]] == [
        "  upstream-key: none -> set",
        "  upstream-key: set -> set to another",
        "  upstream-key: set -> none",
    ]
    assert json.loads(said[3])["changed"] == {"has_upstream_key": {"before": False, "after": True}}
    assert SECRET not in "".join(said)


def test_a_deployment_moves_to_another_account_that_is_there(demo: CommandProcess) -> None:
    demo.says("accounts", "add", "beta")
    assert demo.refuses(*SET, "--account", "betta").startswith("There is no account 'betta'; did you mean `beta`?")
    assert "  account: acme -> beta" in demo.says(*SET, "--account", "beta")
    assert listed(demo)["account"] == "beta"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--upstream", f"http://u:{SECRET}@h"], "--upstream: an upstream carries no user or password"),
        (["--silence", "-1"], "--silence: must be more than 0"),
        (["--connections", "0"], "--connections: must be at least 1"),
        (["--ca-file", "/nowhere.pem"], "--ca-file: cannot be read: No such file or directory"),
        (["--account", "a/b"], "--account: use 1 to 64 letters"),
        (["--upstream-key-env", "NOT_SET"], "The environment variable NOT_SET is not set."),
    ],
)
def test_what_a_deployment_cannot_become_is_said_in_a_sentence(
    more: list[str], said: str, demo: CommandProcess
) -> None:
    before = listed(demo)
    refused = demo.refuses(*SET, "--ping", "5", *more)
    assert said in refused
    assert SECRET not in refused
    assert listed(demo) == before


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "Nothing to change: name a setting, like --upstream URL, or --unset NAME."),
        (["--ping", "5", "--unset", "ping"], "--unset ping contradicts the value given for it."),
        (["--unset", "upstream"], "'upstream' is not one of"),
        (["--status", "up"], "'up' is not one of"),
        (["--connections", "many"], "'many' is not a valid integer"),
    ],
)
def test_a_change_that_says_nothing_or_two_things_is_a_usage_error(
    more: list[str], said: str, demo: CommandProcess
) -> None:
    done = demo(*SET, *more)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr.splitlines()[-1]


@pytest.fixture
def upstreams() -> Iterator[tuple[ScriptedUpstream, ScriptedUpstream]]:
    with closing(ScriptedUpstream()) as one, closing(ScriptedUpstream()) as other:
        yield one, other


def test_a_running_gateway_follows_what_was_set(
    command: CommandProcess, upstreams: tuple[ScriptedUpstream, ScriptedUpstream], tmp_path: Path
) -> None:
    one, other = upstreams
    command.says("deployments", "add", "demo", *PLACE, "--upstream", one.url)
    key = command.reads("keys", "create", "--account", "acme", "--name", "laptop")["key"]
    config = tmp_path / "gateway.yaml"
    config.write_text("server: {port: 0}\ndatabase: sqlite+aiosqlite:///gateway.db\n")
    gateway = GatewayProcess(config).wait_until_serving()
    try:
        wait_until(lambda: gateway.ask(chat(key=key)).status == 200)
        assert one.requests
        command.says(*SET, "--upstream", other.url)
        wait_until(lambda: gateway.ask(chat(key=key)).status == 200 and other.requests)
        command.says(*SET, "--status", "paused")
        wait_until(lambda: gateway.ask(chat(key=key)).status == 503)
        command.says(*SET, "--unset", "status")
        wait_until(lambda: gateway.ask(chat(key=key)).status == 200)
    finally:
        gateway.stop()
