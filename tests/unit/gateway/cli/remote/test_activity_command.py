"""`activity`: asked of a gateway that runs; on a database alone nobody knows."""

from tests.harness.processes.commands import read
from tests.unit.gateway.cli.remote.conftest import Ask


def test_a_gateway_tells_what_it_carries(ask: Ask) -> None:
    nothing = ask("activity", "list")
    assert (nothing.exit_code, nothing.stderr) == (0, "No request is under way.\n")
    assert read(ask("activity", "list", "--json")) == []
    missing = ask("activity", "end", "act_0_1")
    assert missing.exit_code == 1
    assert "This request is over already; `gguf-gateway activity list` shows" in missing.stderr


def test_on_a_database_alone_it_says_whom_to_ask(on_machine: Ask) -> None:
    on_machine("accounts", "add", "acme")
    refused = on_machine("activity", "list")
    assert refused.exit_code == 1
    assert "Only a running gateway knows what it carries" in refused.stderr
